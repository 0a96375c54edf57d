//! Doing the same to many sagas. First it is tried out on all of them, so that whoever asks sees what it would do, and can
//! say that just this is meant.

use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};

use super::computing;
use super::operator::{self, Asked, Refusal, Terms};
use super::search::Query;
use super::{Engine, SubmitError};
use crate::catalog::Compiled;
use crate::saga::input::{Intervention, Migrate};
use crate::saga::journal::By;
use crate::saga::{Ignored, Input, SagaId, State, Status, Time, transition};
use crate::store::{self, SagaRow};

/// Sagas that are changed side by side.
const AT_ONCE: usize = 16;
/// Sagas whose journals are loaded at once for a trial.
const CHUNK: usize = 200;

/// What to do to each saga.
#[derive(Debug, Clone)]
pub enum Action {
    Cancel,
    Pause,
    Resume,
    Retry,
    Skip,
    RollBack,
    Abandon,
    Migrate { to: Arc<Compiled> },
}

/// What became of one saga, or would.
#[derive(Debug)]
pub struct Outcome {
    pub saga: SagaId,
    /// `None`: there is no such saga any more.
    pub status: Option<Status>,
    pub refused: Option<SubmitError>,
}

impl Action {
    /// Its name in the journal and the audit.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::RollBack => "roll_back",
            Self::Abandon => "abandon",
            Self::Migrate { .. } => "migrate",
        }
    }

    /// Why it would not be done to a saga.
    fn refused(&self, compiled: &Compiled, state: &State, by: &By, now: Time) -> Option<Ignored> {
        if let Self::Migrate { to } = self
            && to.definition.version != state.version()
            && !state.status().is_final()
        {
            let obstacles = operator::obstacles(compiled, to, state);
            return (!obstacles.is_empty()).then_some(Ignored::NotSafe(obstacles));
        }
        let decide = || transition(&compiled.definition, state, &self.input(by.clone()), now);
        computing::decide(compiled, state, decide).err()
    }

    fn input(&self, by: By) -> Input {
        let intervene = |action, by| Input::Intervene { action, by };
        match self {
            Self::Cancel => Input::Cancel(by),
            Self::Pause => Input::Pause(by),
            Self::Resume => Input::Resume(by),
            Self::Retry => intervene(Intervention::Retry { step: None }, by),
            Self::Skip => intervene(Intervention::Skip { step: None }, by),
            Self::RollBack => intervene(Intervention::RollBack, by),
            Self::Abandon => intervene(Intervention::Abandon, by),
            Self::Migrate { to } => Input::Migrate(Box::new(Migrate { to: Arc::clone(&to.definition), by })),
        }
    }
}

impl Engine {
    /// What an action would do to the sagas of a query, up to `limit` of them.
    pub async fn try_bulk(
        &self,
        action: &Action,
        query: &Query,
        limit: u32,
        by: &By,
    ) -> Result<Vec<Outcome>, Refusal> {
        let sagas = self.search_all(query, limit).await?;
        let mut outcomes = Vec::with_capacity(sagas.len());
        for chunk in sagas.chunks(CHUNK) {
            let ids: Vec<SagaId> = chunk.iter().map(|row| row.id).collect();
            let mut loaded = self.reader().load(&ids).await?;
            for row in chunk {
                outcomes.push(match loaded.take(row.id) {
                    Ok(journal) => self.try_one(row, &State::replay(row.id, &journal), action, by).await?,
                    Err(error) => Outcome {
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
    ) -> Result<Outcome, store::Error> {
        let refused = match self.definitions().find(&row.definition, Some(state.version())).await {
            Err(super::definitions::Error::Store(error)) => return Err(error),
            Err(error) => Some(SubmitError::Unreadable(error.to_string())),
            Ok(compiled) => action.refused(&compiled, state, by, self.clock().now()).map(Into::into),
        };
        Ok(Outcome { saga: row.id, status: Some(row.status), refused })
    }

    /// Does it, saga after saga, some side by side. Whoever stops listening stops it.
    pub fn do_bulk(
        &self,
        action: Action,
        sagas: Vec<SagaId>,
        by: By,
    ) -> impl Stream<Item = Outcome> + Send + use<> {
        let engine = self.clone();
        stream::iter(sagas)
            .map(move |saga| {
                let (engine, action, by) = (engine.clone(), action.clone(), by.clone());
                async move { engine.do_one(&action, saga, by).await }
            })
            .buffered(AT_ONCE)
    }

    async fn do_one(&self, action: &Action, saga: SagaId, by: By) -> Outcome {
        let asked = Asked { action: action.name(), step: None, by: by.clone() };
        let terms = Terms { asked: Some(asked), ..Terms::of_request() };
        match self.submit_on(terms, saga, action.input(by)).await {
            Ok(accepted) => Outcome { saga, status: Some(accepted.status), refused: None },
            Err(refused) => {
                let row = self.reader().saga(saga).await.ok().flatten();
                Outcome { saga, status: row.map(|row| row.status), refused: Some(refused) }
            }
        }
    }
}
