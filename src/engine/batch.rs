//! Gathers what a lane decides until it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::saga::transition::Wake;
use crate::saga::{Decision, SagaId, State, Status, Time};
use crate::store::{Appended, Batch, OutboxId, SagaRow, Unsent};

/// Decisions that are to be committed together. Later ones about a saga build on earlier ones.
#[derive(Debug, Default)]
pub struct Gathered {
    entries: Vec<Appended>,
    outbox: Vec<Unsent>,
    sagas: HashMap<SagaId, SagaRow>,
    wakes: HashMap<SagaId, Option<Time>>,
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
    })
}
