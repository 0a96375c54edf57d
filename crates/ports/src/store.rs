//! The store: the journals of sagas, and everything that is derived from them.
//!
//! A store reads journal entries only as far as writing them requires; it decides nothing.
//!
//! The key of an entry is the only lock: the writer of seq n has decided on the state at n - 1, and everything else
//! that it decided is written in the same transaction or not at all.
//!
//! In reading order: `rows`, the rows that are written; `query`, the filters of queries; [`Store`].

use async_trait::async_trait;
use std::collections::HashMap;
use uuid::Uuid;

use snorri_core::{Entry, SagaId, Time};

mod query;
mod rows;

pub use query::{AuditFilter, Count, Filter, LetterFilter};
pub use rows::{
    Appended, Attributes, AuditEntry, Batch, BufferLimits, Buffered, BufferedEvent, ChangedSaga, DeadLetter,
    ExpiredLetters, Lease, MessageRef, OpenIncidents, OutboxId, OutboxRow, ProcessRow, Registered, SagaRow,
    ScheduleRun, Secret, StoredDefinition, TokenKey,
};

/// Keys of correlation tokens that are kept: one that signs, the one before it, and one that is to sign soon.
pub const MAX_TOKEN_KEYS: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another writer appended to one of these sagas. Load them and decide again.
    #[error("another writer was first")]
    Conflict,
    /// The database did not answer, or not in time. Whether a commit happened is unknown.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database answers and refuses a value: it cannot hold it. Trying again does not help.
    #[error("the database cannot store or look up a value: {0}")]
    Invalid(String),
    /// The database answers and gave up on a statement: it took too long or too much memory. A smaller batch may succeed.
    #[error("the database gave up on a statement: {0}")]
    Exhausted(String),
    /// A stored row cannot be read.
    #[error("what is stored cannot be read: {0}")]
    Corrupt(String),
    /// A row was written by a newer version of this program, and is left to processes of that version.
    #[error("what is stored was written by a newer version of this program: {0}")]
    Newer(String),
}

impl Error {
    /// Whether the error is about an unreadable row, and not about the database.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Newer(_))
    }
}

/// The journals that [`Store::load`] found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The whole journals, in order. Sagas that were never started are absent.
    pub journals: HashMap<SagaId, Vec<Entry>>,
    /// Sagas with an entry that cannot be read: [`Error::Corrupt`] or [`Error::Newer`].
    pub unreadable: HashMap<SagaId, Error>,
}

impl Loaded {
    /// The journal of one saga: empty if the saga was never started.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] or [`Error::Newer`] if it cannot be read.
    pub fn take(&mut self, saga: SagaId) -> Result<Vec<Entry>, Error> {
        match self.unreadable.remove(&saga) {
            Some(error) => Err(error),
            None => Ok(self.journals.remove(&saga).unwrap_or_default()),
        }
    }
}

