//! Gathers what a lane decides until it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::saga::input::{Reply, ReplyResult};
use crate::saga::journal::{Fact, Problem};
use crate::saga::transition::Wake;
use crate::saga::{Decision, Entry, Input, SagaId, State, Status, Time};
use crate::store::{Appended, Batch, DeadLetter, OutboxId, SagaRow, Unsent};

/// Decisions that are to be committed together. Later ones about a saga build on earlier ones.
#[derive(Debug, Default)]
pub struct Gathered {
    entries: Vec<Appended>,
    outbox: Vec<Unsent>,
    sagas: HashMap<SagaId, SagaRow>,
    wakes: HashMap<SagaId, Option<Time>>,
    dead_letters: Vec<DeadLetter>,
}

impl Gathered {
    /// Takes in one decision about a saga that had status `before`, and returns the state after it.
    pub fn add(&mut self, before: Option<Status>, decision: Decision) -> State {
        let Decision { entry, state, messages, wake } = decision;
        if before != Some(state.status())
            && let Some(row) = saga_row(&state, entry.at)
        {
            self.sagas.insert(state.id, row);
        }
        match wake {
            Wake::Keep => {}
            Wake::At(at) => {
                self.wakes.insert(state.id, Some(at));
            }
            Wake::Never => {
                self.wakes.insert(state.id, None);
            }
        }
        self.outbox.extend(
            messages
                .into_iter()
                .map(|message| Unsent { id: OutboxId(Uuid::now_v7()), message: Arc::new(message) }),
        );
        self.entries.push(Appended { saga: state.id, seq: state.seq, entry });
        state
    }

    /// Keeps a copy of the reply that `entry` was made of, if it broke its schema: the journal has only what is wrong with it.
    pub fn keep_invalid(&mut self, queue: &str, saga: SagaId, input: &Input, entry: &Entry) {
        let Input::Reply(Reply { attempt, result: ReplyResult::Success(body) }) = input else { return };
        let broken = entry.facts.iter().find_map(|fact| match fact {
            Fact::RetryScheduled { problem, .. }
            | Fact::Held { problem, .. }
            | Fact::Unknown { problem, .. } => (problem.code == Problem::SCHEMA).then_some(problem),
            _ => None,
        });
        if let Some(problem) = broken {
            self.dead_letters.push(DeadLetter {
                id: Uuid::now_v7(),
                at: entry.at,
                queue: queue.to_owned(),
                code: problem.code.clone(),
                reason: problem.message.clone(),
                saga: Some(saga),
                step: Some(attempt.step.to_string()),
                properties: json!({"type": "success", "direction": attempt.direction, "attempt": attempt.number}),
                body: body.to_string().into_bytes(),
                resolved_at: None,
            });
        }
    }

    /// The messages that may be sent once the batch is committed.
    pub fn outbox(&self) -> &[Unsent] {
        &self.outbox
    }

    pub fn entries(&self) -> &[Appended] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The batch, with the outbox rows `sent` that go with it.
    pub fn into_batch(self, sent: Vec<OutboxId>, outbox_reserved_until: Time) -> Batch {
        Batch {
            entries: self.entries,
            sagas: self.sagas.into_values().collect(),
            outbox: self.outbox,
            outbox_reserved_until,
            sent,
            wakes: self.wakes.into_iter().collect(),
            dead_letters: self.dead_letters,
            ..Batch::default()
        }
    }
}

fn saga_row(state: &State, changed_at: Time) -> Option<SagaRow> {
    let started = state.started.as_ref()?;
    Some(SagaRow {
        id: state.id,
        definition: Arc::clone(&started.definition),
        version: started.version,
        key: started.key.clone(),
        status: state.status(),
        started_at: state.started_at,
        changed_at,
        paused: false,
    })
}
