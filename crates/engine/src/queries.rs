//! What the admin API reads: sagas, lists, counts, and what happens from now on.

pub(crate) mod counts;
pub mod feed;
pub mod search;
pub mod view;

use std::sync::Arc;

use crate::definitions::{self, Definitions};
use crate::queries::counts::Counts;
use crate::queries::view::SagaView;
use snorri_core::{SagaId, State};
use snorri_ports::store::{
    self, Appended, AuditEntry, AuditFilter, DeadLetter, LetterFilter, Loaded, SagaRow, Store,
    StoredDefinition,
};

/// Reads from the store, with connections of their own.
#[derive(Debug)]
pub struct Queries {
    reader: Arc<dyn Store>,
    definitions: Arc<Definitions>,
    counts: Counts,
}

impl Queries {
    pub fn new(reader: Arc<dyn Store>, definitions: Arc<Definitions>) -> Self {
        Self { reader, definitions, counts: Counts::default() }
    }

    /// The saga with this id, if it was ever started.
    pub async fn view(&self, id: SagaId) -> Result<Option<SagaView>, store::Error> {
        let journal = self.reader.load(&[id]).await?.take(id)?;
        let state = State::replay(id, &journal);
        let Some(started) = &state.started else { return Ok(None) };
        let found = self.definitions.find(&started.definition, Some(state.version())).await;
        let compiled = found.map_err(|error| match error {
            definitions::Error::Store(error) => error,
            error => store::Error::Corrupt(error.to_string()),
        })?;
        Ok(Some(SagaView { state, compiled, journal }))
    }

    /// The journals of sagas.
    pub async fn load(&self, sagas: &[SagaId]) -> Result<Loaded, store::Error> {
        self.reader.load(sagas).await
    }

    /// The row of a saga in lists.
    pub async fn row(&self, id: SagaId) -> Result<Option<SagaRow>, store::Error> {
        self.reader.saga(id).await
    }

    /// At most `limit` entries of a saga's journal, after number `after`.
    pub async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, store::Error> {
        self.reader.journal(saga, after, limit).await
    }

    /// At most `limit` dead letters, newest first.
    pub async fn dead_letters(
        &self,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, store::Error> {
        self.reader.dead_letters(filter, limit).await
    }

    /// At most `limit` entries of the audit, newest first.
    pub async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, store::Error> {
        self.reader.audit(filter, limit).await
    }

    pub async fn stored_definitions(&self) -> Result<Vec<StoredDefinition>, store::Error> {
        self.reader.definitions().await
    }

    pub async fn stored_definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<StoredDefinition>, store::Error> {
        self.reader.definition(name, version).await
    }
}
