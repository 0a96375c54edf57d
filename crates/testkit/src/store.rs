//! A store that fails on demand.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use snorri_core::{SagaId, Time};
use snorri_ports::clock::Clock;
use snorri_ports::store::{
    Appended, AuditEntry, AuditFilter, Batch, BufferLimits, Buffered, BufferedEvent, Count, DeadLetter,
    Error, ExpiredLetters, Filter, Lease, LetterFilter, Loaded, OutboxRow, ProcessRow, Registered, SagaRow,
    ScheduleRun, Store, StoredDefinition, TokenKey,
};
use uuid::Uuid;

use crate::{Fault, Port, Process};

/// The store of one process.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    process: Arc<Process>,
    /// Sagas that can be neither read nor written.
    poisoned: Arc<Poisoned>,
    /// The clock of the database, if it differs from that of the wrapped store.
    clock: Option<Arc<dyn Clock>>,
}

/// The sagas that no process can read or write, as if their rows were damaged.
#[derive(Debug, Default)]
pub struct Poisoned(Mutex<BTreeSet<SagaId>>);

impl Poisoned {
    pub fn insert(&self, saga: SagaId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(saga);
    }

    /// Repairs this saga.
    pub fn remove(&self, saga: SagaId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&saga);
    }

    /// Repairs all sagas.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn contains(&self, saga: SagaId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&saga)
    }
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn Store>, process: Arc<Process>, poisoned: Arc<Poisoned>) -> Self {
        Self { inner, process, poisoned, clock: None }
    }

    /// Sets the clock of the database.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    async fn call<T>(
        &self,
        method: &'static str,
        act: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let failed = |fault: Fault| Error::Unavailable(format!("planned: {fault:?} of {method}").into());
        self.process.call(Port::Store, method, act, failed).await
    }

    fn check_writable(&self, batch: &Batch) -> Result<(), Error> {
        let of_entries = batch.entries.iter().map(|appended| appended.saga);
        let of_letters = batch.dead_letters.iter().filter_map(|letter| letter.saga);
        match of_entries.chain(of_letters).find(|saga| self.poisoned.contains(*saga)) {
            Some(saga) => Err(Error::Invalid(format!("planned: saga {saga} is poisoned"))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        let act = async {
            self.check_writable(&batch)?;
            self.inner.commit(batch.clone()).await?;
            self.process.observer().committed(self.process.name(), &batch);
            Ok(())
        };
        self.call("commit", act).await
    }

    async fn load(&self, sagas: &[SagaId]) -> Result<Loaded, Error> {
        let act = async {
            let mut loaded = self.inner.load(sagas).await?;
            for saga in sagas.iter().filter(|saga| self.poisoned.contains(**saga)) {
                loaded.journals.remove(saga);
                loaded.unreadable.insert(*saga, poisoned(*saga));
            }
            Ok(loaded)
        };
        self.call("load", act).await
    }

    async fn claim_due(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<SagaId>, Error> {
        self.call("claim_due", self.inner.claim_due(now, lease, limit)).await
    }

    async fn claim_unsent(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<OutboxRow>, Error> {
        self.call("claim_unsent", self.inner.claim_unsent(now, lease, limit)).await
    }

    async fn give_back(&self, rows: &[OutboxRow], at: Time) -> Result<(), Error> {
        let act = async {
            self.inner.give_back(rows, at).await?;
            self.process.observer().given_back(rows);
            Ok(())
        };
        self.call("give_back", act).await
    }

    async fn unsent_of(&self, sagas: &[SagaId]) -> Result<Vec<OutboxRow>, Error> {
        self.call("unsent_of", self.inner.unsent_of(sagas)).await
    }

    async fn count_unsent(&self, most: u32) -> Result<u64, Error> {
        self.call("count_unsent", self.inner.count_unsent(most)).await
    }

    async fn register(
        &self,
        definition: &StoredDefinition,
        audit: Option<&AuditEntry>,
    ) -> Result<Registered, Error> {
        self.call("register", self.inner.register(definition, audit)).await
    }

    async fn set_active(
        &self,
        name: &str,
        version: u32,
        active: bool,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        self.call("set_active", self.inner.set_active(name, version, active, audit)).await
    }

    async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error> {
        self.call("definitions", self.inner.definitions()).await
    }

    async fn definition(&self, name: &str, version: u32) -> Result<Option<StoredDefinition>, Error> {
        self.call("definition", self.inner.definition(name, version)).await
    }

    async fn saga(&self, id: SagaId) -> Result<Option<SagaRow>, Error> {
        self.call("saga", self.inner.saga(id)).await
    }

    async fn sagas(&self, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error> {
        self.call("sagas", self.inner.sagas(filter, limit)).await
    }

    async fn counts(&self) -> Result<Vec<Count>, Error> {
        self.call("counts", self.inner.counts()).await
    }

    async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, Error> {
        self.call("journal", self.inner.journal(saga, after, limit)).await
    }

    async fn heads(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, u32>, Error> {
        self.call("heads", self.inner.heads(sagas)).await
    }

    async fn appended_since(&self, at: Time, limit: u32) -> Result<Vec<Appended>, Error> {
        self.call("appended_since", self.inner.appended_since(at, limit)).await
    }

    async fn dead_letters(&self, filter: &LetterFilter, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        self.call("dead_letters", self.inner.dead_letters(filter, limit)).await
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, Error> {
        self.call("dead_letter", self.inner.dead_letter(id)).await
    }

    async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        self.call("audit", self.inner.audit(filter, limit)).await
    }

    async fn finished_before(
        &self,
        definition: &str,
        before: Time,
        after: Option<(Time, SagaId)>,
        limit: u32,
    ) -> Result<Vec<(Time, SagaId)>, Error> {
        self.call("finished_before", self.inner.finished_before(definition, before, after, limit)).await
    }

    async fn delete_sagas(&self, sagas: &[SagaId]) -> Result<u64, Error> {
        self.call("delete_sagas", self.inner.delete_sagas(sagas)).await
    }

    async fn buffer_event(&self, event: &BufferedEvent, limits: BufferLimits) -> Result<Buffered, Error> {
        self.call("buffer_event", self.inner.buffer_event(event, limits)).await
    }

    async fn buffered_events(&self, saga: SagaId, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        self.call("buffered_events", self.inner.buffered_events(saga, limit)).await
    }

    async fn sagas_with_buffered_events(&self, limit: u32) -> Result<Vec<SagaId>, Error> {
        self.call("sagas_with_buffered_events", self.inner.sagas_with_buffered_events(limit)).await
    }

    async fn expired_buffered_events(&self, now: Time, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        self.call("expired_buffered_events", self.inner.expired_buffered_events(now, limit)).await
    }

    async fn delete_dead_letters(&self, expired: ExpiredLetters, limit: u32) -> Result<u64, Error> {
        self.call("delete_dead_letters", self.inner.delete_dead_letters(expired, limit)).await
    }

    async fn schedule_ran(
        &self,
        definition: &str,
        schedule: &str,
        at: Time,
        valid_until: Time,
    ) -> Result<(), Error> {
        self.call("schedule_ran", self.inner.schedule_ran(definition, schedule, at, valid_until)).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error> {
        self.call("schedules", self.inner.schedules()).await
    }

    async fn token_keys(&self) -> Result<Vec<TokenKey>, Error> {
        self.call("token_keys", self.inner.token_keys()).await
    }

    async fn add_token_key(&self, key: &TokenKey, audit: Option<&AuditEntry>) -> Result<bool, Error> {
        self.call("add_token_key", self.inner.add_token_key(key, audit)).await
    }

    async fn process_seen(&self, process: Uuid, now: Time) -> Result<(), Error> {
        self.call("process_seen", self.inner.process_seen(process, now)).await
    }

    async fn processes(&self) -> Result<Vec<ProcessRow>, Error> {
        self.call("processes", self.inner.processes()).await
    }

    async fn release(&self, process: Uuid, now: Time) -> Result<(), Error> {
        self.call("release", self.inner.release(process, now)).await
    }

    async fn forget_process(&self, process: Uuid) -> Result<(), Error> {
        self.call("forget_process", self.inner.forget_process(process)).await
    }

    async fn identity(&self) -> Result<Uuid, Error> {
        self.call("identity", self.inner.identity()).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.call("check_store", self.inner.check()).await
    }

    async fn now(&self) -> Result<Option<Time>, Error> {
        let act = async {
            match &self.clock {
                Some(clock) => Ok(Some(clock.now())),
                None => self.inner.now().await,
            }
        };
        self.call("now", act).await
    }
}

fn poisoned(saga: SagaId) -> Error {
    Error::Corrupt(format!("planned: saga {saga} is poisoned"))
}
