//! A supervised connection: opened, watched, and opened again when it is lost.
//!
//! lapin's own recovery gives up after some tries and leaves channels that look alive, so it is off. Here a lost connection is
//! dropped with all its channels, and the next one has another generation.

use std::sync::Arc;
use std::time::Duration;

use async_rs::Runtime;
use futures_util::StreamExt;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::amqp::calls::within;
use crate::amqp::options::Options;
use crate::amqp::repair::stream::{self, Kit, Repaired};
use crate::amqp::topology;
use crate::amqp::topology::known::Known;
use snorri_ports::addresses::Shown;
use snorri_ports::broker::Error;

/// The pause before the second try. It doubles with each try.
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest pause while the broker is unavailable, so that a backlog moves within a second of its return. A broker that
/// refuses is tried less often, up to [`Options::reconnect_delay_max`].
const AWAY_DELAY_MAX: Duration = Duration::from_millis(500);
/// lapin reports most losses by an event; this finds the others.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// The purpose of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Publish,
    Consume,
    /// Consuming messages that may be what breaks the connection.
    Probation,
}

impl Purpose {
    /// The name in the broker's list of connections.
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Probation => "consume one by one",
        }
    }

    fn consumes(self) -> bool {
        matches!(self, Self::Consume | Self::Probation)
    }

    /// Most bytes of one frame; a longer body takes several, but the headers of a message are in one. So connections that
    /// receive messages accept whatever the broker allows (128 KiB by default). lapin allocates 64 times as much for each
    /// connection: a few megabytes less where only Snorri's own messages are sent.
    fn frame_max(self) -> u32 {
        match self {
            Self::Publish => 32 * 1024,
            Self::Consume | Self::Probation => 1024 * 1024,
        }
    }
}

/// One connection for one purpose, for as long as the process lives.
#[derive(Debug)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    availability: watch::Receiver<bool>,
}

#[derive(Debug, Clone)]
enum State {
    /// The first try is in progress.
    Connecting,
    Down {
        refused: bool,
        reason: String,
    },
    Up(Arc<Live>),
    Closed,
}

/// A connection that was up at the last check.
#[derive(Debug)]
pub(super) struct Live {
    /// Which of the link's connections this is, from 1.
    pub(super) generation: u64,
    pub(super) connection: Connection,
}

impl Link {
    /// Opens and supervises a connection. The declarations in `known` are repeated on each new connection.
    pub(super) fn open(
        purpose: Purpose,
        options: Arc<Options>,
        known: Option<Arc<Known>>,
        closing: CancellationToken,
    ) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let (available, availability) = watch::channel(false);
        let supervisor = Supervisor { purpose, options, known, closing, state: sender, available };
        tokio::spawn(supervisor.run());
        Self { state, availability }
    }

    /// Whether the connection is up and the broker does not block it.
    pub(super) fn availability(&self) -> watch::Receiver<bool> {
        self.availability.clone()
    }

    pub(super) fn live(&self) -> Result<Arc<Live>, Error> {
        match &*self.state.borrow() {
            State::Up(live) => Ok(live.clone()),
            State::Connecting => Err(Error::Unavailable("the first connection is being made".to_owned())),
            State::Down { refused: true, reason } => Err(Error::Refused(reason.clone())),
            State::Down { refused: false, reason } => Err(Error::Unavailable(reason.clone())),
            State::Closed => Err(Error::Unavailable("it is closed".to_owned())),
        }
    }

    /// Waits for the result of the first try to connect, which is bounded by the timeouts of the options.
    pub(super) async fn first(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let _ = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        self.live().map(|_| ())
    }

    /// Waits until the connection is up. `None`: it was closed for good.
    pub(super) async fn up(&self) -> Option<Arc<Live>> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting | State::Down { .. })).await;
        match settled.as_deref() {
            Ok(State::Up(live)) => Some(live.clone()),
            _ => None,
        }
    }

    pub(super) async fn closed(&self) {
        let _ = self.state.clone().wait_for(|state| matches!(state, State::Closed)).await;
    }
}

struct Supervisor {
    purpose: Purpose,
    options: Arc<Options>,
    known: Option<Arc<Known>>,
    closing: CancellationToken,
    state: watch::Sender<State>,
    available: watch::Sender<bool>,
}

impl Supervisor {
    async fn run(self) {
        let closing = self.closing.clone();
        closing.run_until_cancelled(self.keep_connected()).await;
        self.available.send_replace(false);
        if let State::Up(live) = self.state.send_replace(State::Closed) {
            let closed = live.connection.close(200, "OK".into());
            let _ = within(self.options.operation_timeout, "closing the connection", closed).await;
        }
    }

