//! Searches for sagas: by the columns of the store, and by their current step.
//!
//! The store's rows do not have the current step of a saga: they would have to be written with every step. So the journals of
//! sagas that have not ended are examined, page after page, until enough are found or enough were examined; the caller
//! continues from there.

use crate::queries::Queries;
use snorri_core::{Direction, SagaId, State, StepPath, Time};
use snorri_ports::store::{self, Filter, SagaRow};

/// Most sagas that one search by step examines.
const MOST_LOOKED_AT: usize = 1_000;
/// Sagas that are loaded at once.
const CHUNK: u32 = 200;

/// The filter of a search.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub filter: Filter,
    /// Only those whose current step has this name or path.
    pub step: Option<String>,
}

/// The result, newest first.
#[derive(Debug)]
pub struct Found {
    pub sagas: Vec<SagaRow>,
    /// The last saga that was examined, if there may be more.
    pub next: Option<(Time, SagaId)>,
}

impl Queries {
    /// Finds at most `limit` sagas. It may return fewer although there are more from `next` on.
    pub async fn search(&self, query: &Query, limit: u32) -> Result<Found, store::Error> {
        let Some(step) = &query.step else {
            let sagas = self.reader.sagas(&query.filter, limit).await?;
            let next = sagas.last().filter(|_| sagas.len() >= limit as usize).map(position);
            return Ok(Found { sagas, next });
        };
        let mut filter = Filter { unfinished: true, ..query.filter.clone() };
        let mut found = Found { sagas: Vec::new(), next: None };
        let mut looked_at = 0;
        while looked_at < MOST_LOOKED_AT {
            let rows = self.reader.sagas(&filter, CHUNK).await?;
            let is_last = rows.len() < CHUNK as usize;
            looked_at += rows.len();
            let ids: Vec<SagaId> = rows.iter().map(|row| row.id).collect();
            let mut loaded = self.reader.load(&ids).await?;
            for row in rows {
                found.next = Some(position(&row));
                // The current step of an unreadable saga is unknown.
                let journal = loaded.take(row.id);
                if journal.is_ok_and(|journal| is_at(&State::replay(row.id, &journal), step)) {
                    found.sagas.push(row);
                }
                if found.sagas.len() >= limit as usize {
                    return Ok(found);
                }
            }
            if is_last {
                return Ok(Found { next: None, ..found });
            }
            filter.after = found.next;
        }
        Ok(found)
    }

    /// Finds up to `limit` sagas, however many pages that takes.
    pub async fn search_all(&self, query: &Query, limit: u32) -> Result<Vec<SagaRow>, store::Error> {
        const PAGE: u32 = 500;
        let mut query = query.clone();
        let mut sagas = Vec::new();
        loop {
            let left = limit.saturating_sub(u32::try_from(sagas.len()).unwrap_or(u32::MAX));
            let found = self.search(&query, left.min(PAGE)).await?;
            sagas.extend(found.sagas);
            match found.next {
                Some(next) if sagas.len() < limit as usize => query.filter.after = Some(next),
                _ => return Ok(sagas),
            }
        }
    }
}

fn position(row: &SagaRow) -> (Time, SagaId) {
    (row.started_at, row.id)
}

/// Whether something about the step has no outcome yet.
fn is_at(state: &State, wanted: &str) -> bool {
    let is_pending = |path: &StepPath| {
        state.step(path).is_some_and(|step| {
            [Direction::Forward, Direction::Compensate]
                .into_iter()
                .any(|direction| step.pending(direction).is_some())
        })
    };
    state.steps.keys().any(|path| (*path.name() == *wanted || path.to_string() == wanted) && is_pending(path))
}
