//! The rows of a store: a batch, and the rows of its tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

#[cfg(doc)]
use super::Store;
use snorri_core::journal::ReceivedEvent;
use snorri_core::{Entry, SagaId, Status, Time};

/// The consequences of one batch of inputs. It is committed as a whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub entries: Vec<Appended>,
    /// Sagas that are new, or of which a column changed: at most one row a saga.
    pub sagas: Vec<ChangedSaga>,
    /// The messages to be sent once the batch is committed.
    pub outbox: Vec<OutboxRow>,
    /// Until when only the committer sends them: see [`Store::claim_unsent`].
    pub outbox_reserved_until: Time,
    /// The process that commits.
    pub outbox_holder: Uuid,
    /// Rows of earlier batches whose messages the broker has confirmed.
    pub sent: Vec<OutboxId>,
    /// The open incidents of sagas whose incidents changed, at most one item a saga.
    pub incidents: Vec<OpenIncidents>,
    /// The attributes of new sagas that have any, at most one item a saga.
    pub attributes: Vec<Attributes>,
    /// Dead letters, which are rare.
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters that an operator has resolved, and when.
    pub letters_resolved: Vec<(Uuid, Time)>,
    /// Ids of buffered events that were delivered or have expired.
    pub buffered_removed: Vec<Uuid>,
    /// The audit of operators' actions.
    pub audit: Vec<AuditEntry>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.sagas.is_empty()
            && self.outbox.is_empty()
            && self.sent.is_empty()
            && self.incidents.is_empty()
            && self.attributes.is_empty()
            && self.dead_letters.is_empty()
            && self.letters_resolved.is_empty()
            && self.buffered_removed.is_empty()
            && self.audit.is_empty()
    }
}

/// One journal entry and its key.
#[derive(Debug, Clone)]
pub struct Appended {
    pub saga: SagaId,
    /// When the saga started. It comes first in the stored key, so that the entries of running sagas are neighbours.
    pub started_at: Time,
    /// From 1, without gaps.
    pub seq: u32,
    pub entry: Entry,
}

/// A saga as lists and searches need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaRow {
    pub id: SagaId,
    pub definition: Arc<str>,
    pub version: u32,
    pub key: Option<String>,
    pub status: Status,
    pub started_at: Time,
    /// When the status or the version last changed, or the saga was paused or resumed.
    pub changed_at: Time,
    pub paused: bool,
}

/// A saga with its timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedSaga {
    pub row: SagaRow,
    /// Whether the batch starts it. A commit conflicts if there is such a saga already.
    pub is_new: bool,
    /// When to wake it. Overrides the lease of an earlier timer.
    pub timer: Option<Time>,
}

/// The codes of a saga's open incidents, by which it is found. They replace the stored ones; an empty list removes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncidents {
    pub saga: SagaId,
    pub started_at: Time,
    /// Each code occurs once.
    pub codes: Vec<String>,
}

/// A saga's attributes, by which it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub saga: SagaId,
    pub started_at: Time,
    pub values: BTreeMap<String, String>,
}

/// The id of a row of the outbox: a UUIDv7, so that rows are appended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub Uuid);

/// The right to handle claimed rows: no other process gets them until the duration has passed, or the holder is known to be
/// dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The process that claims.
    pub holder: Uuid,
    pub duration: Duration,
}

/// A process that works on the store, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessRow {
    /// A UUIDv7 of its start.
    pub id: Uuid,
    /// When it was last alive.
    pub seen_at: Time,
    /// When its end was found.
    pub ended_at: Option<Time>,
}

/// Messages that the broker has not confirmed. They follow from the journal, so a row only has their places: it is small, and a
/// batch needs few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub id: OutboxId,
    /// At most [`OutboxRow::MAX_MESSAGES`].
    pub messages: Vec<MessageRef>,
}

impl OutboxRow {
    /// As many as fit into a row that no database stores elsewhere because of its length (2 KiB in PostgreSQL).
    pub const MAX_MESSAGES: usize = 64;

    /// New rows for these messages.
    pub fn of(messages: &[MessageRef]) -> Vec<Self> {
        messages.chunks(Self::MAX_MESSAGES).map(|some| Self::new(some.to_vec())).collect()
    }

