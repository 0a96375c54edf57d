//! The sagas that ended lately: a start of one of them repeats an earlier one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use snorri_core::SagaId;

/// The most sagas that are remembered; at least half as many are. An id takes 16 bytes.
const MAX_ENDED: usize = 100_000;

/// The sagas that ended lately in this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndedSagas(Arc<Mutex<Generations>>);

/// The newer ones replace the older ones as soon as they are half of all.
#[derive(Debug, Default)]
struct Generations {
    newer: HashSet<SagaId>,
    older: HashSet<SagaId>,
}

impl EndedSagas {
    pub(crate) fn insert(&self, saga: SagaId) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.newer.insert(saga);
        if ended.newer.len() >= MAX_ENDED / 2 {
            ended.older = std::mem::take(&mut ended.newer);
        }
    }

    pub(crate) fn contains(&self, saga: SagaId) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.newer.contains(&saga) || ended.older.contains(&saga)
    }
}
