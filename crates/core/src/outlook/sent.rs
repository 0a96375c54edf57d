//! The commands that a saga has sent. The journal records that they were sent; their payloads follow from the definition and
//! the outputs that the saga had then, which do not change any more.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::definition::{CommandAction, Definition};
use crate::expression::variables::Variables;
use crate::id::{Direction, StepPath};
use crate::message::idempotency_key;
use crate::state::{State, StepState};

/// A command of a step, with all of its attempts.
#[derive(Debug)]
pub struct SentCommand<'a> {
    pub command: &'a CommandAction,
    pub direction: Direction,
    /// The number of the last attempt.
    pub attempts: u32,
    /// The idempotency key: the same for every attempt.
    pub message_id: Uuid,
    definition: &'a Definition,
    state: &'a State,
    path: &'a StepPath,
}

/// The commands that were sent for one step: the forward command, then its compensation.
pub fn sent_commands<'a>(
    definition: &'a Definition,
    state: &'a State,
    path: &'a StepPath,
    step: &StepState,
) -> Vec<SentCommand<'a>> {
    let sent = |direction| {
        let attempts = step.attempts(direction).last;
        let command = definition.step(path)?.command(direction).filter(|_| attempts > 0)?;
        let message_id = idempotency_key(state.id, path, direction);
        Some(SentCommand { command, direction, attempts, message_id, definition, state, path })
    };
    [Direction::Forward, Direction::Compensate].into_iter().filter_map(sent).collect()
}

impl SentCommand<'_> {
    /// Renders the payload, for a migrated saga by the version that it runs now. `None`: it cannot be rendered.
    pub fn payload(&self) -> Option<Arc<Value>> {
        let scope = Variables::at(self.definition, self.state, self.path);
        self.command.payload.render(&scope).ok().map(Arc::new)
    }
}