/// Stores sagas. All methods may be dropped halfway without harm; a dropped commit may have happened.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Writes a batch in one transaction. `Err(Conflict)`: nothing was written.
    async fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// The whole journals of these sagas. An unreadable one does not hide the others.
    async fn load(&self, sagas: &[SagaId]) -> Result<Loaded, Error>;

    /// Claims at most `limit` sagas whose timer is due at `now`, the longest due first. No other process gets them before the
    /// lease has expired; then any does, unless a commit set another time.
    async fn claim_due(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<SagaId>, Error>;

    /// Claims at most `limit` rows of the outbox whose reservation has expired at `now`, the oldest first, and reserves them
    /// again. A row that cannot be read is logged and left out.
    async fn claim_unsent(&self, now: Time, lease: Lease, limit: u32) -> Result<Vec<OutboxRow>, Error>;

    /// Adds rows to the outbox that any process may claim from this time on: for messages that leave their rows, which a later
    /// commit removes.
    async fn give_back(&self, rows: &[OutboxRow], at: Time) -> Result<(), Error>;

    /// The rows of the outbox with messages of these sagas, and of each row only these messages. A row that cannot be read is
    /// logged and left out.
    async fn unsent_of(&self, sagas: &[SagaId]) -> Result<Vec<OutboxRow>, Error>;

    /// The number of messages in the outbox, counted up to `most`.
    async fn count_unsent(&self, most: u32) -> Result<u64, Error>;

    /// Registers a definition, once for each name and version. It is audited only if it is new.
    async fn register(
        &self,
        definition: &StoredDefinition,
        audit: Option<&AuditEntry>,
    ) -> Result<Registered, Error>;

    /// Activates or deactivates a definition for new sagas. `false`: it does not exist, or there is no change; nothing was
    /// written.
    async fn set_active(
        &self,
        name: &str,
        version: u32,
        active: bool,
        audit: &AuditEntry,
    ) -> Result<bool, Error>;

    /// All registered definitions, by name and version.
    async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error>;

    async fn definition(&self, name: &str, version: u32) -> Result<Option<StoredDefinition>, Error>;

    async fn saga(&self, id: SagaId) -> Result<Option<SagaRow>, Error>;

    /// At most `limit` sagas, newest first.
    async fn sagas(&self, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error>;

    /// The number of sagas by definition, version and status.
    async fn counts(&self) -> Result<Vec<Count>, Error>;

    /// At most `limit` entries of a saga's journal after this one (0: from the first on), in order.
    async fn journal(&self, saga: SagaId, after: u32, limit: u32) -> Result<Vec<Appended>, Error>;

    /// The highest seq of these sagas. Sagas that were never started are absent.
    async fn heads(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, u32>, Error>;

    /// At most `limit` entries of all sagas that were decided at this time or later, in order of (time, saga, seq). An entry is
    /// visible once it is committed, which may be after one of a later time. An unreadable one is logged and left out.
    async fn appended_since(&self, at: Time, limit: u32) -> Result<Vec<Appended>, Error>;

    /// At most `limit` dead letters, newest first. An unreadable one is logged and left out.
    async fn dead_letters(&self, filter: &LetterFilter, limit: u32) -> Result<Vec<DeadLetter>, Error>;

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, Error>;

    /// At most `limit` entries of the audit, newest first. An unreadable one is logged and left out.
    async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, Error>;

    /// At most `limit` sagas of a definition that are final and whose status last changed before this time, by the time of
    /// their start and their id, after this one.
    async fn finished_before(
        &self,
        definition: &str,
        before: Time,
        after: Option<(Time, SagaId)>,
        limit: u32,
    ) -> Result<Vec<(Time, SagaId)>, Error>;

    /// Deletes those of these sagas that are final and whose messages are all sent, with everything stored about them but the
    /// audit, and returns their number.
    async fn delete_sagas(&self, sagas: &[SagaId]) -> Result<u64, Error>;

    /// Keeps an event for a saga that has not started, unless the saga has the same event already or a limit is reached. When
    /// this returns, the event is committed.
    async fn buffer_event(&self, event: &BufferedEvent, limits: BufferLimits) -> Result<Buffered, Error>;

    /// At most `limit` buffered events of a saga, in order of arrival. An unreadable one is logged and left out.
    async fn buffered_events(&self, saga: SagaId, limit: u32) -> Result<Vec<BufferedEvent>, Error>;

    /// At most `limit` sagas that have started and still have buffered events.
    async fn sagas_with_buffered_events(&self, limit: u32) -> Result<Vec<SagaId>, Error>;

    /// At most `limit` buffered events that have expired at `now`, those first that expired first. An unreadable one is logged
    /// and left out.
    async fn expired_buffered_events(&self, now: Time, limit: u32) -> Result<Vec<BufferedEvent>, Error>;

    /// Deletes at most `limit` dead letters, the oldest first, and returns their number.
    async fn delete_dead_letters(&self, expired: ExpiredLetters, limit: u32) -> Result<u64, Error>;

    /// Records the run of a schedule that was due at `at`. The latest such time stays, unless it is later than `valid_until`:
    /// such a time was written by a process whose clock was ahead, and is replaced.
    async fn schedule_ran(
        &self,
        definition: &str,
        schedule: &str,
        at: Time,
        valid_until: Time,
    ) -> Result<(), Error>;

    /// When each schedule last ran, by definition and identity.
    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error>;

    /// The newest keys of correlation tokens, at most [`MAX_TOKEN_KEYS`], the newest first.
    async fn token_keys(&self) -> Result<Vec<TokenKey>, Error>;

    /// Adds a key, and deletes those that are no longer among the newest [`MAX_TOKEN_KEYS`]. `false`: a key with its number
    /// exists, and nothing was written.
    async fn add_token_key(&self, key: &TokenKey, audit: Option<&AuditEntry>) -> Result<bool, Error>;

    /// The time of the database, which all processes that share it follow. `None`: all that share it have the same clock, that
    /// of their machine.
    async fn now(&self) -> Result<Option<Time>, Error>;

    /// Records that a process is alive at `now`, and has not ended.
    async fn process_seen(&self, process: Uuid, now: Time) -> Result<(), Error>;

    /// All processes that are not forgotten, by id.
    async fn processes(&self) -> Result<Vec<ProcessRow>, Error>;

    /// Releases at `now` the rows that a process has reserved. From then on it counts as ended, unless it is seen later.
    async fn release(&self, process: Uuid, now: Time) -> Result<(), Error>;

    /// Deletes the row of a process, if it has ended.
    async fn forget_process(&self, process: Uuid) -> Result<(), Error>;

    /// The id that distinguishes this database from others. It is immutable. In the memory of a process there is no other
    /// database.
    async fn identity(&self) -> Result<Uuid, Error> {
        Ok(Uuid::nil())
    }

    /// Whether the database answers and has the schema that this program needs.
    async fn check(&self) -> Result<(), Error>;
}

impl Loaded {
    /// Adds the journal of one saga from its rows in order.
    pub fn add(&mut self, saga: SagaId, rows: impl IntoIterator<Item = Result<(u32, Entry), Error>>) {
        match journal(saga, rows) {
            Ok(entries) if entries.is_empty() => {}
            Ok(entries) => {
                self.journals.insert(saga, entries);
            }
            Err(error) => {
                self.unreadable.insert(saga, error);
            }
        }
    }
}

/// The entries of one saga from its journal's rows in order, if they are complete.
fn journal(
    saga: SagaId,
    rows: impl IntoIterator<Item = Result<(u32, Entry), Error>>,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for row in rows {
        let (seq, entry) = row?;
        if seq as usize != entries.len() + 1 {
            return Err(Error::Corrupt(format!("saga {saga} lacks entry {}", entries.len() + 1)));
        }
        entries.push(entry);
    }
    Ok(entries)
}
