//! The inputs of a saga.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::Definition;
use super::id::{Direction, StepPath};
use super::journal::{AnswerTo, By, InterventionKind, Problem, ReceivedEvent, ReplyKind, Started};

/// One input, the argument of [`transition`](super::transition()).
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Start(Box<Started>),
    /// The sender of a repeated start wants the outcome sent to this address, too.
    OutcomeRequest(AnswerTo),
    Reply(Reply),
    /// The broker returned a command: no queue is bound for it.
    Unroutable(Attempt),
    /// The broker confirms a command long after it was committed: the clock of the attempt starts now.
    StartClock(Attempt),
    /// The saga's timer has fired. The input only checks what is due.
    Wake {
        /// The commands that the broker has not confirmed: their attempts have not begun, and do not time out.
        unsent: Vec<Attempt>,
    },
    /// A signal, or a domain event that may be about this saga.
    Event(Arc<ReceivedEvent>),
    Cancel(By),
    /// The parent saga wants this one compensated, in this attempt.
    Compensate {
        attempt: u32,
    },
    Intervene {
        action: Intervention,
        by: By,
    },
    /// Until it is resumed, the saga begins and sends nothing, and no time passes for it.
    Pause(By),
    Resume(By),
    /// Continue with another version of the definition.
    Migrate(Box<Migrate>),
}

/// The version that a saga continues with.
#[derive(Debug, Clone)]
pub struct Migrate {
    pub to: Arc<Definition>,
    pub by: By,
}

/// One attempt of one command of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub step: StepPath,
    pub direction: Direction,
    /// From 1.
    pub number: u32,
}

/// A participant's reply to one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub attempt: Attempt,
    pub result: ReplyResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyResult {
    /// Done, with this output.
    Success(Arc<Value>),
    /// Refused: nothing happened.
    Failure(Problem),
    /// This attempt did not work; the next one may.
    Error(Problem),
}

/// A version is immutable, so its name and number identify it.
impl PartialEq for Migrate {
    fn eq(&self, other: &Self) -> bool {
        self.to.name == other.to.name && self.to.version == other.to.version && self.by == other.by
    }
}

impl Input {
    /// A timer that fires when the broker has confirmed all commands.
    pub fn wake() -> Self {
        Self::Wake { unsent: Vec::new() }
    }
}

impl ReplyResult {
    pub fn kind(&self) -> ReplyKind {
        match self {
            Self::Success(_) => ReplyKind::Success,
            Self::Failure(_) => ReplyKind::Failure,
            Self::Error(_) => ReplyKind::Error,
        }
    }
}

/// An operator's intervention in a stuck saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Intervention {
    /// Retries a held command with all its attempts; every held command, if no step is named.
    Retry { step: Option<StepPath> },
    /// Sets the outcome of a held command by hand.
    Resolve { step: StepPath, outcome: Resolution },
    /// Skips an incident: a held step counts as unknown and the saga continues without its output, a held compensation counts
    /// as done. `None`: the incident that belongs to no step.
    Skip { step: Option<StepPath> },
    /// Stops going forward and compensates what was done.
    Rollback,
    /// Ends the saga as it is.
    Abandon,
    /// Grants the saga all its limits once more. The saga need not be stuck.
    RaiseLimits,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It happened, with this output.
    Succeeded(Arc<Value>),
    /// It did not happen. Only for forward commands.
    Failed,
}

/// An action that operators apply to many sagas at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Pause,
    Resume,
    Retry,
    Skip,
    Rollback,
    Abandon,
    Migrate,
}

impl BulkAction {
    pub const ALL: [Self; 8] = [
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::Retry,
        Self::Skip,
        Self::Rollback,
        Self::Abandon,
        Self::Migrate,
    ];

    /// The name in the API and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Rollback => "rollback",
            Self::Abandon => "abandon",
            Self::Migrate => "migrate",
        }
    }
}

impl Intervention {
    pub fn kind(&self) -> InterventionKind {
        match self {
            Self::Retry { .. } => InterventionKind::Retry,
            Self::Resolve { .. } => InterventionKind::Resolve,
            Self::Skip { .. } => InterventionKind::Skip,
            Self::Rollback => InterventionKind::Rollback,
            Self::Abandon => InterventionKind::Abandon,
            Self::RaiseLimits => InterventionKind::RaiseLimits,
        }
    }

    /// The step of the intervention.
    pub fn step(&self) -> Option<&StepPath> {
        match self {
            Self::Retry { step } | Self::Skip { step } => step.as_ref(),
            Self::Resolve { step, .. } => Some(step),
            Self::Rollback | Self::Abandon | Self::RaiseLimits => None,
        }
    }
}
