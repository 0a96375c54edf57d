//! The effects of participants, by saga and step: the money that must be conserved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Counts effects and compensations, each once for its idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    /// By (saga, step).
    effects: HashMap<(String, String), Effect>,
    /// By (saga, step, direction).
    message_ids: HashMap<(String, String, String), String>,
}

/// The effect of one step of one saga.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    pub done: u32,
    pub compensated: u32,
}

impl Ledger {
    /// Records a delivery, and checks that its idempotency key is that of all others of this command.
    pub fn deliver(&self, saga: &str, step: &str, direction: &str, message_id: &str) {
        let mut books = self.0.lock().expect("unpoisoned");
        let key = (saga.to_owned(), step.to_owned(), direction.to_owned());
        let first = books.message_ids.entry(key).or_insert_with(|| message_id.to_owned());
        assert_eq!(first, message_id, "the idempotency key never changes");
    }

    /// Executes a step, unless it was executed or compensated already. Returns whether it is executed now.
    pub fn act(&self, saga: &str, step: &str) -> bool {
        let mut books = self.0.lock().expect("unpoisoned");
        let effect = books.effects.entry((saga.to_owned(), step.to_owned())).or_default();
        if effect.compensated == 0 {
            effect.done = 1;
        }
        effect.done == 1 && effect.compensated == 0
    }

    /// Compensates a step, also if it was never executed: then it never will be.
    pub fn compensate(&self, saga: &str, step: &str) {
        let mut books = self.0.lock().expect("unpoisoned");
        books.effects.entry((saga.to_owned(), step.to_owned())).or_default().compensated = 1;
    }

    pub fn effect(&self, saga: &str, step: &str) -> Effect {
        let books = self.0.lock().expect("unpoisoned");
        books.effects.get(&(saga.to_owned(), step.to_owned())).copied().unwrap_or_default()
    }
}
