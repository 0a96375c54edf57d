//! Construction, wiring and ordered shutdown of all components.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::http::{self, Readiness};
use crate::shutdown;
use crate::startup::{Startup, StartupFailure};
use snorri_broker::amqp::{self, AmqpBroker};
use snorri_broker::local::{self, LocalBroker};
use snorri_core::{MAX_PAYLOAD_BYTES, Time};
use snorri_definition::{Read, Source};
use snorri_engine::Engine;
use snorri_engine::definitions::Definitions;
use snorri_engine::intake;
use snorri_engine::metrics::Metrics;
use snorri_engine::timers::token_keys;
use snorri_ports::broker::Broker;
use snorri_ports::clock::{Clock, DatabaseClock, SystemClock};
use snorri_ports::store::Store;
use snorri_store::SqlStore;
use snorri_wire::envelope::{Keyring, Wire};
use snorri_wire::topology::{self, Names};

/// A running orchestrator: everything but its HTTP side.
#[derive(Debug)]
pub struct Orchestrator {
    engine: Arc<Engine>,
    running: snorri_engine::Running,
    metrics: Arc<Registry>,
    broker: Arc<dyn Broker>,
    stop_intake: CancellationToken,
    intake: Vec<JoinHandle<()>>,
}

/// Serves with `config` until `stop` is cancelled, then drains and stops.
pub async fn serve(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    serve_with(config, stop, async |_| Ok(())).await
}

/// Like [`serve`], and calls `begin` once everything is up.
pub async fn serve_with(
    config: &Config,
    stop: CancellationToken,
    begin: impl AsyncFnOnce(&Orchestrator) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let server = http::Server::prepare(&config.http).await?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.http.listen))?;
    let (stop_http, readiness) = (CancellationToken::new(), Readiness::default());
    let entrance = server.entrance(&readiness);
    let mut serving = tokio::spawn(server.serve(listener, entrance.clone(), stop_http.clone()));
    tracing::info!(listen = %config.http.listen, "listening");

    let startup = Startup::begin(config.startup.wait_for, readiness.clone());
    let orchestrator = tokio::select! {
        started = Orchestrator::start(config, &startup) => started?,
        () = stop.cancelled() => return Ok(()),
        served = &mut serving => return Err(ended_early(served)),
    };
    for compiled in orchestrator.engine.definitions.all() {
        let definition = &compiled.definition;
        tracing::info!(name = %definition.name, version = definition.version, "definition ready");
    }
    let api = http::Api {
        engine: Arc::clone(&orchestrator.engine),
        readiness: readiness.clone(),
        metrics: Arc::clone(&orchestrator.metrics),
        stopping: stop_http.clone(),
    };
    entrance.open(api, &stop_http);
    readiness.set_up();
    tracing::info!(listen = %config.http.listen, "serving");

    begin(&orchestrator).await?;
    let has_failed = tokio::select! {
        () = stop.cancelled() => false,
        () = orchestrator.failed() => true,
        served = &mut serving => return Err(ended_early(served)),
    };
    tracing::info!("draining");
    readiness.set_stopping();
    stop_http.cancel();
    if has_failed {
        // The drain may wait for the task that has ended. Another process finishes the rest.
        let _ = tokio::time::timeout(DRAIN_LIMIT, drain(orchestrator, serving)).await;
        bail!("a task of the engine ended unexpectedly: see the log");
    }
    drain(orchestrator, serving).await
}

/// Finishes accepted work, unless the database or the broker is unavailable: then the rest waits there for another process.
async fn drain(orchestrator: Orchestrator, serving: JoinHandle<std::io::Result<()>>) -> anyhow::Result<()> {
    let engine = Arc::clone(&orchestrator.engine);
    let finish = async {
        serving.await.context("the HTTP server failed")?.context("the HTTP server failed")?;
        orchestrator.shut_down().await;
        anyhow::Ok(())
    };
    tokio::select! {
        finished = finish => {
            finished?;
            tracing::info!("stopped");
        }
        part = shutdown::outage(&engine) => {
            tracing::warn!(part, "stopped with unfinished work: a part is unavailable; nothing is lost");
        }
    }
    Ok(())
}

