//! The store in memory, for simulation: it never waits, and the same calls give the same answers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Batch, DeadLetter, Error, Filter, OutboxId, Registered, SagaRow, ScheduleRun, Store, StoredDefinition,
    Unsent, journal,
};
use crate::saga::{Entry, Message, SagaId, Status, Time};

/// A [`Store`] that is gone with its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    definitions: BTreeMap<(String, u32), StoredDefinition>,
    sagas: BTreeMap<SagaId, SagaRow>,
    journal: BTreeMap<(SagaId, u32), Entry>,
    outbox: BTreeMap<OutboxId, Reserved>,
    timers: BTreeMap<SagaId, Time>,
    dead_letters: Vec<DeadLetter>,
    schedules: BTreeMap<(String, String), Time>,
}

#[derive(Debug)]
struct Reserved {
    until: Time,
    message: Arc<Message>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing in here panics halfway through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Whether a batch would append what is there already.
    fn conflicts(&self, batch: &Batch) -> bool {
        let mut keys = HashSet::new();
        let mut taken = |key| self.journal.contains_key(&key) || !keys.insert(key);
        batch.entries.iter().any(|appended| taken((appended.saga, appended.seq)))
    }

    /// # Panics
    ///
    /// If a batch is one that a database would refuse, so that a simulation finds whoever makes such batches.
    fn write(&mut self, batch: Batch) {
        assert!(all_differ(batch.sagas.iter().map(|saga| saga.id)), "a saga has two rows");
        assert!(all_differ(batch.wakes.iter().map(|(saga, _)| *saga)), "a saga has two wake-ups");
        let queued = batch.outbox.iter().map(|unsent| unsent.id);
        let sent = batch.sent.iter().copied().collect::<HashSet<_>>();
        assert!(
            all_differ(queued.chain(sent)),
            "a message is queued twice, or sent by the batch that queues it"
        );
        let until = batch.outbox_reserved_until;
        for appended in batch.entries {
            self.journal.insert((appended.saga, appended.seq), appended.entry);
        }
        for saga in batch.sagas {
            let row = self.sagas.entry(saga.id).or_insert_with(|| saga.clone());
            row.status = saga.status;
            row.changed_at = saga.changed_at;
        }
        for Unsent { id, message } in batch.outbox {
            self.outbox.insert(id, Reserved { until, message });
        }
        for id in batch.sent {
            self.outbox.remove(&id);
        }
        self.dead_letters.extend(batch.dead_letters);
        for (saga, due) in batch.wakes {
            match due {
                Some(due) => self.timers.insert(saga, due),
                None => self.timers.remove(&saga),
            };
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut tables = self.tables();
        if tables.conflicts(&batch) {
            return Err(Error::Conflict);
        }
        tables.write(batch);
        Ok(())
    }

    async fn load(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, Vec<Entry>>, Error> {
        let tables = self.tables();
        let mut loaded = HashMap::new();
        for saga in sagas {
            let rows = tables.journal.range((*saga, 0)..=(*saga, u32::MAX));
            let entries = journal(*saga, rows.map(|((_, seq), entry)| (*seq, entry.clone())))?;
            if !entries.is_empty() {
                loaded.insert(*saga, entries);
            }
        }
        Ok(loaded)
    }

    async fn claim_due(&self, now: Time, lease: Duration, limit: u32) -> Result<Vec<SagaId>, Error> {
        let mut tables = self.tables();
        let due = tables.timers.iter().filter(|(_, due)| **due <= now);
        let mut due: Vec<(Time, SagaId)> = due.map(|(saga, due)| (*due, *saga)).collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let claimed: Vec<SagaId> = due.into_iter().map(|(_, saga)| saga).collect();
        for saga in &claimed {
            tables.timers.insert(*saga, now.after(lease));
        }
        Ok(claimed)
    }

    async fn claim_unsent(&self, now: Time, lease: Duration, limit: u32) -> Result<Vec<Unsent>, Error> {
        let mut tables = self.tables();
        let free = tables.outbox.iter_mut().filter(|(_, row)| row.until <= now);
        let claimed = free.take(limit as usize).map(|(id, row)| {
            row.until = now.after(lease);
            Unsent { id: *id, message: Arc::clone(&row.message) }
        });
        Ok(claimed.collect())
    }

    async fn count_unsent(&self) -> Result<u64, Error> {
        Ok(self.tables().outbox.len() as u64)
    }

    async fn register(&self, definition: &StoredDefinition) -> Result<Registered, Error> {
        let key = (definition.name.clone(), definition.version);
        let mut tables = self.tables();
        match tables.definitions.get(&key) {
            None => {
                tables.definitions.insert(key, definition.clone());
                Ok(Registered::New)
            }
            Some(there) => Ok(Registered::compare(&there.digest, definition)),
        }
    }

    async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error> {
        Ok(self.tables().definitions.values().cloned().collect())
    }

    async fn definition(&self, name: &str, version: u32) -> Result<Option<StoredDefinition>, Error> {
        Ok(self.tables().definitions.get(&(name.to_owned(), version)).cloned())
    }

    async fn saga(&self, id: SagaId) -> Result<Option<SagaRow>, Error> {
        Ok(self.tables().sagas.get(&id).cloned())
    }

    async fn sagas(&self, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error> {
        let tables = self.tables();
        let mut matching: Vec<&SagaRow> =
            tables.sagas.values().filter(|saga| matches(filter, saga)).collect();
        matching.sort_unstable_by_key(|saga| std::cmp::Reverse((saga.started_at, saga.id)));
        Ok(matching.into_iter().take(limit as usize).cloned().collect())
    }

    async fn dead_letters(&self, saga: SagaId) -> Result<Vec<DeadLetter>, Error> {
        let tables = self.tables();
        Ok(tables.dead_letters.iter().filter(|letter| letter.saga == saga).cloned().collect())
    }

    async fn schedule_ran(&self, definition: &str, cron: &str, at: Time) -> Result<(), Error> {
        let mut tables = self.tables();
        let last = tables.schedules.entry((definition.to_owned(), cron.to_owned())).or_insert(at);
        *last = at.max(*last);
        Ok(())
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error> {
        let run = |((definition, cron), at): (&(String, String), &Time)| ScheduleRun {
            definition: definition.clone(),
            cron: cron.clone(),
            at: *at,
        };
        Ok(self.tables().schedules.iter().map(run).collect())
    }

    async fn count_by_status(&self) -> Result<HashMap<Status, u64>, Error> {
        let mut counts = HashMap::new();
        for saga in self.tables().sagas.values() {
            *counts.entry(saga.status).or_default() += 1;
        }
        Ok(counts)
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn all_differ<T: Eq + Hash>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

fn matches(filter: &Filter, saga: &SagaRow) -> bool {
    let Filter { definition, status, key, after } = filter;
    definition.as_deref().is_none_or(|name| *name == *saga.definition)
        && status.is_none_or(|status| status == saga.status)
        && (key.is_none() || *key == saga.key)
        && after.is_none_or(|after| (saga.started_at, saga.id) < after)
}
