//! RabbitMQ, through lapin, which appears nowhere else.
//!
//! Two connections: when the broker is short of memory or disk it blocks those that publish, and acknowledgements must
//! get through then. `connection` looks after each of them. `publisher` sends and awaits confirms, `returns` concludes
//! what became of each message. `consumer` keeps a `session` with its queue, `delivery` deals with one message, `acks` decides
//! what may be acknowledged.
//! `topology` declares what is `known`, through a `declarer`, queues with their `arguments`; `inspection` finds out how others declared an exchange. What the broker sends
//! goes through `stream`, which splits it into `frames` and repairs what lapin could not read (`repair`). What costs the
//! connection all the same ends in `probation`.
//!
//! Every call of lapin is under a timeout: a blocked or half-dead connection answers nothing at all.
//!
//! lapin logs returned messages as warnings, with their bodies: keep the log level of `lapin::returned_messages` at
//! `error`.

mod acks;
mod arguments;
mod connection;
mod consumer;
mod declarer;
mod delivery;
pub mod frames;
mod inspection;
mod known;
mod prefetch;
mod probation;
mod properties;
mod publisher;
pub mod repair;
mod returns;
mod session;
mod stream;
mod subscriptions;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::connection::{Link, Purpose, connection_error};
use self::consumer::{Consumer, Interrupted};
use self::known::Known;
use self::properties::short;
use self::publisher::Publisher;
use super::envelope::Keyring;
use super::{Broker, Error, Handler, Properties, Publication, Published, Topology};
use crate::addresses::Addresses;
use crate::check::topology::ExchangeState;

/// The log target that returned messages are written to, bodies included.
pub const LOGS_PAYLOADS: &str = "lapin::returned_messages";

#[derive(Debug, Clone)]
pub struct Options {
    /// `amqp://user:password@host:port/vhost`, or `amqps` for TLS with the authorities that the system trusts, or those
    /// in the file that the environment variable `SSL_CERT_FILE` names. The vhost is percent-encoded: `%2f` for `/`. Several are
    /// tried in turn for each connection.
    pub url: Addresses,
    /// What the names of Snorri's own queues and exchanges begin with, followed by a dot.
    pub prefix: String,
    /// The queue that [`Broker::check`] sends to. Nobody consumes it; it keeps one message.
    pub probe_queue: String,
    /// A peer that is silent for twice this long counts as gone. Whole seconds, from 1. Shorter finds dead connections
    /// sooner, but takes a busy broker for a dead one. A `heartbeat` in the URL goes before.
    pub heartbeat: Duration,
    /// How long connecting may take, handshake included, before it is tried again.
    pub connect_timeout: Duration,
    /// The longest pause between two tries to connect; the first is 100 ms and each one after is twice as long.
    pub reconnect_delay_max: Duration,
    /// How long the broker may take over a declaration, an acknowledgement or another small matter. Declaring a
    /// quorum queue takes a tenth of a second on an idle broker, and much longer on one that has just started.
    pub operation_timeout: Duration,
    /// How long a batch waits for its confirms. After that what became of it is unknown, and it will be sent again: too
    /// short a time makes duplicates when the broker is slow.
    pub confirm_timeout: Duration,
    /// How many batches can be on their way at a time, each on a channel of its own.
    pub publisher_channels: usize,
    /// How often a message may come back to a queue without dead letters before the broker drops it. Every lost connection
    /// counts for all that was prefetched.
    pub delivery_limit: u32,
    /// How often a message may come back to a queue with dead letters before the broker moves it into probation, where nothing
    /// is lost. What the handler does not take does not come back: it is tried again where it is.
    pub probation_after: u32,
    /// How often a message may come back in probation before the broker parks it. Only what costs the connection, or ends the
    /// process, comes back there.
    pub parking_after: u32,
    /// The longest pause before the handler is asked again about a message that it did not take.
    pub requeue_delay: Duration,
    /// Declare no exchanges of others, and use those that exist as they are, of whatever type. What is Snorri's own is used as
    /// it is, too, and declared where it is missing.
    pub verify_only: bool,
    /// Most bytes of a body that comes in: of a longer one only the beginning is kept. `None`: bodies of any length.
    pub max_body: Option<usize>,
    /// The identity of the database, which the queues carry: one that carries another is refused. `None`: it is not compared.
    pub database: Option<Uuid>,
    /// Vouch for where dead letters were published to. `None`: dead letters carry no origin.
    pub keys: Option<Keyring>,
}

