//! One saga as people want to see it: its state, folded from its journal.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{Engine, definitions};
use crate::catalog::Compiled;
use crate::saga::state::{Incident, Outcome, Pending, StepState};
use crate::saga::{Direction, Entry, SagaId, State, Status, Time};
use crate::store;
pub use crate::store::{
    Appended, AuditEntry, AuditFilter, Count, DeadLetter, Filter, LetterFilter, SagaRow, StoredDefinition,
};

/// A saga, what it runs, and its journal.
#[derive(Debug)]
pub struct SagaView {
    pub state: State,
    pub compiled: Arc<Compiled>,
    pub journal: Vec<Entry>,
}

/// What became of a step, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    Awaiting,
    Backoff,
    Held,
    Completed,
    Failed,
    /// Its `when` was false.
    Omitted,
    /// For a signal, an event, or the end of a child saga.
    Waiting,
    Sleeping,
    Unknown,
    Compensating,
    Compensated,
}

/// One step as far as it came.
#[derive(Debug, Serialize)]
pub struct StepView {
    pub step: String,
    pub status: StepStatus,
    /// The last attempt that was sent, of the direction that the step is in.
    pub attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

impl Engine {
    /// The saga with this id, if it was ever started.
    pub async fn view(&self, id: SagaId) -> Result<Option<SagaView>, store::Error> {
        let Some(journal) = self.reader().load(&[id]).await?.remove(&id) else { return Ok(None) };
        let state = State::replay(id, &journal);
        let Some(started) = &state.started else { return Ok(None) };
        let found = self.definitions().find(&started.definition, Some(state.version())).await;
        let compiled = found.map_err(|error| match error {
            definitions::Error::Store(error) => error,
            error => store::Error::Corrupt(error.to_string()),
        })?;
        Ok(Some(SagaView { state, compiled, journal }))
    }

    /// What lists know of a saga.
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
    pub fn steps(&self) -> Vec<StepView> {
        let view = |(path, step): (&crate::saga::StepPath, &StepState)| {
            let direction = if step.undo.is_some() { Direction::Compensate } else { Direction::Forward };
            StepView {
                step: path.to_string(),
                status: status(step),
                attempt: step.attempts(direction).last,
                output: step.output().cloned(),
            }
        };
        self.state.steps.iter().map(view).collect()
    }

    pub fn incidents(&self) -> &[Incident] {
        &self.state.incidents
    }

    pub fn status(&self) -> Status {
        self.state.status()
    }

    pub fn changed_at(&self) -> Time {
        self.journal.last().map_or(self.state.started_at, |entry| entry.at)
    }
}

fn status(step: &StepState) -> StepStatus {
    let undo = step.undo.as_ref().map(|undo| undo.pending);
    match (undo, &step.outcome) {
        (Some(None), _) => StepStatus::Compensated,
        (Some(Some(Pending::Operator)), _) => StepStatus::Held,
        (Some(Some(_)), _) => StepStatus::Compensating,
        (None, Outcome::Pending(Pending::Reply { .. })) => StepStatus::Awaiting,
        (None, Outcome::Pending(Pending::Backoff { .. })) => StepStatus::Backoff,
        (None, Outcome::Pending(Pending::Operator)) => StepStatus::Held,
        (None, Outcome::Pending(Pending::Arrival { .. } | Pending::Child)) => StepStatus::Waiting,
        (None, Outcome::Pending(Pending::Sleep { .. })) => StepStatus::Sleeping,
        (None, Outcome::Omitted) => StepStatus::Omitted,
        (None, Outcome::Completed(_)) => StepStatus::Completed,
        (None, Outcome::Failed(_)) => StepStatus::Failed,
        (None, Outcome::Unknown { .. }) => StepStatus::Unknown,
    }
}
