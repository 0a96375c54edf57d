//! The states of a batch's sagas: cached, or loaded from the store.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use crate::definitions::{self, Definitions};
use crate::lane::ended::EndedSagas;
use crate::lane::request::{Accepted, Request, SubmitError};
use snorri_core::{Entry, Input, Rejection, SagaId, State};
use snorri_definition::Compiled;
use snorri_ports::store::{self, Store};

/// The states of sagas that changed lately.
#[derive(Debug)]
pub struct StateCache {
    running: LruCache<SagaId, CachedSaga>,
    ended: EndedSagas,
}

/// A saga's state, and the definition it is pinned to.
#[derive(Debug, Clone)]
pub(crate) struct CachedSaga {
    pub(crate) state: State,
    pub(crate) definition: Option<Arc<Compiled>>,
    /// Whether the state was cached by an earlier batch, and not loaded for this one.
    pub(crate) is_cached: bool,
    /// The number of entries of the journal, unless another process has written to it.
    pub(crate) stored_seq: u32,
}

/// The sagas of a batch: those that can be decided about, and why the others cannot.
#[derive(Debug, Default)]
pub(crate) struct States {
    pub(crate) known: HashMap<SagaId, CachedSaga>,
    pub(crate) unreadable: HashMap<SagaId, store::Error>,
}

impl StateCache {
    pub(crate) fn new(capacity: NonZeroUsize, ended: EndedSagas) -> Self {
        Self { running: LruCache::new(capacity), ended }
    }

    pub(crate) fn forget(&mut self, saga: SagaId) {
        self.running.pop(&saga);
    }

    /// Caches the states of a committed batch.
    pub(crate) fn keep(&mut self, known: HashMap<SagaId, CachedSaga>) {
        for (id, known) in known {
            if known.state.ended.is_some() {
                self.ended.insert(id);
            } else if known.state.seq > 0 {
                let stored_seq = known.state.seq;
                self.running.put(id, CachedSaga { is_cached: true, stored_seq, ..known });
            }
        }
    }

    /// The states of all sagas of these requests. A start that is unknown here is taken for the first one of its saga, unless the saga
    /// is among the `doubted` or has ended: a wrong guess costs the whole batch a second commit.
    pub(crate) async fn gather(
        &mut self,
        requests: &[Request],
        doubted: &HashSet<SagaId>,
        store: &dyn Store,
        definitions: &Definitions,
    ) -> Result<States, store::Error> {
        let mut states = States { known: HashMap::with_capacity(requests.len()), ..States::default() };
        let mut missing = HashSet::new();
        for Request { saga, input, .. } in requests {
            if states.known.contains_key(saga) || missing.contains(saga) {
                continue;
            }
            if let Some(cached) = self.running.pop(saga) {
                states.known.insert(*saga, cached);
            } else if matches!(input, Input::Start(_))
                && !doubted.contains(saga)
                && !self.ended.contains(*saga)
            {
                states.known.insert(*saga, CachedSaga::of(State::new(*saga), None));
            } else {
                missing.insert(*saga);
            }
        }
        if !missing.is_empty() {
            states.load(missing.into_iter().collect(), store, definitions).await?;
        }
        Ok(states)
    }
}

impl CachedSaga {
    fn of(state: State, definition: Option<Arc<Compiled>>) -> Self {
        Self { stored_seq: state.seq, state, definition, is_cached: false }
    }
}

impl States {
    async fn load(
        &mut self,
        missing: Vec<SagaId>,
        store: &dyn Store,
        definitions: &Definitions,
    ) -> Result<(), store::Error> {
        let mut loaded = store.load(&missing).await?;
        for id in missing {
            let read = match loaded.take(id) {
                Ok(journal) => read(id, &journal, definitions).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(known) => {
                    self.known.insert(id, known);
                }
                Err(error) if error.is_unreadable() => {
                    self.unreadable.insert(id, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn read(id: SagaId, journal: &[Entry], definitions: &Definitions) -> Result<CachedSaga, store::Error> {
    let state = State::replay(id, journal);
    let definition = match &state.started {
        Some(started) => Some(definition(definitions, &started.definition, state.version()).await?),
        None => None,
    };
    Ok(CachedSaga::of(state, definition))
}

/// A definition that a stored saga is pinned to.
pub(crate) async fn definition(
    definitions: &Definitions,
    name: &str,
    version: u32,
) -> Result<Arc<Compiled>, store::Error> {
    definitions.find(name, Some(version)).await.map_err(|error| match error {
        definitions::Error::Store(error) => error,
        error => store::Error::Corrupt(error.to_string()),
    })
}

/// Checks the rejected inputs of a batch: another process may have continued a saga whose state was cached.
///
/// # Errors
///
/// [`store::Error::Conflict`] if one has.
pub(crate) async fn check_rejected(
    store: &dyn Store,
    requests: &[Request],
    results: &[Result<Accepted, SubmitError>],
    known: &HashMap<SagaId, CachedSaga>,
) -> Result<(), store::Error> {
    let is_doubtful = |result: &Result<Accepted, SubmitError>| match result {
        Err(SubmitError::Rejected(rejection)) => !matches!(rejection, Rejection::AlreadyStarted { .. }),
        Err(SubmitError::Changed { .. }) => true,
        _ => false,
    };
    let doubtful = requests.iter().zip(results).filter(|(_, result)| is_doubtful(result));
    let cached: HashMap<SagaId, u32> = doubtful
        .filter_map(|(request, _)| Some((request.saga, known.get(&request.saga)?)))
        .filter(|(_, known)| known.is_cached)
        .map(|(saga, known)| (saga, known.stored_seq))
        .collect();
    if cached.is_empty() {
        return Ok(());
    }
    let heads = store.heads(&cached.keys().copied().collect::<Vec<_>>()).await?;
    let is_current = |(saga, seq): (&SagaId, &u32)| heads.get(saga) == Some(seq);
    if cached.iter().all(is_current) { Ok(()) } else { Err(store::Error::Conflict) }
}
