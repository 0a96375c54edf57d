//! Rows in memory with a bounded age and number: buffered events and dead letters.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Tables;
use snorri_core::{SagaId, Time};
use snorri_ports::store::{BufferLimits, Buffered, BufferedEvent, DeadLetter, ExpiredLetters};

impl Tables {
    pub(super) fn buffer_event(&mut self, event: &BufferedEvent, limits: BufferLimits) -> Buffered {
        let of_saga: Vec<_> = self.buffered.values().filter(|kept| kept.saga == event.saga).collect();
        if of_saga.iter().any(|kept| kept.identity == event.identity) {
            return Buffered::Duplicate;
        }
        if of_saga.len() >= limits.per_saga as usize || self.buffered.len() >= limits.total as usize {
            return Buffered::Full;
        }
        self.buffered.insert(event.id, event.clone());
        Buffered::New
    }

    pub(super) fn buffered_events(&self, saga: SagaId, limit: u32) -> Vec<BufferedEvent> {
        let of_saga = self.buffered.values().filter(|kept| kept.saga == saga);
        of_saga.take(limit as usize).cloned().collect()
    }

    pub(super) fn sagas_with_buffered_events(&self, limit: u32) -> Vec<SagaId> {
        let sagas: BTreeSet<_> = self.buffered.values().map(|kept| kept.saga).collect();
        let started = sagas.into_iter().filter(|saga| self.sagas.contains_key(saga));
        started.take(limit as usize).collect()
    }

    pub(super) fn expired_buffered_events(&self, now: Time, limit: u32) -> Vec<BufferedEvent> {
        let mut expired: Vec<_> = self.buffered.values().filter(|kept| kept.expires_at <= now).collect();
        expired.sort_by_key(|kept| (kept.expires_at, kept.id));
        expired.into_iter().take(limit as usize).cloned().collect()
    }

    pub(super) fn delete_dead_letters(&mut self, expired: ExpiredLetters, limit: u32) -> u64 {
        let mut letters: Vec<&DeadLetter> = self.dead_letters.values().collect();
        letters.sort_by_key(|letter| (letter.at, letter.id));
        let ids: Vec<Uuid> = match expired {
            ExpiredLetters::Before(time) => {
                letters.iter().filter(|letter| letter.at < time).map(|letter| letter.id).collect()
            }
            ExpiredLetters::ResolvedBefore(time) => {
                let is_expired = |letter: &&&DeadLetter| letter.resolved_at.is_some_and(|at| at < time);
                letters.iter().filter(is_expired).map(|letter| letter.id).collect()
            }
            ExpiredLetters::Beyond(number) => {
                let surplus = letters.len().saturating_sub(number as usize);
                letters.iter().take(surplus).map(|letter| letter.id).collect()
            }
        };
        let deleted = ids.iter().take(limit as usize).filter(|id| self.dead_letters.remove(id).is_some());
        deleted.count() as u64
    }
}
