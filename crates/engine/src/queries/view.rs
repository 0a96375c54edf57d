//! One saga with its state folded from its journal.

use std::sync::Arc;

use snorri_core::{Entry, State, Status, Time};
use snorri_definition::Compiled;
pub use snorri_ports::store::{
    Appended, AuditEntry, AuditFilter, Count, DeadLetter, Filter, LetterFilter, SagaRow, StoredDefinition,
};

/// A saga, its definition, and its journal.
#[derive(Debug)]
pub struct SagaView {
    pub state: State,
    pub compiled: Arc<Compiled>,
    pub journal: Vec<Entry>,
}

impl SagaView {
    pub fn status(&self) -> Status {
        self.state.status()
    }

    pub fn changed_at(&self) -> Time {
        self.journal.last().map_or(self.state.started_at, |entry| entry.at)
    }
}
