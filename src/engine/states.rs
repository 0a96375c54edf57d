//! The states of a batch's sagas: remembered, or read from the store.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::definitions::{self, Definitions};
use super::work::Work;
use crate::catalog::Compiled;
use crate::saga::{Entry, Input, SagaId, State};
use crate::store::{self, Store};

/// The sagas of a process that ended last are remembered up to this number, and at least half of it.
const MAX_ENDED: usize = 100_000;

/// The states of sagas that changed lately.
#[derive(Debug)]
pub struct HotStates {
    running: LruCache<SagaId, Known>,
    ended: Ended,
}

/// Sagas that ended lately. A start of one of them repeats an earlier one.
#[derive(Debug, Default)]
struct Ended {
    newer: HashSet<SagaId>,
    older: HashSet<SagaId>,
}

/// A saga's state, and the definition it is pinned to.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) state: State,
    pub(super) definition: Option<Arc<Compiled>>,
    /// Whether the state was remembered from an earlier batch, and not loaded for this one.
    pub(super) is_remembered: bool,
    /// The state before this batch, once the batch has decided something.
    before: Option<State>,
}

/// The sagas of a batch: those that can be decided about, and why the others cannot.
#[derive(Debug, Default)]
pub(super) struct States {
    pub(super) known: HashMap<SagaId, Known>,
    pub(super) unreadable: HashMap<SagaId, store::Error>,
}

impl HotStates {
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { running: LruCache::new(capacity), ended: Ended::default() }
    }

    pub(super) fn forget(&mut self, saga: SagaId) {
        self.running.pop(&saga);
    }

    /// Remembers what a batch has committed.
    pub(super) fn keep(&mut self, known: HashMap<SagaId, Known>) {
        for (id, known) in known {
            if known.state.ended.is_some() {
                self.ended.insert(id);
            } else if known.state.seq > 0 {
                self.running.put(id, Known { is_remembered: true, before: None, ..known });
            }
        }
    }

    /// Remembers again what a batch began with that was in conflict. Returns the sagas that another process has gone on with, which are
    /// not remembered.
    pub(super) async fn restore(
        &mut self,
        known: HashMap<SagaId, Known>,
        store: &dyn Store,
    ) -> Result<Vec<SagaId>, store::Error> {
        let heads = store.heads(&known.keys().copied().collect::<Vec<_>>()).await?;
        let mut changed = Vec::new();
        for (id, known) in known {
            if heads.get(&id).copied().unwrap_or_default() != known.stored_seq() {
                changed.push(id);
                continue;
            }
            let Known { state, before, definition, .. } = known;
            let state = before.unwrap_or(state);
            if state.seq > 0 {
                self.running.put(id, Known { state, definition, is_remembered: true, before: None });
            }
        }
        Ok(changed)
    }

    /// The states of all sagas in `works`. A start that is not known here is taken for the first one of its saga, unless the saga is
    /// among the `doubted` or has ended: a start that is taken for the first one and is not costs its whole batch a second commit.
    pub(super) async fn gather(
        &mut self,
        works: &[Work],
        doubted: &HashSet<SagaId>,
        store: &dyn Store,
        definitions: &Definitions,
    ) -> Result<States, store::Error> {
        let mut states = States { known: HashMap::with_capacity(works.len()), ..States::default() };
        let mut missing = HashSet::new();
        for Work { saga, input, .. } in works {
            if states.known.contains_key(saga) || missing.contains(saga) {
                continue;
            }
            if let Some(hot) = self.running.pop(saga) {
                states.known.insert(*saga, hot);
            } else if matches!(input, Input::Start(_))
                && !doubted.contains(saga)
                && !self.ended.contains(*saga)
            {
                states.known.insert(*saga, Known::of(State::new(*saga), None));
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

impl Ended {
    fn insert(&mut self, saga: SagaId) {
        self.newer.insert(saga);
        if self.newer.len() >= MAX_ENDED / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
    }

    fn contains(&self, saga: SagaId) -> bool {
        self.newer.contains(&saga) || self.older.contains(&saga)
    }
}

impl Known {
    fn of(state: State, definition: Option<Arc<Compiled>>) -> Self {
        Self { state, definition, is_remembered: false, before: None }
    }

    /// The entries that the journal has if nobody else has written to it.
    pub(super) fn stored_seq(&self) -> u32 {
        self.before.as_ref().unwrap_or(&self.state).seq
    }

    pub(super) fn advance(&mut self, state: State) {
        let before = std::mem::replace(&mut self.state, state);
        self.before.get_or_insert(before);
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

async fn read(id: SagaId, journal: &[Entry], definitions: &Definitions) -> Result<Known, store::Error> {
    let state = State::replay(id, journal);
    let definition = match &state.started {
        Some(started) => Some(definition(definitions, &started.definition, state.version()).await?),
        None => None,
    };
    Ok(Known::of(state, definition))
}

async fn definition(
    definitions: &Definitions,
    name: &str,
    version: u32,
) -> Result<Arc<Compiled>, store::Error> {
    definitions.find(name, Some(version)).await.map_err(|error| match error {
        definitions::Error::Store(error) => error,
        error => store::Error::Corrupt(error.to_string()),
    })
}
