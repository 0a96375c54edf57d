//! Dead letters: messages that cannot be handled, kept so that operators can inspect, replay or discard them.

pub(crate) mod letter;
pub(crate) mod letterbox;

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::dead_letters::letterbox::Letterbox;
use snorri_core::journal::By;
use snorri_ports::broker::{Broker, Delivery, Published, Verdict};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, AuditEntry, Batch, DeadLetter, Store};
use snorri_wire::envelope::Wire;
use snorri_wire::header;

/// Keeps dead letters, and resolves them on request.
#[derive(Debug)]
pub struct DeadLetters {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    wire: Wire,
    letterbox: Letterbox,
}

/// Why a dead letter was not resolved.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("there is no dead letter with this id")]
    NotFound,
    #[error("it was replayed or discarded already")]
    Resolved,
    #[error(
        "it was taken from `{0}`, which is not a queue that Snorri takes messages from: only those are replayed to"
    )]
    ForeignQueue(String),
    #[error(
        "where the event was published to is not known for sure, so no saga could be found for it: publish it again"
    )]
    UnknownOrigin,
    #[error("no queue is called `{0}` any more")]
    NoQueue(String),
    #[error("the broker did not confirm the message: whether it is in its queue again is not known")]
    Unconfirmed,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl LetterError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "dead_letter_not_found",
            Self::Resolved => "dead_letter_resolved",
            Self::ForeignQueue(_) => "foreign_queue",
            Self::UnknownOrigin => "unknown_origin",
            Self::NoQueue(_) => "no_queue",
            Self::Unconfirmed => "broker_unavailable",
            Self::Store(store::Error::Invalid(_)) => "invalid_value",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl DeadLetters {
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>, wire: Wire) -> Self {
        Self { store, broker, clock, wire, letterbox: Letterbox::default() }
    }

    /// Moves a delivery from the broker's dead letters into the store. A delivery that is repeated after a crash is stored twice.
    pub(crate) async fn take_in(&self, delivery: &Delivery) -> Verdict {
        match self.store_letter(letter::of_brokers(&self.wire, delivery, self.clock.now())).await {
            Ok(()) => Verdict::Ack,
            Err(_) => Verdict::Requeue,
        }
    }

    /// Keeps an unusable message of `queue`. A message that the database refuses becomes one of the broker's dead letters.
    pub(crate) async fn keep(
        &self,
        queue: &str,
        delivery: &Delivery,
        code: &'static str,
        reason: String,
    ) -> Verdict {
        tracing::warn!(queue, code, reason, "dead letter");
        let refused = (code, reason.clone());
        let letter = letter::of_refused(&self.wire, queue, delivery, refused, self.clock.now());
        match self.store_letter(letter).await {
            Ok(()) => Verdict::Ack,
            Err(error) if matches!(*error, store::Error::Invalid(_)) => Verdict::DeadLetter { code, reason },
            Err(_) => Verdict::Requeue,
        }
    }

    /// Returns once the letter is stored, together with others that come at the same time.
    async fn store_letter(&self, letter: DeadLetter) -> Result<(), Arc<store::Error>> {
        let stored = self.letterbox.put(&*self.store, letter).await;
        stored.inspect_err(|error| {
            tracing::warn!(error = &**error as &dyn std::error::Error, "cannot keep a dead letter now");
        })
    }

    pub async fn find(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        self.store.dead_letter(id).await?.ok_or(LetterError::NotFound)
    }

    /// Puts a dead letter back into its queue, if that is one of Snorri's own.
    pub async fn replay(&self, id: Uuid, by: &By) -> Result<DeadLetter, LetterError> {
        let letter = self.find_unresolved(id).await?;
        let Wire { names, keys, .. } = &self.wire;
        if !names.is_taken_from(&letter.queue) {
            return Err(LetterError::ForeignQueue(letter.queue));
        }
        let publication = letter::publication(&letter, keys);
        if letter.queue == names.events && !publication.properties.headers.contains_key(header::ORIGIN) {
            return Err(LetterError::UnknownOrigin);
        }
        match self.broker.publish(vec![publication]).await[..] {
            [Published::Confirmed] => self.resolve(letter, "replay_dead_letter", by).await,
            [Published::Unroutable] => Err(LetterError::NoQueue(letter.queue)),
            _ => Err(LetterError::Unconfirmed),
        }
    }

    /// Marks a dead letter as discarded.
    pub async fn discard(&self, id: Uuid, by: &By) -> Result<DeadLetter, LetterError> {
        let letter = self.find_unresolved(id).await?;
        self.resolve(letter, "discard_dead_letter", by).await
    }

    async fn find_unresolved(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        let letter = self.find(id).await?;
        if letter.resolved_at.is_some() { Err(LetterError::Resolved) } else { Ok(letter) }
    }

    async fn resolve(&self, letter: DeadLetter, action: &str, by: &By) -> Result<DeadLetter, LetterError> {
        let now = self.clock.now();
        let state = |resolved: bool| json!({ "dead_letter": letter.id, "resolved": resolved });
        let audit = AuditEntry {
            id: Uuid::now_v7(),
            at: now,
            actor: by.actor.clone(),
            action: action.to_owned(),
            reason: by.reason.clone(),
            saga: letter.saga,
            seq: None,
            step: letter.step.clone(),
            definition: None,
            before: state(false),
            after: state(true),
        };
        let batch =
            Batch { letters_resolved: vec![(letter.id, now)], audit: vec![audit], ..Batch::default() };
        self.store.commit(batch).await?;
        Ok(DeadLetter { resolved_at: Some(now), ..letter })
    }
}
