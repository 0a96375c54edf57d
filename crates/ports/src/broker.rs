//! The broker: publishes messages and delivers them.
//!
//! A broker moves messages. Their meaning is defined by [`envelope`](snorri_wire::envelope).
//!
//! A message arrives as a [`Delivery`], goes through the handler, a tower service, and is settled by its [`Verdict`]. Messages
//! are published in batches, each with its [`Published`] as the result.

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use snorri_wire::observed::ExchangeState;

pub use snorri_wire::message::{Cut, Delivery, HeaderValue, Properties, Publication};
pub use snorri_wire::topology::{QueueDeclaration, Topology};

/// The result of publishing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The broker has it, on disk where it has one.
    Confirmed,
    /// It did not arrive, and repeating it will not help until something changes: no queue is bound for it, its exchange is
    /// missing or refuses access, or the message does not fit into AMQP.
    Unroutable,
    /// The broker did not take it: a queue is full. It may take it later.
    Refused,
    /// No answer, or not in time: it may or may not have arrived.
    Unknown,
}

/// The settlement of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is handled.
    Ack,
    /// Not now: try again, after a pause.
    Requeue,
    /// It can never be understood: it becomes a dead letter, with a stable code and a sentence.
    DeadLetter { code: &'static str, reason: String },
}

/// Handles deliveries, many at a time. An error counts as [`Verdict::Requeue`].
pub type Handler = BoxCloneSyncService<Delivery, Verdict, tower::BoxError>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or no answer in time. The broker reconnects automatically: try again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The broker refuses, and will refuse again: a queue exists with other arguments, access is refused.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

#[async_trait]
pub trait Broker: Send + Sync + std::fmt::Debug + 'static {
    /// Declares `topology`, now and after every reconnection, together with earlier declarations. A failed declaration is not
    /// remembered.
    async fn declare(&self, topology: &Topology) -> Result<(), Error>;

    /// Inspects an exchange without creating it. The result has its type and flags, as far as the rights of the user and
    /// `broker.declare_topology = false` allow; otherwise only whether it exists.
    async fn inspect_exchange(&self, exchange: &str) -> ExchangeState;

    /// How often a connection was made. A change means that inspected exchanges may have changed.
    fn connections(&self) -> u64;

    /// Whether the broker takes messages: false while there is no connection, while the broker blocks it (it is short of memory
    /// or disk), and once the broker is closed. Changes at once, so that a waiter need not poll. True is no promise: a message
    /// that is published meanwhile may still be [`Published::Unknown`].
    fn availability(&self) -> watch::Receiver<bool>;

    /// Publishes a batch and waits for the result of each message, in the order given. Batches run concurrently. Without a
    /// connection all are [`Published::Unknown`] at once: the caller must pause before it retries.
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Published>;

    /// Gives the deliveries of `queue` to `handler`, at most `prefetch` at a time, through every loss of the connection. Once
    /// `stop` is cancelled, it takes no more, waits for those in the handler, settles them and returns. It also returns if the
    /// broker is closed.
    async fn consume(&self, queue: &str, prefetch: u16, handler: Handler, stop: CancellationToken);

    /// Gives the messages in probation to `handler`, one at a time, on a connection of its own: whatever loses that connection,
    /// or ends the process, is the message that was delivered. After a few such deliveries the broker parks it. Returns once
    /// the queue is empty, `stop` is cancelled, or the broker is closed.
    async fn drain_probation(&self, handler: Handler, stop: CancellationToken);

    /// Whether a message can be sent and confirmed right now, and every consumer has its queue.
    async fn check(&self) -> Result<(), Error>;

    /// The number of messages that wait in `queue`, not counting those that were delivered and not settled.
    async fn depth(&self, queue: &str) -> Result<u64, Error>;

    /// Deletes a queue that this process has declared, with all its messages. It is not declared again.
    async fn delete_queue(&self, queue: &str) -> Result<(), Error>;

    /// Closes the connections. Unsettled deliveries will be delivered again.
    async fn close(&self);
}
