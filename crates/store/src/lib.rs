//! The store on a database: PostgreSQL for production, SQLite for a single process without further services.
//!
//! The only crate that uses sea-orm. In reading order:
//!
//! - `sql_store`: the connections, and running a statement on them
//! - `session/connect`, `session/settings`: connections, migrations; options and what each session is set to
//! - `commit`: writes a batch, the hot path of the product
//! - `aside`: the rare parts of a batch
//! - `parameters`: the parameters of statements
//! - `commit/claim`: claims due timers and unsent messages
//! - `read`: journals
//! - `read/list`, `read/question`: lists of sagas, and queries by changing conditions
//! - `definitions`, `read/records`: definitions; dead letters, the audit, and the runs of schedules
//! - `buffer`: events and signals that arrived before their saga
//! - `retain`: finds and deletes sagas that ended long ago
//! - `token_keys`: the keys of correlation tokens
//! - `processes`: the processes that are alive, and the rows that they have reserved
//! - `session/identity`: the id of the database
//! - `commit/locks`: whether another session blocks all commits
//! - `entity`: the table whose statements sea-orm builds
//! - `session/error`, `read/stored`: the meaning of a database's error; rows that cannot be read
//! - `session/probe`, `session/switching`: the writable database, at the start and after a failover
//! - `session/recycling`: sessions that are not used again
//! - `commit/writer`: the connection that writes to SQLite
//!
//! The hot paths are one constant SQL text for each database, prepared once on each connection; the others are built by
//! sea-orm. Every statement is its own transaction where one statement suffices, because a single statement can be dropped
//! halfway. sea-orm's `begin` may return a connection with a transaction open when it is dropped: on SQLite, a transaction of
//! several statements has a connection that is closed then.

use std::collections::HashMap;

use async_trait::async_trait;
use uuid::Uuid;

use snorri_core::{SagaId, Time};
use snorri_ports::store::{
    Appended, AuditEntry, AuditFilter, Batch, BufferLimits, Buffered, BufferedEvent, Count, DeadLetter,
    Error, ExpiredLetters, Filter, Lease, LetterFilter, Loaded, OutboxRow, ProcessRow, Registered, SagaRow,
    ScheduleRun, Store, StoredDefinition, TokenKey,
};

mod aside;
mod buffer;
mod commit;
mod definitions;
mod entity;
mod outbox;
mod parameters;
mod processes;
mod read;
mod retain;
mod session;
mod sql_store;
mod token_keys;

pub use session::probe::ConnectError;
pub use session::settings::Options;
use sql_store::Dialect;
pub use sql_store::SqlStore;