    async fn keep_connected(&self) {
        let (mut generation, mut delay) = (0, RECONNECT_DELAY_MIN);
        let mut logged = None;
        loop {
            let mut delay_max = AWAY_DELAY_MAX.min(self.options.reconnect_delay_max);
            match self.connect().await {
                Ok(connection) => {
                    logged = None;
                    (generation, delay) = (generation + 1, RECONNECT_DELAY_MIN);
                    self.use_while_it_lasts(Live { generation, connection }).await;
                }
                Err(error) => {
                    // The caller of the first connection reports that it cannot be made.
                    if generation > 0 && logged.as_ref() != Some(&error.to_string()) {
                        tracing::warn!(purpose = self.purpose.name(), %error, "cannot connect to the broker");
                        logged = Some(error.to_string());
                    }
                    let (refused, reason) = match error {
                        Error::Refused(reason) => (true, reason),
                        Error::Unavailable(reason) => (false, reason),
                    };
                    if refused {
                        delay_max = self.options.reconnect_delay_max;
                    }
                    self.state.send_replace(State::Down { refused, reason });
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(delay_max);
        }
    }

    async fn use_while_it_lasts(&self, live: Live) {
        let (purpose, generation, live) = (self.purpose.name(), live.generation, Arc::new(live));
        tracing::info!(purpose, generation, "connected to the broker");
        // First, so that a task that has waited for the connection finds it available.
        self.available.send_replace(true);
        self.state.send_replace(State::Up(live.clone()));
        let reason = match &self.known {
            None => self.watch(&live.connection).await,
            Some(known) => tokio::select! {
                reason = self.watch(&live.connection) => reason,
                never = topology::keep_declared(&live.connection, known, &self.options) => match never {},
            },
        };
        self.available.send_replace(false);
        tracing::warn!(purpose, generation, reason, "lost the connection to the broker");
        self.state.send_replace(State::Down { refused: false, reason });
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connection = connect(&self.options, self.purpose).await?;
        if let Some(known) = &self.known {
            // Whatever exists works without what is missing. Refusals are logged when everything is declared again.
            let declared =
                topology::restore(&connection, known, &known.all(), &self.options).await.map(|_| ());
            for result in [declared, topology::declare_probe(&connection, &self.options).await] {
                if let Err(error) = result {
                    tracing::error!(%error, "cannot declare the topology");
                }
            }
        }
        Ok(connection)
    }

    /// Returns when the connection is lost, with the reason.
    async fn watch(&self, connection: &Connection) -> String {
        let purpose = self.purpose.name();
        let mut events = std::pin::pin!(connection.events_listener());
        let mut status = tokio::time::interval(STATUS_INTERVAL);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    // Errors that only close a channel are events too.
                    Some(Event::Error(error)) if !connection.status().connected() => return error.to_string(),
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(purpose, reason, "the broker takes no messages until it has room again");
                        self.available.send_replace(false);
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!(purpose, "the broker takes messages again");
                        self.available.send_replace(true);
                    }
                    Some(_) => {}
                    None => return "it ended".to_owned(),
                },
                _ = status.tick() => {
                    if !connection.status().connected() {
                        return "it ended".to_owned();
                    }
                }
            }
        }
    }
}

/// Connects to the first address that answers and accepts the user.
async fn connect(options: &Options, purpose: Purpose) -> Result<Connection, Error> {
    let (mut reasons, mut may_recover) = (Vec::new(), false);
    for url in options.url.iter() {
        let error = match connect_to(url, options, purpose).await {
            Ok(connection) => return Ok(connection),
            Err(error) if !options.url.are_several() => return Err(error),
            Err(error) => error,
        };
        may_recover |= matches!(error, Error::Unavailable(_));
        reasons.push(format!("{}: {error}", Shown(url)));
    }
    let reasons = reasons.join("; ");
    Err(if may_recover { Error::Unavailable(reasons) } else { Error::Refused(reasons) })
}

async fn connect_to(url: &str, options: &Options, purpose: Purpose) -> Result<Connection, Error> {
    let mut uri: AMQPUri = (url.parse())
        .map_err(|reason| Error::Refused(format!("this is not the URL of a broker: {reason}")))?;
    let heartbeat = u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
    uri.query.heartbeat.get_or_insert(heartbeat); // the URL takes precedence
    uri.query.frame_max.get_or_insert(purpose.frame_max());
    let properties =
        ConnectionProperties::default().with_connection_name(format!("snorri, to {}", purpose.name()).into());
    let tokio = Runtime::tokio_current();
    let max_body = options.max_body.filter(|_| purpose.consumes());
    let timeout = options.connect_timeout;
    // The socket has a timeout of its own because lapin connects on a thread that cannot be stopped.
    let socket = async move |uri: AMQPUri, _: Runtime<Kit>| {
        let trust = OwnedTLSConfig::default(); // what the system trusts
        let connected = uri.connect_with_config_async(trust.as_ref(), &tokio);
        match tokio::time::timeout(timeout, connected).await {
            Ok(stream) => Ok(AsyncTcpStream::Plain(Repaired::new(stream?, max_body))),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    };
    let connecting = Connection::connector(uri, stream::runtime(), socket, properties);
    within(timeout, "connecting", connecting).await
}
