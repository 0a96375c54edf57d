//! The store in memory, for simulation: it never waits, and the same calls give the same answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use snorri_core::{Entry, SagaId, Time};
use snorri_ports::store::{
    Appended, AuditEntry, AuditFilter, Batch, BufferLimits, Buffered, BufferedEvent, Count, DeadLetter,
    Error, ExpiredLetters, Filter, Lease, LetterFilter, Loaded, MAX_TOKEN_KEYS, MessageRef, OutboxId,
    OutboxRow, ProcessRow, Registered, SagaRow, ScheduleRun, Store, StoredDefinition, TokenKey,
};

mod claims;
mod expiring;
mod writing;

/// A [`Store`] that is lost with its process.
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
    timers: BTreeMap<SagaId, Timer>,
    processes: BTreeMap<Uuid, ProcessRow>,
    incidents: BTreeMap<SagaId, Vec<String>>,
    attributes: BTreeMap<SagaId, BTreeMap<String, String>>,
    dead_letters: BTreeMap<Uuid, DeadLetter>,
    buffered: BTreeMap<Uuid, BufferedEvent>,
    audit: Vec<AuditEntry>,
    schedules: BTreeMap<(String, String), Time>,
    token_keys: BTreeMap<u32, TokenKey>,
}

#[derive(Debug)]
struct Timer {
    due: Time,
    holder: Option<Uuid>,
}