impl SqlStore {
    /// Connects, and migrates the schema if the options ask for that.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if no database is writable, or its schema cannot be migrated.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        session::connect::connect(options).await
    }

    /// Closes all connections, once their work is done.
    pub async fn close(&self) {
        if let Dialect::Sqlite(writer) = &self.dialect {
            writer.close().await;
        }
        // The only error is that it is closed already.
        let _ = self.db.close_by_ref().await;
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        self.patiently(commit::commit(self, batch)).await
    }

    async fn load(&self, sagas: &[SagaId]) -> Result<Loaded, Error> {
        self.patiently(read::load(self, sagas)).await
    }

    async fn heads(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, u32>, Error> {
        self.patiently(read::heads(self, sagas)).await
    }

    async fn claim_due(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<SagaId>, Error> {
        self.patiently(commit::claim::due(self, now, lease, limit)).await
    }

    async fn claim_unsent(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<OutboxRow>, Error> {
        self.patiently(outbox::claim(self, now, lease, limit)).await
    }

    async fn give_back(&self, rows: &[OutboxRow], at: Time) -> Result<(), Error> {
        self.patiently(outbox::give_back(self, rows, at)).await
    }

    async fn unsent_of(&self, sagas: &[SagaId]) -> Result<Vec<OutboxRow>, Error> {
        self.patiently(outbox::unsent_of(self, sagas)).await
    }

    async fn count_unsent(&self, most: u32) -> Result<u64, Error> {
        self.patiently(outbox::count(self, most)).await
    }

    async fn register(
        &self,
        definition: &StoredDefinition,
        audit: Option<&AuditEntry>,
    ) -> Result<Registered, Error> {
        self.patiently(definitions::register(self, definition, audit)).await
    }

    async fn set_active(
        &self,
        name: &str,
        version: u32,
        active: bool,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        self.patiently(definitions::set_active(self, name, version, active, audit)).await
    }

    async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error> {
        self.patiently(definitions::definitions(self)).await
    }

    async fn definition(&self, name: &str, version: u32) -> Result<Option<StoredDefinition>, Error> {
        self.patiently(definitions::definition(self, name, version)).await
    }

    async fn saga(&self, id: SagaId) -> Result<Option<SagaRow>, Error> {
        self.patiently(read::list::saga(self, id)).await
    }

    async fn sagas(&self, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error> {
        self.patiently(read::list::sagas(self, filter, limit)).await
    }

    async fn buffer_event(&self, event: &BufferedEvent, limits: BufferLimits) -> Result<Buffered, Error> {
        self.patiently(buffer::insert(self, event, limits)).await
    }

    async fn buffered_events(&self, saga: SagaId, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        self.patiently(buffer::of_saga(self, saga, limit)).await
    }

    async fn sagas_with_buffered_events(&self, limit: u32) -> Result<Vec<SagaId>, Error> {
        self.patiently(buffer::started_sagas(self, limit)).await
    }

    async fn expired_buffered_events(&self, now: Time, limit: u32) -> Result<Vec<BufferedEvent>, Error> {
        self.patiently(buffer::expired(self, now, limit)).await
    }

    async fn delete_dead_letters(&self, expired: ExpiredLetters, limit: u32) -> Result<u64, Error> {
        self.patiently(retain::delete_dead_letters(self, expired, limit)).await
    }

    async fn schedule_ran(
        &self,
        definition: &str,
        schedule: &str,
        at: Time,
        valid_until: Time,
    ) -> Result<(), Error> {
        self.patiently(read::records::schedule_ran(self, definition, schedule, at, valid_until)).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error> {
        self.patiently(read::records::schedules(self)).await
    }

    async fn counts(&self) -> Result<Vec<Count>, Error> {
        self.patiently(read::list::counts(self)).await
    }

    async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, Error> {
        self.patiently(read::page(self, saga, after, limit)).await
    }

    async fn appended_since(&self, at: Time, limit: u32) -> Result<Vec<Appended>, Error> {
        self.patiently(read::appended_since(self, at, limit)).await
    }

    async fn dead_letters(&self, filter: &LetterFilter, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        self.patiently(read::records::dead_letters(self, filter, limit)).await
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, Error> {
        self.patiently(read::records::dead_letter(self, id)).await
    }

    async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        self.patiently(read::records::audit(self, filter, limit)).await
    }

    async fn finished_before(
        &self,
        definition: &str,
        before: Time,
        after: Option<(Time, SagaId)>,
        limit: u32,
    ) -> Result<Vec<(Time, SagaId)>, Error> {
        self.patiently(retain::finished_before(self, definition, before, after, limit)).await
    }

    async fn delete_sagas(&self, sagas: &[SagaId]) -> Result<u64, Error> {
        self.patiently(retain::delete(self, sagas)).await
    }

    async fn token_keys(&self) -> Result<Vec<TokenKey>, Error> {
        self.patiently(token_keys::newest(self)).await
    }

    async fn add_token_key(&self, key: &TokenKey, audit: Option<&AuditEntry>) -> Result<bool, Error> {
        self.patiently(token_keys::add(self, key, audit)).await
    }

    async fn process_seen(&self, process: Uuid, now: Time) -> Result<(), Error> {
        self.patiently(processes::seen(self, process, now)).await
    }

    async fn processes(&self) -> Result<Vec<ProcessRow>, Error> {
        self.patiently(processes::all(self)).await
    }

    async fn release(&self, process: Uuid, now: Time) -> Result<(), Error> {
        self.patiently(processes::release(self, process, now)).await
    }

    async fn forget_process(&self, process: Uuid) -> Result<(), Error> {
        self.patiently(processes::forget(self, process)).await
    }

    async fn now(&self) -> Result<Option<Time>, Error> {
        self.patiently(processes::now(self)).await
    }

    async fn identity(&self) -> Result<Uuid, Error> {
        self.patiently(session::identity::identity(self)).await
    }

    async fn check(&self) -> Result<(), Error> {
        let check = async {
            session::connect::check(&self.db).await?;
            commit::locks::check(self).await
        };
        self.patiently(check).await
    }
}
