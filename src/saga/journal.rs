//! What happened to a saga: the only truth about it.
//!
//! The journal is append-only. One [`Entry`] is one accepted input: its [`Cause`], for people, and the [`Fact`]s that
//! it led to, from which the [`State`](super::State) is folded. Its form is stored: fields are added, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::{Direction, SagaId, StepPath, Time};
pub use super::problem::{Problem, Reason};
use super::state::Status;

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
    /// The broker took the command long after it was committed.
    ClockStarted {
        step: StepPath,
        direction: Direction,
        attempt: u32,
    },
    /// A wake-up that the saga had asked for.
    Wake,
    /// A signal or a domain event.
    Arrival(Source),
    /// A repeated start whose sender wants the outcome too.
    OutcomeRequest,
    /// The saga that this one is part of is rolled back.
    Undo,
    Cancel(By),
    Intervention {
        action: String,
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
    /// One more address that the outcome is to be sent to, in addition to that of the start.
    OutcomeRequested {
        to: AnswerTo,
    },
    /// A command was handed to the outbox.
    Sent {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
    },
    /// The broker takes the command only now: the attempt waits for its reply until this deadline.
    ClockStarted {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
    },
    /// No queue takes the command. The attempt is not used up: the command is sent again `at`.
    WaitingForRoute {
        step: StepPath,
        direction: Direction,
        /// How often it came back, this time included.
        returns: u32,
        at: Time,
        problem: Problem,
    },
    /// The last attempt came to nothing; the next one is due `at`.
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
    /// Refused: nothing happened, there is nothing to undo.
    Failed {
        step: StepPath,
        problem: Problem,
    },
    /// Nobody knows whether it happened.
    Unknown {
        step: StepPath,
        problem: Problem,
    },
    Undone {
        step: StepPath,
    },
    /// Its `when` was false.
    Omitted {
        step: StepPath,
    },
    /// A choice was made: the index of the branch, or one more than there are if there is none to take.
    Chosen {
        step: StepPath,
        branch: u32,
    },
    /// A `for_each` began, over these items.
    FannedOut {
        step: StepPath,
        items: Arc<Vec<Value>>,
    },
    /// Waits for a signal or an event.
    Waiting {
        step: StepPath,
        deadline: Time,
    },
    Sleeping {
        step: StepPath,
        until: Time,
    },
    /// An event was handed to the outbox.
    Published {
        step: StepPath,
    },
    /// A child saga is to be started, or undone.
    ChildSent {
        step: StepPath,
        direction: Direction,
        attempt: u32,
    },
    /// A signal or an event came that some step waits for, or will.
    Arrived(Arc<Arrival>),
    /// A step took what had arrived, by its number in the order of arrival, from 0.
    Taken {
        step: StepPath,
        arrival: u32,
    },
    /// The saga that this one is part of wants it undone, in this attempt.
    UndoAsked {
        attempt: u32,
    },
    /// An operator let the saga pass over this.
    Skipped {
        step: StepPath,
        direction: Direction,
    },
    /// Waits for an operator.
    Held {
        step: StepPath,
        direction: Direction,
        problem: Problem,
    },
    /// An operator granted the saga its limits once more.
    LimitsRaised,
    /// An operator gave it its attempts anew.
    Retried {
        step: StepPath,
        direction: Direction,
    },
    /// No new step starts; what is in flight is awaited.
    Stopping {
        reason: StopReason,
        problem: Problem,
    },
    /// The pivot succeeded meanwhile: the saga goes on forward.
    StopDropped,
    RollbackBegan,
    /// A success that contradicts what was decided without it.
    LateReply {
        step: StepPath,
        output: Arc<Value>,
    },
    /// The saga's own timeout passed when there was no way back.
    Overdue,
    /// An incident that no single command is held by.
    IncidentRaised {
        step: Option<StepPath>,
        problem: Problem,
    },
    IncidentPassed {
        step: Option<StepPath>,
    },
    /// No time passes for the saga, and nothing is begun or sent.
    Paused,
    /// All that was due is due later by as long as the saga was paused.
    Resumed {
        held_millis: u64,
    },
    /// The saga goes on with this version of its definition.
    Migrated {
        version: u32,
    },
    /// The saga is to be woken at this time, or not at all.
    WakeSet {
        at: Option<Time>,
    },
    Ended {
        status: Status,
        output: Option<Arc<Value>>,
    },
}

/// What a saga was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub input: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Who wants to hear how the saga ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerTo>,
    /// The W3C trace id (32 hexadecimal digits) of whoever started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The saga that this one is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What the definition has it found by, beside its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What it takes over from a saga that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// What a saga that goes on from another one begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The one that has ended.
    pub saga: SagaId,
    /// The name of the first step that runs again.
    pub from: String,
    /// What became of all steps before it. From now on they are this saga's to undo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

/// A step of a saga that is another saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub saga: SagaId,
    pub step: StepPath,
    pub attempt: u32,
}

/// Something that came from outside and is no reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    pub source: Source,
    /// Tells a repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub body: Value,
}

impl Arrival {
    /// An arrival. One that carries nothing has the body `{}`, so that a step that received it can be told from a wait that
    /// ended without it, whose output is null.
    pub fn new(source: Source, id: Option<String>, body: Value) -> Self {
        let body = if body.is_null() { Value::Object(serde_json::Map::new()) } else { body };
        Self { source, id, body }
    }
}

/// What an arrival is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Signal(Arc<str>),
    Event { exchange: Arc<str>, event: Arc<str> },
}

/// Where the outcome of a saga is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTo {
    pub queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// Why no new step starts any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    StepFailed,
    Cancelled,
    TimedOut,
    /// The saga that this one is part of is rolled back.
    Undone,
}
