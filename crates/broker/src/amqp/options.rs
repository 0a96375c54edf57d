//! The options of the client.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use snorri_ports::addresses::Addresses;
use snorri_wire::envelope::Keyring;

#[derive(Debug, Clone)]
pub struct Options {
    /// `amqp://user:password@host:port/vhost`, or `amqps` for TLS with the authorities that the system trusts, or those in the
    /// file of the environment variable `SSL_CERT_FILE`. The vhost is percent-encoded: `%2f` for `/`. Several are tried in turn
    /// for each connection.
    pub url: Addresses,
    /// The prefix of the names of Snorri's own queues and exchanges, which a dot follows.
    pub prefix: String,
    /// The queue that [`Broker::check`](snorri_ports::broker::Broker::check) publishes to. It has no consumer, and keeps one message.
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
    pub(super) fn owns(&self, exchange: &str) -> bool {
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
