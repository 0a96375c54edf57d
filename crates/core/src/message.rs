//! The messages of a saga: commands to participants, domain events, child commands and child results, lifecycle events, and the
//! outcome for the sender of the start.

pub mod child;

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::id::{Direction, SagaId, StepPath, Time};
use super::input::{Attempt, ReplyResult};
use super::journal::{AnswerTo, Parent, Problem};
use super::state::Status;

/// A message of a saga. Messages are not stored: they follow from the journal, see
/// [`messages_of`](crate::transition::messages_of).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Command(Command),
    Outcome(SagaOutcome),
    Event(Event),
    Lifecycle(Lifecycle),
    /// To a child saga.
    ChildCommand(ChildCommand),
    /// To the parent saga.
    ChildResult(ChildResult),
}

/// One attempt of a step's command or compensation.
#[derive(Debug, Clone, Serialize)]
pub struct Command {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub step: StepPath,
    pub direction: Direction,
    /// From 1.
    pub attempt: u32,
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub name: Arc<str>,
    pub deadline: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub sent_at: Time,
    /// JSON.
    pub payload: Box<RawValue>,
}

/// The outcome of a saga, for an address that asked for it.
#[derive(Debug, Clone, Serialize)]
pub struct SagaOutcome {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub to: AnswerTo,
    pub status: Status,
    pub sent_at: Time,
    /// JSON: `{saga, definition, version, key, status, output, problem}`.
    pub body: Box<RawValue>,
}

/// The domain event of a `publish` step.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub step: StepPath,
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub sent_at: Time,
    /// JSON.
    pub payload: Box<RawValue>,
}

/// A lifecycle event: the status of a saga has changed.
#[derive(Debug, Clone, Serialize)]
pub struct Lifecycle {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub change: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The place in the journal: the entry, and the number of the event within it.
    pub seq: u32,
    pub index: u32,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Started,
    StepCompleted,
    Compensating,
    Stuck,
    Completed,
    Compensated,
    Abandoned,
}

/// A command of a saga to its child. Each carries everything that starting the child takes, because commands may be handled out
/// of order.
#[derive(Debug, Clone, Serialize)]
pub struct ChildCommand {
    pub parent: Parent,
    pub kind: ChildCommandKind,
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// JSON.
    pub input: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildCommandKind {
    Start,
    Cancel,
    /// In this attempt.
    Compensate {
        attempt: u32,
    },
}

/// The result of a child, as a reply to its parent's step.
#[derive(Debug, Clone, Serialize)]
pub struct ChildResult {
    pub child: SagaId,
    pub parent: SagaId,
    pub attempt: Attempt,
    pub result: ReplyResult,
}

impl Command {
    /// The same for every attempt: participants recognise repetitions by it.
    pub fn idempotency_key(&self) -> Uuid {
        idempotency_key(self.saga, &self.step, self.direction)
    }

    pub fn attempt(&self) -> Attempt {
        Attempt { step: self.step.clone(), direction: self.direction, number: self.attempt }
    }
}

impl Message {
    /// Whether it is a message between sagas, which does not leave Snorri.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::ChildCommand(_) | Self::ChildResult(_))
    }

    pub fn saga(&self) -> SagaId {
        match self {
            Self::Command(command) => command.saga,
            Self::Outcome(outcome) => outcome.saga,
            Self::Event(event) => event.saga,
            Self::Lifecycle(lifecycle) => lifecycle.saga,
            Self::ChildCommand(order) => order.parent.saga,
            Self::ChildResult(report) => report.child,
        }
    }
}

/// UUIDv5 of (saga, step, direction).
pub fn idempotency_key(saga: SagaId, step: &StepPath, direction: Direction) -> Uuid {
    Uuid::new_v5(&saga.0, format!("{step}/{direction}").as_bytes())
}

impl Change {
    /// The name in the types of events and in routing keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "saga.started",
            Self::StepCompleted => "step.completed",
            Self::Compensating => "saga.compensating",
            Self::Stuck => "saga.stuck",
            Self::Completed => "saga.completed",
            Self::Compensated => "saga.compensated",
            Self::Abandoned => "saga.abandoned",
        }
    }
}
