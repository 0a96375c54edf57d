//! The journal of a saga: its only source of truth.
//!
//! The journal is append-only. One [`Entry`] is one accepted input: its [`Cause`], for people, and the [`Fact`]s that it led
//! to, from which the [`State`](super::State) is folded. Entries are stored: fields are added, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::{Direction, SagaId, StepPath, Time};
pub use super::problem::{Problem, ProblemCode};
use super::state::status::Status;

/// One accepted input and what it led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Time,
    pub cause: Cause,
    pub facts: Vec<Fact>,
}

/// Why an entry was written. Nothing is derived from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Start,
    Reply {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        result: ReplyKind,
    },
    /// The broker had no queue for the command.
    Unroutable {
        step: StepPath,
        direction: Direction,
        attempt: u32,
    },
    /// The broker confirmed the command long after it was committed.
    ClockStarted {
        step: StepPath,
        direction: Direction,
        attempt: u32,
    },
    /// A timer of the saga fired.
    TimerFired,
    /// A signal or a domain event.
    ReceivedEvent(EventSource),
    /// A repeated start whose sender wants the outcome too.
    OutcomeRequest,
    /// The parent saga is rolled back.
    CompensationRequested,
    Cancel(By),
    Intervention {
        action: InterventionKind,
        step: Option<StepPath>,
        #[serde(flatten)]
        by: By,
    },
    Pause(By),
    Resume(By),
    /// From one version of its definition to another.
    Migrate {
        from: u32,
        to: u32,
        #[serde(flatten)]
        by: By,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterventionKind {
    Retry,
    Resolve,
    Skip,
    Rollback,
    Abandon,
    RaiseLimits,
}

impl InterventionKind {
    /// The name in the journal, the API and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::Skip => "skip",
            Self::Rollback => "rollback",
            Self::Abandon => "abandon",
            Self::RaiseLimits => "raise_limits",
        }
    }
}

/// Who asked for something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    pub actor: String,
    pub reason: String,
}

/// The `type` of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    Success,
    Failure,
    Error,
}

/// What is true since an entry was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Started(Box<Started>),
    /// The outcome is sent to one more address, in addition to that of the start.
    OutcomeRequested {
        to: AnswerTo,
    },
    /// A command was put into the outbox.
    Sent {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
    },
    /// The broker confirmed the command only now: the attempt waits for its reply until this deadline.
    ClockStarted {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
    },
    /// No queue is bound for the command. The attempt is not used up: the command is sent again `at`.
    WaitingForRoute {
        step: StepPath,
        direction: Direction,
        /// How often the broker has returned it, this time included.
        returns: u32,
        at: Time,
        problem: Problem,
    },
    /// The last attempt failed; the next one is due `at`.
    RetryScheduled {
        step: StepPath,
        direction: Direction,
        at: Time,
        problem: Problem,
    },
    Completed {
        step: StepPath,
        output: Arc<Value>,
    },
    /// Refused: nothing happened, there is nothing to compensate.
    Failed {
        step: StepPath,
        problem: Problem,
    },
    /// It is unknown whether the step happened.
    Unknown {
        step: StepPath,
        problem: Problem,
    },
    Compensated {
        step: StepPath,
    },
    /// A branch was selected: its index, or one more than there are if no branch is taken.
    BranchSelected {
        step: StepPath,
        branch: u32,
    },
    /// A `for_each` began, over these items.
    ItemsExpanded {
        step: StepPath,
        items: Arc<Vec<Value>>,
    },
    /// The step waits for a signal or an event.
    Waiting {
        step: StepPath,
        deadline: Time,
    },
    Sleeping {
        step: StepPath,
        until: Time,
    },
    /// An event was put into the outbox.
    Published {
        step: StepPath,
    },
    /// A child saga is to be started, or compensated.
    ChildSent {
        step: StepPath,
        direction: Direction,
        attempt: u32,
    },
    /// The saga received a signal or an event that a step waits for, or will wait for.
    EventReceived(Arc<ReceivedEvent>),
    /// A step consumed a received event, by its number in the order of arrival, from 0.
    EventConsumed {
        step: StepPath,
        arrival: u32,
    },
    /// The parent saga wants this one compensated, in this attempt.
    CompensationRequested {
        attempt: u32,
    },
    /// The saga continues without this step or compensation.
    Skipped {
        step: StepPath,
        direction: Direction,
        reason: SkipReason,
    },
    /// The command waits for an operator.
    Held {
        step: StepPath,
        direction: Direction,
        problem: Problem,
    },
    /// An operator granted the saga its limits once more.
    LimitsRaised,
    /// An operator granted the command all its attempts again.
    Retried {
        step: StepPath,
        direction: Direction,
    },
    /// No new step starts; what is in flight is awaited.
    Stopping {
        reason: StopReason,
        problem: Problem,
    },
    /// The pivot succeeded meanwhile: the saga continues forward.
    RollbackRevoked,
    RollbackBegan,
    /// A success that contradicts what was decided without it.
    LateReply {
        step: StepPath,
        output: Arc<Value>,
    },
    /// The saga's own timeout passed after its pivot.
    Overdue,
    /// An incident without a held command.
    IncidentRaised {
        step: Option<StepPath>,
        problem: Problem,
    },
    IncidentCleared {
        step: Option<StepPath>,
    },
    /// No time passes for the saga, and it begins and sends nothing.
    Paused,
    /// Everything that was due is put off by the time of the pause.
    Resumed {
        held_millis: u64,
    },
    /// The saga continues with this version of its definition.
    Migrated {
        version: u32,
    },
    /// The saga's timer is set to this time, or cleared.
    TimerSet {
        at: Option<Time>,
    },
    Ended {
        status: Status,
        output: Option<Arc<Value>>,
    },
}

/// The start of a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub input: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The address that the outcome is sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerTo>,
    /// The W3C trace id (32 hexadecimal digits) of the start message or request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The parent of a child saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The attributes of the saga, by which it can be found besides its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What it takes over from a saga that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Inherited>,
}

/// What a restarted saga takes over from the one that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The saga that has ended.
    pub saga: SagaId,
    /// The name of the first step that runs again.
    pub from: String,
    /// The outcomes of all steps before it. This saga now has to compensate them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

/// The parent saga of a child, and the step that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub saga: SagaId,
    pub step: StepPath,
    pub attempt: u32,
}

/// A signal or a domain event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedEvent {
    pub source: EventSource,
    /// Identifies a repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub body: Value,
}

impl ReceivedEvent {
    /// A received event. One without a body has the body `{}`, so that a step that received it differs from a wait that ended
    /// without an event, whose output is null.
    pub fn new(source: EventSource, id: Option<String>, body: Value) -> Self {
        let body = if body.is_null() { Value::Object(serde_json::Map::new()) } else { body };
        Self { source, id, body }
    }
}

/// The kind of a received event, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    Signal(Arc<str>),
    Event { exchange: Arc<str>, event: Arc<str> },
}

/// The address that the outcome of a saga is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTo {
    pub queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// Why a saga starts no more steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    StepFailed,
    Cancelled,
    TimedOut,
    /// The parent saga is rolled back.
    ParentRolledBack,
}

/// Why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    Condition,
    /// An operator skipped it. It may have happened.
    Operator,
}
