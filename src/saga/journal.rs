//! What happened to a saga: the only truth about it.
//!
//! The journal is append-only. One [`Entry`] is one accepted input: its [`Cause`], for people, and the [`Fact`]s that
//! it led to, from which the [`State`](super::State) is folded. Its form is stored: fields are added, never changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::{Direction, StepPath, Time};
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
    /// A wake-up that the saga had asked for.
    Wake,
    Cancel(By),
    Intervention {
        action: String,
        step: Option<StepPath>,
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
    /// A command was handed to the outbox.
    Sent {
        step: StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
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
}

/// What went wrong: a participant's `{code, message, details}`, or one of Snorri's own codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// The codes of the problems that Snorri itself finds. They are stable.
impl Problem {
    pub const CANCELLED: &str = "cancelled";
    pub const EXPRESSION_FAILED: &str = "expression_failed";
    pub const JOURNAL_LIMIT: &str = "journal_limit";
    pub const LATE_REPLY: &str = "late_reply";
    pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
    pub const RESOLVED_AS_NOT_DONE: &str = "resolved_as_not_done";
    pub const SAGA_TIMEOUT: &str = "saga_timeout";
    pub const STEP_LIMIT: &str = "step_limit";
    pub const TIMEOUT: &str = "timeout";
    pub const UNROUTABLE: &str = "unroutable";

    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: None }
    }
}
