//! What a saga sends: commands to participants, events to whoever listens, orders to its children, and its outcome to
//! whoever started it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::id::{Direction, SagaId, StepPath, Time};
use super::input::{Attempt, ReplyResult};
use super::journal::{AnswerTo, Parent, Problem};
use super::state::Status;

/// A message of the outbox. Its form is stored: fields are added, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Command(Command),
    Outcome(Outcome),
    Event(Event),
    Lifecycle(Lifecycle),
    /// For a saga that is part of this one.
    Order(Order),
    /// For the saga that this one is part of.
    Report(Report),
}

/// One attempt of a step's command or compensation.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub sent_at: Time,
    /// JSON.
    pub payload: Box<RawValue>,
}

/// How a saga ended, for whoever asked to hear it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub to: AnswerTo,
    pub status: Status,
    pub sent_at: Time,
    /// JSON: `{saga, definition, version, key, status, output, problem}`.
    pub body: Box<RawValue>,
}

/// A domain event that a `publish` step says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub step: StepPath,
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub sent_at: Time,
    /// JSON.
    pub payload: Box<RawValue>,
}

/// What became of a saga, for whoever watches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lifecycle {
    pub saga: SagaId,
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub change: Change,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Where in the journal: the entry, and the place among the entry's events.
    pub seq: u32,
    pub index: u32,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a saga wants of one that is part of it. Each order carries all it takes to start the child, because it may be carried
/// out before the one that was given first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub parent: Parent,
    pub kind: OrderKind,
    pub definition: Arc<str>,
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// JSON.
    pub input: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    Start,
    Cancel,
    /// In this attempt.
    Undo {
        attempt: u32,
    },
}

/// What became of a child, as a reply to its parent's step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub child: SagaId,
    pub parent: SagaId,
    pub attempt: Attempt,
    pub result: ReplyResult,
}

impl Command {
    /// The same for every attempt: what a participant recognises a repetition by.
    pub fn idempotency_key(&self) -> Uuid {
        idempotency_key(self.saga, &self.step, self.direction)
    }

    pub fn attempt(&self) -> Attempt {
        Attempt { step: self.step.clone(), direction: self.direction, number: self.attempt }
    }
}

impl Order {
    /// The attempt that it wants an answer to, if it wants one.
    pub fn attempt(&self) -> Option<Attempt> {
        let (direction, number) = match self.kind {
            OrderKind::Start => (Direction::Forward, self.parent.attempt),
            OrderKind::Undo { attempt } => (Direction::Compensate, attempt),
            OrderKind::Cancel => return None,
        };
        Some(Attempt { step: self.parent.step.clone(), direction, number })
    }
}

impl Message {
    /// Whether it is from saga to saga, and does not leave Snorri.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Order(_) | Self::Report(_))
    }

    pub fn saga(&self) -> SagaId {
        match self {
            Self::Command(command) => command.saga,
            Self::Outcome(outcome) => outcome.saga,
            Self::Event(event) => event.saga,
            Self::Lifecycle(lifecycle) => lifecycle.saga,
            Self::Order(order) => order.parent.saga,
            Self::Report(report) => report.child,
        }
    }
}

/// UUIDv5 of (saga, step, direction).
pub fn idempotency_key(saga: SagaId, step: &StepPath, direction: Direction) -> Uuid {
    Uuid::new_v5(&saga.0, format!("{step}/{direction}").as_bytes())
}

impl Change {
    /// Its name in the types of events and in routing keys.
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