#[derive(Debug)]
struct Reserved {
    until: Time,
    holder: Option<Uuid>,
    messages: Vec<MessageRef>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// No change in here panics halfway.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn matches(&self, filter: &Filter, saga: &SagaRow) -> bool {
        let has_incident =
            |code| self.incidents.get(&saga.id).is_some_and(|codes| codes.iter().any(|open| open == code));
        let has_attribute = |(name, value): &(String, String)| {
            self.attributes.get(&saga.id).is_some_and(|of| of.get(name) == Some(value))
        };
        filter.takes(saga)
            && filter.incident.as_ref().is_none_or(has_incident)
            && filter.attribute.as_ref().is_none_or(has_attribute)
    }

    /// Whether a saga is final, and all of its messages are sent.
    fn can_go(&self, saga: SagaId) -> bool {
        self.sagas.get(&saga).is_some_and(|row| row.status.is_final())
            && !self.outbox.values().flat_map(|row| &row.messages).any(|message| message.saga == saga)
    }

    fn appended(&self, ((saga, seq), entry): (&(SagaId, u32), &Entry)) -> Appended {
        let started_at = self.sagas.get(saga).map_or(entry.at, |row| row.started_at);
        Appended { saga: *saga, started_at, seq: *seq, entry: entry.clone() }
    }

    fn delete(&mut self, saga: SagaId) {
        self.sagas.remove(&saga);
        self.journal.retain(|(of, _), _| *of != saga);
        self.timers.remove(&saga);
        self.incidents.remove(&saga);
        self.attributes.remove(&saga);
        self.dead_letters.retain(|_, letter| letter.saga != Some(saga));
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

    async fn load(&self, sagas: &[SagaId]) -> Result<Loaded, Error> {
        let tables = self.tables();
        let mut loaded = Loaded::default();
        for saga in sagas {
            let rows = tables.journal.range((*saga, 0)..=(*saga, u32::MAX));
            loaded.add(*saga, rows.map(|((_, seq), entry)| Ok((*seq, entry.clone()))));
        }
        Ok(loaded)
    }

    async fn heads(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, u32>, Error> {
        let tables = self.tables();
        let head = |saga: &SagaId| {
            let ((saga, seq), _) = tables.journal.range((*saga, 0)..=(*saga, u32::MAX)).next_back()?;
            Some((*saga, *seq))
        };
        Ok(sagas.iter().filter_map(head).collect())
    }

    async fn claim_due(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<SagaId>, Error> {
        Ok(self.tables().claim_due(now, lease, limit))
    }

    async fn claim_unsent(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<OutboxRow>, Error> {
        Ok(self.tables().claim_unsent(now, lease, limit))
    }

    async fn unsent_of(&self, sagas: &[SagaId]) -> Result<Vec<OutboxRow>, Error> {
        Ok(self.tables().unsent_of(sagas))
    }

    async fn give_back(&self, rows: &[OutboxRow], at: Time) -> Result<(), Error> {
        self.tables().give_back(rows, at);
        Ok(())
    }

    async fn now(&self) -> Result<Option<Time>, Error> {
        Ok(None)
    }

    async fn process_seen(&self, process: Uuid, now: Time) -> Result<(), Error> {
        let row = ProcessRow { id: process, seen_at: now, ended_at: None };
        self.tables().processes.insert(process, row);
        Ok(())
    }

    async fn processes(&self) -> Result<Vec<ProcessRow>, Error> {
        Ok(self.tables().processes.values().copied().collect())
    }

    async fn release(&self, process: Uuid, now: Time) -> Result<(), Error> {
        self.tables().release(process, now);
        Ok(())
    }

    async fn forget_process(&self, process: Uuid) -> Result<(), Error> {
        self.tables().processes.retain(|id, row| *id != process || row.ended_at.is_none());
        Ok(())
    }

    async fn count_unsent(&self, most: u32) -> Result<u64, Error> {
        let unsent: usize = self.tables().outbox.values().map(|row| row.messages.len()).sum();
        Ok(u64::from(most).min(unsent as u64))
    }

    async fn register(
        &self,
        definition: &StoredDefinition,
        audit: Option<&AuditEntry>,
    ) -> Result<Registered, Error> {
        let key = (definition.name.clone(), definition.version);
        let mut tables = self.tables();
        match tables.definitions.get(&key) {
            None => {
                tables.definitions.insert(key, definition.clone());
                tables.audit.extend(audit.cloned());
                Ok(Registered::New)
            }
            Some(there) => Ok(Registered::compare(&there.digest, definition)),
        }
    }

    async fn set_active(
        &self,
        name: &str,
        version: u32,
        active: bool,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        let mut tables = self.tables();
        let known = tables.definitions.get_mut(&(name.to_owned(), version));
        let Some(definition) = known.filter(|known| known.active != active) else { return Ok(false) };
        definition.active = active;
        tables.audit.push(audit.clone());
        Ok(true)
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
            tables.sagas.values().filter(|saga| tables.matches(filter, saga)).collect();
        matching.sort_unstable_by_key(|saga| Reverse((saga.started_at, saga.id)));
        Ok(matching.into_iter().take(limit as usize).cloned().collect())
    }

    async fn counts(&self) -> Result<Vec<Count>, Error> {
        let mut counts = BTreeMap::<_, Count>::new();
        for SagaRow { definition, version, status, .. } in self.tables().sagas.values() {
            let none =
                Count { definition: definition.to_string(), version: *version, status: *status, count: 0 };
            counts.entry((definition.clone(), *version, status.as_str())).or_insert(none).count += 1;
        }
        Ok(counts.into_values().collect())
    }

    async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, Error> {
        let tables = self.tables();
        let rows = tables.journal.range((saga, after.saturating_add(1))..=(saga, u32::MAX));
        Ok(rows.take(limit as usize).map(|row| tables.appended(row)).collect())
    }

    async fn appended_since(&self, at: Time, limit: u32) -> Result<Vec<Appended>, Error> {
        let tables = self.tables();
        let mut since: Vec<_> = tables.journal.iter().filter(|(_, entry)| entry.at >= at).collect();
        since.sort_unstable_by_key(|(key, entry)| (entry.at, **key));
        Ok(since.into_iter().take(limit as usize).map(|row| tables.appended(row)).collect())
    }

    async fn dead_letters(&self, filter: &LetterFilter, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        let tables = self.tables();
        let mut matching: Vec<_> =
            tables.dead_letters.values().filter(|letter| filter.takes(letter)).collect();
        matching.sort_unstable_by_key(|letter| Reverse((letter.at, letter.id)));
        Ok(matching.into_iter().take(limit as usize).cloned().collect())
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, Error> {
        Ok(self.tables().dead_letters.get(&id).cloned())
    }

    async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let tables = self.tables();
        let mut matching: Vec<_> = tables.audit.iter().filter(|entry| filter.takes(entry)).collect();
        matching.sort_unstable_by_key(|entry| Reverse((entry.at, entry.id)));
        Ok(matching.into_iter().take(limit as usize).cloned().collect())
    }

    async fn finished_before(
        &self,
        definition: &str,
        before: Time,
        after: Option<(Time, SagaId)>,
        limit: u32,
    ) -> Result<Vec<(Time, SagaId)>, Error> {
        let tables = self.tables();
        let is_wanted = |saga: &&SagaRow| {
            saga.status.is_final() && saga.changed_at < before && *saga.definition == *definition
        };
        let matching = tables.sagas.values().filter(is_wanted).map(|saga| (saga.started_at, saga.id));
        let mut matching: Vec<_> = matching.filter(|key| after.is_none_or(|after| *key > after)).collect();
        matching.sort_unstable();
        matching.truncate(limit as usize);
        Ok(matching)
    }

    async fn delete_sagas(&self, sagas: &[SagaId]) -> Result<u64, Error> {
        let mut tables = self.tables();
        let mut deleted = 0;
        for saga in sagas {
            if tables.can_go(*saga) {
                tables.delete(*saga);
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    async fn buffer_event(&self, event: &BufferedEvent, limits: BufferLimits) -> Result<Buffered, Error> {
        Ok(self.tables().buffer_event(event, limits))
    }

    async fn buffered_events(&self, saga: SagaId, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        Ok(self.tables().buffered_events(saga, limit))
    }

    async fn sagas_with_buffered_events(&self, limit: u32) -> Result<Vec<SagaId>, Error> {
        Ok(self.tables().sagas_with_buffered_events(limit))
    }

    async fn expired_buffered_events(&self, now: Time, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        Ok(self.tables().expired_buffered_events(now, limit))
    }

    async fn delete_dead_letters(&self, expired: ExpiredLetters, limit: u32) -> Result<u64, Error> {
        Ok(self.tables().delete_dead_letters(expired, limit))
    }

    async fn schedule_ran(
        &self,
        definition: &str,
        schedule: &str,
        at: Time,
        valid_until: Time,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let last = tables.schedules.entry((definition.to_owned(), schedule.to_owned())).or_insert(at);
        *last = if *last > valid_until { at } else { at.max(*last) };
        Ok(())
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error> {
        let run = |((definition, schedule), at): (&(String, String), &Time)| {
            let (definition, schedule) = (definition.clone(), schedule.clone());
            ScheduleRun { definition, schedule, at: *at }
        };
        Ok(self.tables().schedules.iter().map(run).collect())
    }

    async fn token_keys(&self) -> Result<Vec<TokenKey>, Error> {
        Ok(self.tables().token_keys.values().rev().cloned().collect())
    }

    async fn add_token_key(&self, key: &TokenKey, audit: Option<&AuditEntry>) -> Result<bool, Error> {
        let mut tables = self.tables();
        if tables.token_keys.contains_key(&key.number) {
            return Ok(false);
        }
        tables.token_keys.insert(key.number, key.clone());
        tables.token_keys.retain(|number, _| number + MAX_TOKEN_KEYS > key.number);
        tables.audit.extend(audit.cloned());
        Ok(true)
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
