//! Reads of one saga with its state folded from its journal, and of dead letters and the audit.

use std::sync::Arc;

use crate::Engine;

use crate::definitions;
use snorri_core::{Entry, SagaId, State, Status, Time};
use snorri_definition::Compiled;
use snorri_ports::store;
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

impl Engine {
    /// The saga with this id, if it was ever started.
    pub async fn view(&self, id: SagaId) -> Result<Option<SagaView>, store::Error> {
        let journal = self.reader().load(&[id]).await?.take(id)?;
        let state = State::replay(id, &journal);
        let Some(started) = &state.started else { return Ok(None) };
        let found = self.definitions().find(&started.definition, Some(state.version())).await;
        let compiled = found.map_err(|error| match error {
            definitions::Error::Store(error) => error,
            error => store::Error::Corrupt(error.to_string()),
        })?;
        Ok(Some(SagaView { state, compiled, journal }))
    }

    /// The row of a saga in lists.
    pub async fn row(&self, id: SagaId) -> Result<Option<SagaRow>, store::Error> {
        self.reader().saga(id).await
    }

    /// At most `limit` entries of a saga's journal, after number `after`.
    pub async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, store::Error> {
        self.reader().journal(saga, after, limit).await
    }

    /// At most `limit` dead letters, newest first.
    pub async fn dead_letters(
        &self,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, store::Error> {
        self.reader().dead_letters(filter, limit).await
    }

    /// At most `limit` entries of the audit, newest first.
    pub async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, store::Error> {
        self.reader().audit(filter, limit).await
    }

    pub async fn stored_definitions(&self) -> Result<Vec<StoredDefinition>, store::Error> {
        self.reader().definitions().await
    }

    pub async fn stored_definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<StoredDefinition>, store::Error> {
        self.reader().definition(name, version).await
    }
}

impl SagaView {
    pub fn status(&self) -> Status {
        self.state.status()
    }

    pub fn changed_at(&self) -> Time {
        self.journal.last().map_or(self.state.started_at, |entry| entry.at)
    }
}
