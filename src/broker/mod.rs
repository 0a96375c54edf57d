//! The broker: how commands leave and replies arrive.
//!
//! One port, [`Broker`], for `amqp` (RabbitMQ, through lapin) and `local` (in this process). A broker moves messages; what
//! they mean is the business of [`envelope`], which writes commands and reads replies and starts.
//!
//! `management` is no broker: it looks at one, for those who check what is there.
//!
//! A message comes in as a [`Delivery`], goes through the handler, a tower service, and is settled by its [`Verdict`].
//! Messages go out in batches, and each comes back as [`Published`].

pub mod amqp;
pub mod envelope;
mod handling;
pub mod local;
pub mod management;
pub mod topology;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use self::envelope::header;
use crate::check::topology::ExchangeState;

/// What AMQP says about a message, as far as Snorri uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// AMQP's `type`.
    pub kind: Option<String>,
    pub message_id: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub app_id: Option<String>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// How long a queue keeps it; whole milliseconds.
    pub expiration: Option<Duration>,
    pub headers: BTreeMap<String, HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Integer(i64),
}

/// A message to be sent: persistent, and returned if no queue takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Empty for the default exchange, whose routing keys are the names of queues.
    pub exchange: String,
    pub routing_key: String,
    pub properties: Properties,
    pub body: Vec<u8>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The broker has it, on disk where it has one.
    Confirmed,
    /// It did not arrive and will not, as things are: no queue is bound for it, its exchange is missing or refuses us,
    /// or it does not fit into AMQP.
    Unroutable,
    /// The broker did not take it: a queue is full. It may the next time.
    Refused,
    /// No answer, or not in time: it may or may not have arrived.
    Unknown,
}

/// A message that came in.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    pub exchange: String,
    pub routing_key: String,
    pub properties: Properties,
    pub body: Vec<u8>,
    pub redelivered: bool,
    /// The properties that could not be read as they came, if any, separated by commas. They hold what could be read of them,
    /// with text taken for Latin-1.
    pub malformed: Option<String>,
    /// Of a message in probation: the queue that the broker moved it from. Exchange and routing key are those that it came to
    /// that queue with.
    pub moved_from: Option<String>,
    /// Set if the body is only the beginning of what was sent, because that is longer than any body may be.
    pub cut: Option<Cut>,
}

/// What a body was before it was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub bytes: u64,
    pub sha256: [u8; 32],
}

impl Cut {
    /// The headers of a dead letter whose body this is.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        let hash = self.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        [(header::BODY_BYTES, self.bytes.to_string()), (header::BODY_SHA256, hash)]
    }
}

impl Delivery {
    /// The first `most` bytes of the body, and what it was if that is not all of it.
    pub fn beginning(&self, most: usize) -> (&[u8], Option<Cut>) {
        if self.body.len() <= most {
            return (&self.body, self.cut);
        }
        let whole = || Cut { bytes: self.body.len() as u64, sha256: Sha256::digest(&self.body).into() };
        (&self.body[..most], Some(self.cut.unwrap_or_else(whole)))
    }

    /// The length of the body as it was sent.
    pub fn body_bytes(&self) -> u64 {
        self.cut.map_or(self.body.len() as u64, |cut| cut.bytes)
    }
}

/// What to do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is dealt with.
    Ack,
    /// Not now: try again, after a pause.
    Requeue,
    /// Nobody will ever understand it: to the dead letters, with a stable code and a sentence.
    DeadLetter { code: &'static str, reason: String },
}

/// Deals with deliveries, many at a time. An error counts as [`Verdict::Requeue`].
pub type Handler = BoxCloneSyncService<Delivery, Verdict, tower::BoxError>;

/// What must be there before anything can be sent or received. Declared again after every reconnection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Declared as durable topic exchanges where they are missing. Those that exist are used as they are.
    pub exchanges: Vec<String>,
    pub queues: Vec<Queue>,
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    /// Exchange and routing key of each binding.
    pub bindings: Vec<(String, String)>,
    /// The queue that takes what cannot be handled, through the default exchange. It is declared too, and so is what takes
    /// messages that come back too often.
    pub dead_letters: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or no answer in time. It is being looked after: try again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The broker says no, and will again: a queue exists with other arguments, access is refused.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

#[async_trait]
pub trait Broker: Send + Sync + std::fmt::Debug + 'static {
    /// Declares `topology`, now and after every reconnection, together with what was declared before. After an error
    /// nothing of it is remembered.
    async fn declare(&self, topology: &Topology) -> Result<(), Error>;

    /// Asks about an exchange. It is not created. Found out are its type and flags, as far as the rights of the user and
    /// `broker.verify_only` allow; otherwise only whether it exists.
    async fn inspect_exchange(&self, exchange: &str) -> ExchangeState;

    /// How often a connection was made. A change means that what was inspected may have changed.
    fn connections(&self) -> u64;

    /// Whether the broker takes messages: false while there is no connection, while the broker blocks it (it is short of
    /// memory or disk), and once the broker is closed. Changes at once, so that a waiter learns of a return without polling.
    /// True is no promise: what is published meanwhile may still be [`Published::Unknown`].
    fn availability(&self) -> watch::Receiver<bool>;

    /// Sends a batch and waits for what becomes of each message, in the order given. Batches run side by side. Without
    /// a connection all are [`Published::Unknown`] at once: whoever tries again must pause.
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Published>;

    /// Gives the deliveries of `queue` to `handler`, at most `prefetch` at a time, through every loss of the connection.
    /// Once `stop` is cancelled, takes no more, waits for those in the handler, settles them and returns. A closed broker
    /// makes it return, too.
    async fn consume(&self, queue: &str, prefetch: u16, handler: Handler, stop: CancellationToken);

    /// Gives what is in the queue of messages in probation to `handler`, one at a time, on a connection of its own: whatever loses
    /// that connection, or ends the process, is the message that was delivered. After a few such deliveries the broker parks
    /// it. Returns once the queue is empty, `stop` is cancelled, or the broker is closed.
    async fn drain_probation(&self, handler: Handler, stop: CancellationToken);

    /// Whether a message can be sent and confirmed right now, and every consumer has its queue.
    async fn check(&self) -> Result<(), Error>;

    /// How many messages wait in `queue`, not counting those that were delivered and not settled.
    async fn depth(&self, queue: &str) -> Result<u64, Error>;

    /// Closes the connections. What is not settled will be delivered again.
    async fn close(&self);
}