fn ended_early(served: Result<std::io::Result<()>, JoinError>) -> anyhow::Error {
    match served {
        Ok(Ok(())) => anyhow!("the HTTP server ended unexpectedly"),
        Ok(Err(error)) => anyhow::Error::from(error).context("the HTTP server failed"),
        Err(error) => anyhow::Error::from(error).context("the HTTP server failed"),
    }
}

impl Orchestrator {
    /// Connects, registers every definition of the configured directory, declares the topology, resumes sagas in flight,
    /// and starts to consume messages. `startup` bounds the wait for an unavailable database or broker.
    pub async fn start(config: &Config, startup: &Startup) -> anyhow::Result<Self> {
        let read = read_definitions(config)?;
        let store = open_store(config, config.database.max_connections, startup).await?;
        let clock = startup.reach("database", async || clock_of(&*store).await).await?;
        let reader = match is_embedded(config) {
            true => Arc::clone(&store),
            false => open_store(config, config.database.read_pool_size, startup).await?,
        };
        let wire = startup.reach("database", async || wire(config, &*store, clock.now()).await).await?;
        let identity = startup.reach("database", async || Ok(store.identity().await?)).await?;
        let broker = open_broker(config, &wire, identity, startup).await?;
        let definitions = Arc::new(Definitions::new(Arc::clone(&store)));
        let sources = readable(read, &definitions);
        let register = async || {
            definitions.load().await?;
            Ok(definitions.register_all(&sources, clock.now()).await?)
        };
        startup.reach("database", register).await?;

        let names = wire.names.clone();
        let declare = async || declare_own(config, &*broker, &wire).await;
        startup.reach("broker", declare).await?;
        if let Err(error) = definitions.declare(&*broker, &names).await {
            tracing::warn!(%error, "cannot declare the exchanges of definitions; retrying later");
        }

        let mut registry = Registry::default();
        let parts = snorri_engine::Parts {
            store,
            reader,
            broker: Arc::clone(&broker),
            clock,
            definitions,
            metrics: Arc::new(Metrics::new(&mut registry)),
            wire,
            process: Uuid::now_v7(),
        };
        // A single process shares with no other, and one that may not declare queues cannot have its own.
        let own_reply_queue = config.broker.url.first() != LOCAL_BROKER && config.broker.declare_topology;
        let options = snorri_engine::Options { own_reply_queue, ..config.engine.clone() };
        let (engine, running) = Engine::spawn(&parts, &options);
        let stop_intake = CancellationToken::new();
        let intake = intake::spawn(&engine, &options, running.supervisor(), &stop_intake);
        Ok(Self { engine, running, metrics: Arc::new(registry), broker, stop_intake, intake })
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Waits until a task ends unexpectedly.
    pub async fn failed(&self) {
        self.running.supervisor().failed().await;
    }

    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    /// Stops consuming, finishes accepted work, publishes the outbox, and disconnects.
    pub async fn shut_down(self) {
        self.stop_intake.cancel();
        for task in self.intake {
            if let Err(error) = task.await {
                tracing::error!(%error, "a consumer failed");
            }
        }
        self.running.shut_down().await;
        self.broker.close().await;
    }
}

/// How many times the clock of the database is read at the start. On a busy machine, a single reading may be far off.
const CLOCK_READINGS: u32 = 5;

/// The clock of the database, which all processes on it share.
async fn clock_of(store: &dyn Store) -> Result<Arc<dyn Clock>, StartupFailure> {
    let Some(now) = store.now().await? else { return Ok(Arc::new(SystemClock)) };
    let clock = DatabaseClock::starting_at(now);
    for _ in 0..CLOCK_READINGS {
        let began = Instant::now();
        if let Some(now) = store.now().await? {
            clock.follow(now, began.elapsed());
        }
    }
    Ok(Arc::new(clock))
}

/// With SQLite, more connections would only wait for each other.
fn is_embedded(config: &Config) -> bool {
    config.database.url.first().starts_with("sqlite:")
}

async fn open_store(
    config: &Config,
    max_connections: u32,
    startup: &Startup,
) -> anyhow::Result<Arc<dyn Store>> {
    let options = snorri_store::Options {
        max_connections,
        migrate: config.database.migrate,
        ..snorri_store::Options::new(config.database.url.clone())
    };
    let store = startup.reach("database", async || Ok(SqlStore::connect(&options).await?)).await?;
    Ok(Arc::new(store))
}

/// The encoder and decoder of messages. The first process that starts on a database creates its key.
async fn wire(config: &Config, store: &dyn Store, now: Time) -> Result<Wire, StartupFailure> {
    let keys = token_keys::load(store, now).await?;
    let reply_exchange = Some(config.broker.reply_exchange.clone()).filter(|name| !name.is_empty());
    let reply_to = config.broker.reply_to_pattern.clone();
    let wire = Wire::new(Names::new(&config.broker.prefix), Keyring::new(keys));
    Ok(Wire { reply_exchange, reply_to, ..wire })
}

async fn open_broker(
    config: &Config,
    wire: &Wire,
    identity: Uuid,
    startup: &Startup,
) -> anyhow::Result<Arc<dyn Broker>> {
    let addresses = &config.broker.url;
    if addresses.first() == LOCAL_BROKER {
        let broker = LocalBroker::new(local::Options::default()).with_keys(wire.keys.clone());
        return Ok(Arc::new(broker));
    }
    let options = amqp::Options {
        prefix: config.broker.prefix.clone(),
        probe_queue: wire.names.probe.clone(),
        declare_topology: config.broker.declare_topology,
        keys: Some(wire.keys.clone()),
        database: Some(identity),
        max_body: Some(MAX_PAYLOAD_BYTES),
        // Before the lease of the messages in the outbox ends, so that no other process sends them meanwhile.
        confirm_timeout: config.engine.outbox_lease * 2 / 3,
        ..amqp::Options::at(addresses.clone())
    };
    let connect = async || {
        AmqpBroker::connect(&options).await.map_err(|error| StartupFailure::of_broker(&error, addresses))
    };
    Ok(Arc::new(startup.reach("broker", connect).await?))
}

/// Declares the queues and exchanges of Snorri.
async fn declare_own(config: &Config, broker: &dyn Broker, wire: &Wire) -> Result<(), StartupFailure> {
    let failed = |error| StartupFailure::of_broker(&error, &config.broker.url);
    broker.declare(&topology::own_topology(&config.broker.prefix)).await.map_err(failed)?;
    if let Some(exchange) = &wire.reply_exchange {
        let replies = topology::reply_topology(&wire.names, &wire.names.replies, Some(exchange));
        broker.declare(&replies).await.map_err(failed)?;
    }
    Ok(())
}

/// The definitions of the configured directory.
fn read_definitions(config: &Config) -> anyhow::Result<Vec<Read>> {
    let directory = &config.definitions.directory;
    snorri_definition::read_directory_each(directory)
        .with_context(|| format!("cannot read the definitions in {}", directory.display()))
}

/// The readable definitions. Adds the others to the load errors.
fn readable(read: Vec<Read>, definitions: &Definitions) -> Vec<Source> {
    let mut sources = Vec::with_capacity(read.len());
    for (path, source) in read {
        match source {
            Ok(source) => sources.push(source),
            Err(error) => definitions.add_unreadable_file(&path, &error),
        }
    }
    sources
}

/// The address of the broker in this process.
const LOCAL_BROKER: &str = "local";

/// The maximum duration of a drain after a task has failed.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);
