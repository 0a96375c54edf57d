//! RabbitMQ, through lapin, which is used nowhere else.
//!
//! Two connections: when the broker is short of memory or disk it blocks those that publish, and acknowledgements must get
//! through then. `connection` supervises each of them. `publisher` sends and awaits confirms, `returns` concludes the result of
//! each message. `consumer` keeps a `session` with its queue, `delivery` handles one message, `acks` decides what may be
//! acknowledged. `topology` declares what is `known`, through a `declarer`, queues with their `arguments`; `inspection` finds
//! out how others declared an exchange. The broker's bytes go through `stream`, which splits them into `frames` and repairs
//! what lapin could not read (`repair`). Messages that break the connection all the same end in `probation`.
//!
//! Every call of lapin is under a timeout (`calls`): a blocked or half-dead connection answers nothing at all.
//!
//! lapin logs returned messages as warnings, with their bodies: keep the log level of `lapin::returned_messages` at
//! `error`.

mod calls;
mod connection;
mod consumer;
mod options;
mod probation;
mod properties;
mod publisher;
pub mod repair;
mod returns;
mod topology;

use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::calls::within;
use self::connection::{Link, Purpose};
use self::consumer::{Consumer, Interrupted};
pub use self::options::Options;
use self::properties::short;
use self::publisher::Publisher;
use self::topology::known::Known;
use snorri_ports::broker::{Broker, Error, Handler, Properties, Publication, Published, Topology};
use snorri_wire::observed::ExchangeState;
use snorri_wire::topology::Names;

/// The log target that returned messages are written to, bodies included.
pub const LOGS_PAYLOADS: &str = "lapin::returned_messages";

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
        let probation = Names::new(&self.options.prefix).probation;
        let consumer = Consumer {
            link: &self.consuming,
            interrupted: &self.interrupted,
            publisher: &self.publisher,
            known: &self.known,
            options: &self.options,
            queue,
            probation: &probation,
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
        let channel = calls::open_channel(&live.connection, &self.options).await?;
        let name = short(queue).map_err(|error| Error::Refused(error.to_string()))?;
        let only_look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(name, only_look, FieldTable::default());
        let found = within(self.options.operation_timeout, "looking at a queue", found).await?;
        calls::close_channel(&channel, &self.options).await;
        Ok(found.message_count().into())
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), Error> {
        let live = self.publisher.link.live()?;
        // First, so that no reconnection declares it again.
        self.known.forget_queue(queue);
        let channel = calls::open_channel(&live.connection, &self.options).await?;
        let name = short(queue).map_err(|error| Error::Refused(error.to_string()))?;
        let deleted = channel.queue_delete(name, QueueDeleteOptions::default());
        within(self.options.operation_timeout, "deleting a queue", deleted).await?;
        calls::close_channel(&channel, &self.options).await;
        Ok(())
    }

    async fn close(&self) {
        self.closing.cancel();
        self.publisher.link.closed().await;
        self.consuming.closed().await;
    }
}
