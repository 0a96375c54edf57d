//! RabbitMQ, through lapin, which is used nowhere else.
//!
//! Two connections: when the broker is short of memory or disk it blocks those that publish, and acknowledgements must get
//! through then. `connection` supervises each of them. `publisher` sends and awaits confirms, `returns` concludes the result of
//! each message. `consumer` keeps a `session` with its queue, `delivery` handles one message, `acks` decides what may be
//! acknowledged. `topology` declares what is `known`, through a `declarer`, queues with their `arguments`; `inspection` finds
//! out how others declared an exchange. The broker's bytes go through `stream`, which splits them into `frames` and repairs
//! what lapin could not read (`repair`). Messages that break the connection all the same end in `probation`.
//!
//! Every call of lapin is under a timeout: a blocked or half-dead connection answers nothing at all.
//!
//! lapin logs returned messages as warnings, with their bodies: keep the log level of `lapin::returned_messages` at
//! `error`.

mod acks;
mod connection;
mod consumer;
mod delivery;
mod prefetch;
mod probation;
mod properties;
mod publisher;
pub mod repair;
mod returns;
mod session;
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
use self::properties::short;
use self::publisher::Publisher;
use self::topology::known::Known;
use snorri_ports::addresses::Addresses;
use snorri_ports::broker::{Broker, Error, Handler, Properties, Publication, Published, Topology};
use snorri_wire::envelope::Keyring;
use snorri_wire::observed::ExchangeState;

/// The log target that returned messages are written to, bodies included.
pub const LOGS_PAYLOADS: &str = "lapin::returned_messages";

#[derive(Debug, Clone)]
pub struct Options {
    /// `amqp://user:password@host:port/vhost`, or `amqps` for TLS with the authorities that the system trusts, or those in the
    /// file of the environment variable `SSL_CERT_FILE`. The vhost is percent-encoded: `%2f` for `/`. Several are tried in turn
    /// for each connection.
    pub url: Addresses,
    /// The prefix of the names of Snorri's own queues and exchanges, which a dot follows.
    pub prefix: String,
    /// The queue that [`Broker::check`] publishes to. It has no consumer, and keeps one message.
    pub probe_queue: String,
    /// A peer that is silent for twice this long counts as gone. Whole seconds, from 1. Shorter finds dead connections sooner,
    /// but takes a busy broker for a dead one. A `heartbeat` in the URL takes precedence.
    pub heartbeat: Duration,
    /// How long connecting may take, handshake included, before it is tried again.
    pub connect_timeout: Duration,
    /// The longest pause between two tries to connect; the first is 100 ms and each one after is twice as long.
    pub reconnect_delay_max: Duration,
    /// How long the broker may take over a declaration, an acknowledgement or another small operation. Declaring a quorum queue
    /// takes a tenth of a second on an idle broker, and much longer on one that has just started.
    pub operation_timeout: Duration,
    /// How long a batch waits for its confirms. After that its result is unknown, and it is sent again: too short a time makes
    /// duplicates when the broker is slow.
    pub confirm_timeout: Duration,
    /// How many batches can be in flight at a time, each on a channel of its own.
    pub publisher_channels: usize,
    /// How often a message may be returned to a queue without dead letters before the broker drops it. Every lost connection
    /// counts for all prefetched messages.
    pub delivery_limit: u32,
    /// How often a message may be returned to a queue with dead letters before the broker moves it into probation, where nothing
    /// is lost. A message that the handler does not take is not returned: it is tried again in place.
    pub probation_after: u32,
    /// How often a message may be returned in probation before the broker parks it. Only a message that breaks the connection,
    /// or ends the process, is returned there.
    pub parking_after: u32,
    /// The longest pause before the handler gets a message again that it did not take.
    pub requeue_delay: Duration,
    /// Checks the exchanges of definitions, and declares missing ones. Without it, existing exchanges and queues are used as
    /// they are, of any type, and only Snorri's own are declared.
    pub declare_topology: bool,
    /// Most bytes of a received body: of a longer one only the beginning is kept. `None`: bodies of any length.
    pub max_body: Option<usize>,
    /// The identity of the database, which the queues carry: a queue with another one is refused. `None`: it is not compared.
    pub database: Option<Uuid>,
    /// The keys that authenticate where dead letters were published to. `None`: dead letters carry no origin.
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
            declare_topology: true,
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
    /// Connects, and from then on reconnects automatically.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the URL is wrong or the broker refuses the user, [`Error::Unavailable`] if no address answers.
    /// Each is tried once.
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
            Ok(live) => topology::inspection::inspect(&live.connection, exchange, &self.options).await,
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
            // It was returned and confirmed, which takes a working broker.
            Ok([Published::Unroutable]) if !self.options.declare_topology => Ok(()),
            // The queue was deleted: the next check will find it.
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

/// Waits for lapin, with a timeout.
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
