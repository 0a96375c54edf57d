//! What a saga sends: commands to participants, and its outcome to whoever started it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::id::{Direction, SagaId, StepPath, Time};
use super::input::Attempt;
use super::journal::AnswerTo;
use super::state::Status;

/// A message of the outbox. Its form is stored: fields are added, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Command(Command),
    Outcome(Outcome),
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

impl Command {
    /// The same for every attempt: what a participant recognises a repetition by.
    pub fn idempotency_key(&self) -> Uuid {
        idempotency_key(self.saga, &self.step, self.direction)
    }

    pub fn attempt(&self) -> Attempt {
        Attempt { step: self.step.clone(), direction: self.direction, number: self.attempt }
    }
}

impl Message {
    pub fn saga(&self) -> SagaId {
        match self {
            Self::Command(command) => command.saga,
            Self::Outcome(outcome) => outcome.saga,
        }
    }
}

/// UUIDv5 of (saga, step, direction).
pub fn idempotency_key(saga: SagaId, step: &StepPath, direction: Direction) -> Uuid {
    Uuid::new_v5(&saga.0, format!("{step}/{direction}").as_bytes())
}