impl Options {
    /// Whether an exchange is Snorri's own.
    fn owns(&self, exchange: &str) -> bool {
        exchange.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    pub fn new(url: SecretString) -> Self {
        Self::at(url.into())
    }

    /// The same with several addresses.
    pub fn at(url: Addresses) -> Self {
        Self {
            url,
            prefix: "snorri".to_owned(),
            probe_queue: "snorri.probe".to_owned(),
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            reconnect_delay_max: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(15),
            confirm_timeout: Duration::from_secs(30),
            publisher_channels: 4,
            delivery_limit: 100,
            probation_after: 4,
            parking_after: 3,
            requeue_delay: Duration::from_secs(2),
            verify_only: false,
            max_body: None,
            database: None,
            keys: None,
        }
    }
}

#[derive(Debug)]
pub struct AmqpBroker {
    options: Arc<Options>,
    known: Arc<Known>,
    publisher: Publisher,
    consuming: Link,
    interrupted: Interrupted,
    closing: CancellationToken,
}

impl AmqpBroker {
    /// Connects, and from then on stays connected by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the URL is wrong or the broker does not let us in, [`Error::Unavailable`] if no address answers. Each
    /// is tried once.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let options = Arc::new(options.clone());
        let (known, closing) = (Arc::new(Known::default()), CancellationToken::new());
        let publishing = Link::open(Purpose::Publish, options.clone(), Some(known.clone()), closing.clone());
        let consuming = Link::open(Purpose::Consume, options.clone(), None, closing.clone());
        let publisher = Publisher::new(publishing, known.clone(), options.clone());
        let broker =
            Self { options, known, publisher, consuming, interrupted: Interrupted::default(), closing };
        // The probe queue is declared meanwhile.
        tokio::try_join!(broker.publisher.link.first(), broker.consuming.first())?;
        Ok(broker)
    }

    fn probe(&self) -> Publication {
        let kind = Some("probe".to_owned());
        let properties = Properties { kind, app_id: Some("snorri".to_owned()), ..Properties::default() };
        let routing_key = self.options.probe_queue.clone();
        Publication { exchange: String::new(), routing_key, properties, body: Vec::new() }
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn declare(&self, topology: &Topology) -> Result<(), Error> {
        let live = self.publisher.link.live()?;
        topology::declare(&live.connection, &self.known, topology, &self.options).await?;
        self.known.add(topology);
        Ok(())
    }

    async fn inspect_exchange(&self, exchange: &str) -> ExchangeState {
        match self.publisher.link.live() {
            Ok(live) => inspection::inspect(&live.connection, exchange, &self.options).await,
            Err(error) => ExchangeState::Unknown(error.to_string()),
        }
    }

    fn connections(&self) -> u64 {
        self.publisher.link.live().map_or(0, |live| live.generation)
    }

    fn availability(&self) -> watch::Receiver<bool> {
        self.publisher.link.availability()
    }

    async fn publish(&self, batch: Vec<Publication>) -> Vec<Published> {
        self.publisher.publish(&batch).await
    }

    async fn consume(&self, queue: &str, prefetch: u16, handler: Handler, stop: CancellationToken) {
        let consumer = Consumer {
            link: &self.consuming,
            interrupted: &self.interrupted,
            publisher: &self.publisher,
            known: &self.known,
            options: &self.options,
            queue,
            prefetch,
            handler,
            stop: &stop,
        };
        consumer.run().await;
    }

    async fn drain_probation(&self, handler: Handler, stop: CancellationToken) {
        probation::drain(self, handler, &stop).await;
    }

    async fn check(&self) -> Result<(), Error> {
        self.consuming.live()?;
        let live = self.publisher.link.live()?;
        if live.connection.status().blocked() {
            return Err(Error::Unavailable("it takes no messages: it is short of memory or disk".to_owned()));
        }
        if let Some(queue) = self.interrupted.first() {
            return Err(Error::Unavailable(format!("it delivers nothing from queue `{queue}`")));
        }
        let batch = [self.probe()];
        let probe = self.publisher.publish(&batch);
        match tokio::time::timeout(self.options.operation_timeout, probe).await.as_deref() {
            Ok([Published::Confirmed]) => Ok(()),
            // It came back and was confirmed, which takes a broker that works.
            Ok([Published::Unroutable]) if self.options.verify_only => Ok(()),
            // Somebody deleted the queue: the next check will find it.
            Ok([Published::Unroutable]) => topology::declare_probe(&live.connection, &self.options).await,
            _ => Err(Error::Unavailable("it did not confirm a message".to_owned())),
        }
    }

    async fn depth(&self, queue: &str) -> Result<u64, Error> {
        let live = self.publisher.link.live()?;
        let channel = connection::channel(&live.connection, &self.options).await?;
        let name = short(queue).map_err(|error| Error::Refused(error.to_string()))?;
        let only_look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(name, only_look, FieldTable::default());
        let found = within(self.options.operation_timeout, "looking at a queue", found).await?;
        connection::close_channel(&channel, &self.options).await;
        Ok(found.message_count().into())
    }

    async fn close(&self) {
        self.closing.cancel();
        self.publisher.link.closed().await;
        self.consuming.closed().await;
    }
}

/// Waits for lapin, but not for ever.
async fn within<T>(
    timeout: Duration,
    what: &str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result.map_err(|error| connection_error(&error)),
        Err(_) => Err(Error::Unavailable(format!("{what} took longer than {timeout:?}"))),
    }
}