    pub fn new(messages: Vec<MessageRef>) -> Self {
        Self { id: OutboxId(Uuid::now_v7()), messages }
    }
}

/// The place of a message: the entry that it follows from, and its number among the messages of this entry, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageRef {
    pub saga: SagaId,
    pub seq: u32,
    pub index: u32,
}

/// A message that cannot be handled, kept for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// A UUIDv7, so that they are in order.
    pub id: Uuid,
    pub at: Time,
    /// The queue that it came from.
    pub queue: String,
    /// Why it cannot be handled: a stable code, and a sentence.
    pub code: String,
    pub reason: String,
    /// The saga and step that it seems to be for.
    pub saga: Option<SagaId>,
    pub step: Option<String>,
    /// AMQP properties, as JSON.
    pub properties: Value,
    pub body: Vec<u8>,
    /// When an operator resolved it.
    pub resolved_at: Option<Time>,
}

/// An event or signal that arrived before its saga started. It is kept until the saga starts, or until it expires.
#[derive(Debug, Clone, PartialEq)]
pub struct BufferedEvent {
    /// A UUIDv7: the events of a saga are in the order of their ids.
    pub id: Uuid,
    pub saga: SagaId,
    /// The same for every repetition of the event. A saga has each identity once.
    pub identity: Uuid,
    pub at: Time,
    pub expires_at: Time,
    /// The queue that it came from.
    pub queue: String,
    /// Whether another saga accepted the same event. Such an event expires without a dead letter.
    pub matched: bool,
    pub arrival: ReceivedEvent,
}

/// The most events that [`Store::buffer_event`] keeps. Writers that run at the same time may exceed each bound by one
/// event for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    pub per_saga: u32,
    pub total: u32,
}

/// The result of [`Store::buffer_event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffered {
    New,
    /// The event is buffered already. Nothing was written.
    Duplicate,
    /// The saga, or the buffer as a whole, has as many events as the limits allow. Nothing was written.
    Full,
}

/// Which dead letters [`Store::delete_dead_letters`] deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredLetters {
    /// All that arrived before this time.
    Before(Time),
    /// Those that were resolved before this time.
    ResolvedBefore(Time),
    /// The oldest, as long as there are more than this number.
    Beyond(u32),
}

/// A change by an operator, with the operator and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// A UUIDv7, so that they are in order.
    pub id: Uuid,
    pub at: Time,
    pub actor: String,
    pub action: String,
    pub reason: String,
    pub saga: Option<SagaId>,
    /// The journal entry that it led to.
    pub seq: Option<u32>,
    pub step: Option<String>,
    /// `name@version`, if it is about a definition.
    pub definition: Option<String>,
    pub before: Value,
    pub after: Value,
}

/// When a schedule of a definition last ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    pub definition: String,
    /// The identity of the schedule within its definition: its cron expression, with a digest of its input where several
    /// schedules have the same expression.
    pub schedule: String,
    /// The time it was due.
    pub at: Time,
}

/// A key that authenticates correlation tokens. It is immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// From 1, without gaps.
    pub number: u32,
    pub secret: Secret,
    pub created_at: Time,
    /// The time from which it signs, so that all processes have it by then.
    pub signs_from: Time,
}

/// A secret, which must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A registered definition: immutable, except whether it is active for new sagas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    pub name: String,
    pub version: u32,
    /// SHA-256 of the meaning of the source and its files, hexadecimal. Earlier releases hashed the texts.
    pub digest: String,
    /// The YAML it was read from.
    pub source: String,
    /// The files that it refers to, by their paths.
    pub files: BTreeMap<String, String>,
    pub registered_at: Time,
    pub active: bool,
}

/// The result of [`Store::register`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    New,
    /// The same definition was registered already.
    Same,
    /// A definition with another digest was registered under this name and version. Nothing was changed.
    Conflict {
        digest: String,
    },
}

impl Registered {
    /// The result of registering `wanted` when `digest` is already registered under its name and version.
    pub fn compare(digest: &str, wanted: &StoredDefinition) -> Self {
        if digest == wanted.digest { Self::Same } else { Self::Conflict { digest: digest.to_owned() } }
    }
}
