//! One action on many sagas. It is first tried on all of them, so that the caller sees its effect and can confirm exactly that.

use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};

use crate::definitions::{self, Definitions, computing};
use crate::lane::audit::AuditContext;
use crate::lane::request::{SubmitError, SubmitOptions};
use crate::lane::submitter::Submitter;
use crate::operations::interventions::{self, Refusal};
use crate::queries::Queries;
use crate::queries::search::Query;
use snorri_core::input::{BulkAction, Intervention, Migrate};
use snorri_core::journal::By;
use snorri_core::{Input, Rejection, SagaId, State, Status, Time, transition};
use snorri_definition::Compiled;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, SagaRow};

/// Sagas that are changed concurrently.
const AT_ONCE: usize = 16;
/// Sagas whose journals are loaded at once for a trial.
const CHUNK: usize = 200;

/// The action on each saga.
#[derive(Debug, Clone)]
pub struct Action {
    name: BulkAction,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Effect {
    /// The same input for each saga.
    Input(fn(By) -> Input),
    Migrate(Arc<Compiled>),
}

/// The result for one saga, of the action or of its trial.
#[derive(Debug)]
pub struct BulkResult {
    pub saga: SagaId,
    /// `None`: there is no such saga any more.
    pub status: Option<Status>,
    pub refused: Option<SubmitError>,
}

impl Action {
    /// `None`: `migrate` needs the version to migrate to.
    pub fn new(name: BulkAction) -> Option<Self> {
        let input: fn(By) -> Input = match name {
            BulkAction::Cancel => Input::Cancel,
            BulkAction::Pause => Input::Pause,
            BulkAction::Resume => Input::Resume,
            BulkAction::Retry => |by| Input::Intervene { action: Intervention::Retry { step: None }, by },
            BulkAction::Skip => |by| Input::Intervene { action: Intervention::Skip { step: None }, by },
            BulkAction::Rollback => |by| Input::Intervene { action: Intervention::Rollback, by },
            BulkAction::Abandon => |by| Input::Intervene { action: Intervention::Abandon, by },
            BulkAction::Migrate => return None,
        };
        Some(Self { name, effect: Effect::Input(input) })
    }

    pub fn migrate(to: Arc<Compiled>) -> Self {
        Self { name: BulkAction::Migrate, effect: Effect::Migrate(to) }
    }

    /// Why the action would be refused for a saga.
    fn refused(&self, compiled: &Compiled, state: &State, by: &By, now: Time) -> Option<Rejection> {
        if let Effect::Migrate(to) = &self.effect
            && to.definition.version != state.version()
            && !state.status().is_final()
        {
            let obstacles = interventions::obstacles(compiled, to, state);
            return (!obstacles.is_empty()).then_some(Rejection::NotSafe(obstacles));
        }
        let decide = || transition(&compiled.definition, state, &self.input(by.clone()), now);
        computing::decide(compiled, state, decide).err()
    }

    fn input(&self, by: By) -> Input {
        match &self.effect {
            Effect::Input(input) => input(by),
            Effect::Migrate(to) => Input::Migrate(Box::new(Migrate { to: Arc::clone(&to.definition), by })),
        }
    }
}

/// Tries and executes bulk actions. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub(crate) submitter: Submitter,
    pub(crate) queries: Arc<Queries>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bulk {
    /// Tries an action on the sagas of a query, up to `limit` of them. Nothing is changed.
    pub async fn try_on(
        &self,
        action: &Action,
        query: &Query,
        limit: u32,
        by: &By,
    ) -> Result<Vec<BulkResult>, Refusal> {
        let sagas = self.queries.search_all(query, limit).await?;
        let mut outcomes = Vec::with_capacity(sagas.len());
        for chunk in sagas.chunks(CHUNK) {
            let ids: Vec<SagaId> = chunk.iter().map(|row| row.id).collect();
            let mut loaded = self.queries.load(&ids).await?;
            for row in chunk {
                outcomes.push(match loaded.take(row.id) {
                    Ok(journal) => self.try_one(row, &State::replay(row.id, &journal), action, by).await?,
                    Err(error) => BulkResult {
                        saga: row.id,
                        status: Some(row.status),
                        refused: Some(SubmitError::Unreadable(error.to_string())),
                    },
                });
            }
        }
        Ok(outcomes)
    }

    async fn try_one(
        &self,
        row: &SagaRow,
        state: &State,
        action: &Action,
        by: &By,
    ) -> Result<BulkResult, store::Error> {
        let refused = match self.definitions.find(&row.definition, Some(state.version())).await {
            Err(definitions::Error::Store(error)) => return Err(error),
            Err(error) => Some(SubmitError::Unreadable(error.to_string())),
            Ok(compiled) => action.refused(&compiled, state, by, self.clock.now()).map(Into::into),
        };
        Ok(BulkResult { saga: row.id, status: Some(row.status), refused })
    }

    /// Executes the action, some sagas concurrently. Dropping the stream stops it.
    pub fn run(
        &self,
        action: Action,
        sagas: Vec<SagaId>,
        by: By,
    ) -> impl Stream<Item = BulkResult> + Send + use<> {
        let bulk = self.clone();
        stream::iter(sagas)
            .map(move |saga| {
                let (bulk, action, by) = (bulk.clone(), action.clone(), by.clone());
                async move { bulk.run_one(&action, saga, by).await }
            })
            .buffered(AT_ONCE)
    }

    async fn run_one(&self, action: &Action, saga: SagaId, by: By) -> BulkResult {
        let audit = AuditContext { action: action.name.as_str(), step: None, by: by.clone() };
        let options = SubmitOptions { audit: Some(audit), ..SubmitOptions::of_request() };
        match self.submitter.submit_on(options, saga, action.input(by)).await {
            Ok(accepted) => BulkResult { saga, status: Some(accepted.status), refused: None },
            Err(refused) => {
                let row = self.queries.row(saga).await.ok().flatten();
                BulkResult { saga, status: row.map(|row| row.status), refused: Some(refused) }
            }
        }
    }
}
