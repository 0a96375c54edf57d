//! The store: where a saga's journal lives, and everything that is derived from it.
//!
//! One port, [`Store`], for `sql` (PostgreSQL and SQLite) and `memory` (simulation). A store knows what is in a journal
//! entry and in a message only as far as it must to write them; it decides nothing.
//!
//! The journal's key (saga, seq) is the only lock: whoever appends seq n has decided on the state at n - 1, and
//! everything else that was decided with it is written in the same transaction or not at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::saga::{Entry, Message, SagaId, Status, StepPath, Time};

mod memory;
pub mod sql;

pub use memory::MemoryStore;
pub use sql::SqlStore;

/// Everything that one batch of inputs led to. It is committed as a whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub entries: Vec<Appended>,
    /// Sagas that are new or whose status changed, at most one row a saga.
    pub sagas: Vec<SagaRow>,
    /// Messages to be sent once the batch is committed.
    pub outbox: Vec<Unsent>,
    /// Until when nobody but the committer sends them: see [`Store::claim_unsent`].
    pub outbox_reserved_until: Time,
    /// Messages of earlier batches that the broker has confirmed.
    pub sent: Vec<OutboxId>,
    /// When to wake a saga (`None`: never), at most one a saga.
    pub wakes: Vec<(SagaId, Option<Time>)>,
    /// Messages to be kept for people, rare.
    pub dead_letters: Vec<DeadLetter>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.sagas.is_empty()
            && self.outbox.is_empty()
            && self.sent.is_empty()
            && self.wakes.is_empty()
            && self.dead_letters.is_empty()
    }
}

/// One journal entry and its key.
#[derive(Debug, Clone)]
pub struct Appended {
    pub saga: SagaId,
    /// From 1, without gaps.
    pub seq: u32,
    pub entry: Entry,
}

/// What lists and searches need to know of a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaRow {
    pub id: SagaId,
    pub definition: Arc<str>,
    pub version: u32,
    pub key: Option<String>,
    pub status: Status,
    pub started_at: Time,
    /// When the status last changed.
    pub changed_at: Time,
}

/// The id of a row of the outbox: a UUIDv7, so that rows are appended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub Uuid);

/// A message that the broker has not confirmed.
#[derive(Debug, Clone)]
pub struct Unsent {
    pub id: OutboxId,
    pub message: Arc<Message>,
}

/// A message that a saga could not use, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// A UUIDv7, so that they are in order.
    pub id: Uuid,
    pub at: Time,
    /// The queue it was taken from.
    pub queue: String,
    /// Why it could not be used: a stable code, and a sentence.
    pub code: String,
    pub reason: String,
    pub saga: SagaId,
    pub step: StepPath,
    /// AMQP properties, as JSON.
    pub properties: Value,
    pub body: Vec<u8>,
}

/// When a schedule of a definition last ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    pub definition: String,
    pub cron: String,
    /// The time it was due.
    pub at: Time,
}

/// A registered definition: immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    pub name: String,
    pub version: u32,
    /// SHA-256 of the source and its files, hexadecimal.
    pub digest: String,
    /// The YAML it was read from.
    pub source: String,
    /// The files that it refers to, by their paths.
    pub files: BTreeMap<String, String>,
    pub registered_at: Time,
}

/// What became of [`Store::register`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    New,
    /// The very same was there already.
    Same,
    /// Another source was registered under this name and version, with this digest. Nothing was changed.
    Conflict {
        digest: String,
    },
}

impl Registered {
    /// What registering `wanted` comes to when `digest` was registered under its name and version before.
    fn compare(digest: &str, wanted: &StoredDefinition) -> Self {
        if digest == wanted.digest { Self::Same } else { Self::Conflict { digest: digest.to_owned() } }
    }
}

/// Which sagas to list: all that match every given field.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub definition: Option<String>,
    pub status: Option<Status>,
    pub key: Option<String>,
    /// The last saga of the page before: keyset paging, newest first by (started_at, id).
    pub after: Option<(Time, SagaId)>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone else appended to one of these sagas. Load them and decide again.
    #[error("another writer was first")]
    Conflict,
    /// The database did not answer, or not in time. Whether a commit happened is unknown.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read.
    #[error("what is stored cannot be read: {0}")]
    Corrupt(String),
}

/// Keeps sagas. All methods may be dropped halfway without harm; a dropped commit may have happened.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Writes a batch in one transaction. `Err(Conflict)`: nothing was written.
    async fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// The whole journals of these sagas, in order. Sagas that were never started are absent.
    async fn load(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, Vec<Entry>>, Error>;

    /// At most `limit` sagas whose wake-up is due at `now`, the longest due first. Nobody else gets them before
    /// `now + lease`; then whoever asks does, unless a commit set another time.
    async fn claim_due(&self, now: Time, lease: Duration, limit: u32) -> Result<Vec<SagaId>, Error>;

    /// At most `limit` messages whose reservation has passed at `now`, the oldest first, reserved anew until
    /// `now + lease`.
    async fn claim_unsent(&self, now: Time, lease: Duration, limit: u32) -> Result<Vec<Unsent>, Error>;

    /// How many messages the outbox holds.
    async fn count_unsent(&self) -> Result<u64, Error>;

    /// Registers a definition, once for each name and version.
    async fn register(&self, definition: &StoredDefinition) -> Result<Registered, Error>;

    /// All registered definitions, by name and version.
    async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error>;

    async fn definition(&self, name: &str, version: u32) -> Result<Option<StoredDefinition>, Error>;

    async fn saga(&self, id: SagaId) -> Result<Option<SagaRow>, Error>;

    /// At most `limit` sagas, newest first.
    async fn sagas(&self, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error>;

    /// The dead letters of a saga, the oldest first.
    async fn dead_letters(&self, saga: SagaId) -> Result<Vec<DeadLetter>, Error>;

    /// Notes that a schedule ran that was due at a time. The latest such time stays.
    async fn schedule_ran(&self, definition: &str, cron: &str, at: Time) -> Result<(), Error>;

    /// When each schedule last ran, by definition and cron expression.
    async fn schedules(&self) -> Result<Vec<ScheduleRun>, Error>;

    /// How many sagas there are of each status.
    async fn count_by_status(&self) -> Result<HashMap<Status, u64>, Error>;

    /// Whether the database answers and has the schema that this program needs.
    async fn check(&self) -> Result<(), Error>;
}

/// The entries of one saga out of its journal's rows in order, if they are complete.
fn journal(saga: SagaId, rows: impl IntoIterator<Item = (u32, Entry)>) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (seq, entry) in rows {
        if seq as usize != entries.len() + 1 {
            return Err(Error::Corrupt(format!("saga {saga} lacks entry {}", entries.len() + 1)));
        }
        entries.push(entry);
    }
    Ok(entries)
}
