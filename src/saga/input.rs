//! What can happen to a saga.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::Definition;
use super::id::{Direction, StepPath};
use super::journal::{AnswerTo, Arrival, By, Problem, ReplyKind, Started};

/// One thing that happened, to be given to [`transition`](super::transition()).
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Start(Box<Started>),
    /// The sender of a repeated start wants the outcome sent to this address, too.
    OutcomeRequest(AnswerTo),
    Reply(Reply),
    /// The broker returned a command: no queue is bound for it.
    Unroutable(Attempt),
    /// The broker takes a command only now, long after it was committed: the clock of the attempt starts here.
    StartClock(Attempt),
    /// The time has come that the saga wanted to be woken at. It only asks what is due.
    Wake {
        /// The commands that the broker has not confirmed: their attempts have not begun, and do not time out.
        unsent: Vec<Attempt>,
    },
    /// A signal, or a domain event that may be about this saga.
    Arrival(Arc<Arrival>),
    Cancel(By),
    /// The saga that this one is part of wants it undone, in this attempt.
    Undo {
        attempt: u32,
    },
    Intervene {
        action: Intervention,
        by: By,
    },
    /// Nothing is begun or sent any more, and no time passes for the saga, until it is resumed.
    Pause(By),
    Resume(By),
    /// Go on with another version of the definition.
    Migrate(Box<Migrate>),
}

/// Which version a saga is to go on with.
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
    /// Did not work this time; it may the next time.
    Error(Problem),
}

/// A version never changes, so that its name and number say which it is.
impl PartialEq for Migrate {
    fn eq(&self, other: &Self) -> bool {
        self.to.name == other.to.name && self.to.version == other.to.version && self.by == other.by
    }
}

impl Input {
    /// A wake-up while the broker has confirmed all commands.
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

/// What an operator can do about a stuck saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Intervention {
    /// Tries what is held again, with all its attempts; all that is held, if no step is named.
    Retry { step: Option<StepPath> },
    /// Says by hand what became of a held command.
    Resolve { step: StepPath, outcome: Resolution },
    /// Passes over an incident: a held step counts as unknown and the saga goes on without its output, a held
    /// compensation counts as done. `None`: the incident that belongs to no step.
    Skip { step: Option<StepPath> },
    /// Gives up going forward and undoes what was done.
    RollBack,
    /// Ends the saga as it is.
    Abandon,
    /// Grants the saga all its limits once more. It need not be stuck.
    RaiseLimits,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It happened, with this output.
    Done(Arc<Value>),
    /// It did not happen. Only for forward commands.
    NotDone,
}

impl Intervention {
    /// Its name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Resolve { .. } => "resolve",
            Self::Skip { .. } => "skip",
            Self::RollBack => "roll_back",
            Self::Abandon => "abandon",
            Self::RaiseLimits => "raise_limits",
        }
    }

    /// The step it is about.
    pub fn step(&self) -> Option<&StepPath> {
        match self {
            Self::Retry { step } | Self::Skip { step } => step.as_ref(),
            Self::Resolve { step, .. } => Some(step),
            Self::RollBack | Self::Abandon | Self::RaiseLimits => None,
        }
    }
}
