//! Construction and wiring: the only place where components are made, and where they are stopped in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::amqp::{self, AmqpBroker};
use crate::broker::envelope::{Keyring, Wire};
use crate::broker::local::{self, LocalBroker};
use crate::broker::topology::{self, Names};
use crate::broker::{Broker, Handler};
use crate::catalog;
use crate::config::Config;
use crate::engine::clock::{Clock, DatabaseClock, SystemClock};
use crate::engine::definitions::Definitions;
use crate::engine::metrics::Metrics;
use crate::engine::{self, Engine, intake, probation, token_keys};
use crate::http::{self, Readiness};
use crate::saga::Time;
use crate::store::Store;
use crate::store::sql::{self, SqlStore};

/// A running orchestrator: everything but its HTTP side.
#[derive(Debug)]
pub struct Orchestrator {
    engine: Engine,
    running: engine::Running,
    metrics: Arc<Registry>,
    broker: Arc<dyn Broker>,
    stop_intake: CancellationToken,
    intake: Vec<JoinHandle<()>>,
}

/// Serves with `config` until `stop` is cancelled, then drains and stops.
pub async fn serve(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    serve_with(config, stop, async |_| Ok(())).await
}

/// The same, with something beside it that begins once everything is up.
pub async fn serve_with(
    config: &Config,
    stop: CancellationToken,
    begin: impl AsyncFnOnce(&Orchestrator) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let server = http::Server::prepare(&config.http).await?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.http.listen))?;
    let orchestrator = Orchestrator::start(config).await?;
    for compiled in orchestrator.engine.definitions().all() {
        let definition = &compiled.definition;
        tracing::info!(name = %definition.name, version = definition.version, "definition ready");
    }

    let stop_http = CancellationToken::new();
    let readiness = Readiness::default();
    let api = http::Api {
        engine: orchestrator.engine.clone(),
        readiness: readiness.clone(),
        metrics: Arc::clone(&orchestrator.metrics),
        stopping: stop_http.clone(),
    };
    let mut serving = tokio::spawn(server.serve(listener, api, stop_http.clone()));
    readiness.set(true);
    tracing::info!(listen = %config.http.listen, "serving");

    begin(&orchestrator).await?;
    let has_failed = tokio::select! {
        () = stop.cancelled() => false,
        () = orchestrator.failed() => true,
        served = &mut serving => {
            served.context("the HTTP server failed")?.context("the HTTP server failed")?;
            bail!("the HTTP server has ended too early");
        }
    };
    tracing::info!("draining");
    readiness.set(false);
    stop_http.cancel();
    let drain = async {
        serving.await.context("the HTTP server failed")?.context("the HTTP server failed")?;
        orchestrator.shut_down().await;
        anyhow::Ok(())
    };
    if has_failed {
        // The drain may wait for the task that has ended. What it does not finish, another process does.
        let _ = tokio::time::timeout(DRAIN_LIMIT, drain).await;
        bail!("a task of the engine has ended too early: the log names it");
    }
    drain.await?;
    tracing::info!("stopped");
    Ok(())
}

impl Orchestrator {
    /// Connects, registers every definition of the configured directory, declares the topology, takes up what was in
    /// flight, and begins to take in messages.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let store = open_store(config, config.database.max_connections).await?;
        let clock = clock_of(&*store).await?;
        let reader = match is_embedded(config) {
            true => Arc::clone(&store),
            false => open_store(config, config.database.reader_connections).await?,
        };
        let wire = wire(config, &*store, clock.now()).await?;
        let identity = store.identity().await.context("cannot read the identity of the database")?;
        let broker = open_broker(config, &wire, identity).await?;
        let definitions = Arc::new(Definitions::new(Arc::clone(&store)));
        register_directory(config, &definitions, &*clock).await?;

        let names = wire.names.clone();
        broker.declare(&topology::own_topology(&config.broker.prefix)).await?;
        if let Some(exchange) = &wire.reply_exchange {
            broker.declare(&topology::reply_topology(&names, exchange)).await?;
        }
        if let Err(error) = definitions.declare(&*broker, &names).await {
            tracing::warn!(%error, "the exchanges of definitions are checked and declared later");
        }

        let mut registry = Registry::default();
        let parts = engine::Parts {
            store,
            reader,
            broker: Arc::clone(&broker),
            clock,
            definitions,
            metrics: Arc::new(Metrics::new(&mut registry)),
            wire,
        };
        let (engine, running) = Engine::spawn(&parts, &config.engine);
        let stop_intake = CancellationToken::new();
        let intake = [
            (names.replies, intake::replies(engine.clone(), &config.engine)),
            (names.starts, intake::starts(engine.clone(), &config.engine)),
            (names.events, intake::events(engine.clone(), &config.engine)),
            (names.signals, intake::signals(engine.clone(), &config.engine)),
            (names.dead_letters, intake::dead_letters(engine.clone(), &config.engine)),
        ]
        .map(|(queue, handler)| {
            let consuming =
                consume(Arc::clone(&broker), queue, config.engine.prefetch, handler, stop_intake.clone());
            running.supervisor().spawn("consumer", &stop_intake, consuming)
        });
        let handler = intake::probation(engine.clone(), &config.engine);
        let probation = probation::run(engine.clone(), handler, stop_intake.clone());
        let mut intake = Vec::from(intake);
        intake.push(running.supervisor().spawn("probation", &stop_intake, probation));
        Ok(Self { engine, running, metrics: Arc::new(registry), broker, stop_intake, intake })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits until a task has ended that must not.
    pub async fn failed(&self) {
        self.running.supervisor().failed().await;
    }

    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    /// Takes no more messages, finishes what came in, sends what is committed, and disconnects.
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

async fn consume(
    broker: Arc<dyn Broker>,
    queue: String,
    prefetch: u16,
    handler: Handler,
    stop: CancellationToken,
) {
    broker.consume(&queue, prefetch, handler, stop).await;
}

/// How often the database's clock is read at the start: on a busy machine, a single reading may be far off.
const CLOCK_READINGS: u32 = 5;

/// Processes that share a database go by its clock.
async fn clock_of(store: &dyn Store) -> anyhow::Result<Arc<dyn Clock>> {
    let read = async || store.now().await.context("cannot read the database's clock");
    let Some(now) = read().await? else { return Ok(Arc::new(SystemClock)) };
    let clock = DatabaseClock::starting_at(now);
    for _ in 0..CLOCK_READINGS {
        let began = Instant::now();
        if let Some(now) = read().await? {
            clock.follow(now, began.elapsed());
        }
    }
    Ok(Arc::new(clock))
}

/// SQLite reads in one file of one process: more connections would only take turns.
fn is_embedded(config: &Config) -> bool {
    config.database.url.expose_secret().starts_with("sqlite:")
}

async fn open_store(config: &Config, max_connections: u32) -> anyhow::Result<Arc<dyn Store>> {
    let options = sql::Options {
        max_connections,
        migrate: config.database.migrate,
        ..sql::Options::new(config.database.url.clone())
    };
    Ok(Arc::new(SqlStore::connect(&options).await.context("cannot open the database")?))
}

/// What messages are written and read with. The first process that starts on a database makes its key.
async fn wire(config: &Config, store: &dyn Store, now: Time) -> anyhow::Result<Wire> {
    let keys = token_keys::load(store, now).await.context("cannot load the token keys")?;
    let reply_exchange = Some(config.broker.reply_exchange.clone()).filter(|name| !name.is_empty());
    let reply_to = config.broker.reply_to_pattern.clone();
    let wire = Wire::new(Names::new(&config.broker.prefix), Keyring::new(keys));
    Ok(Wire { reply_exchange, reply_to, ..wire })
}

async fn open_broker(config: &Config, wire: &Wire, identity: Uuid) -> anyhow::Result<Arc<dyn Broker>> {
    if config.broker.url.expose_secret() == "local" {
        let broker = LocalBroker::new(local::Options::default()).with_keys(wire.keys.clone());
        return Ok(Arc::new(broker));
    }
    let options = amqp::Options {
        prefix: config.broker.prefix.clone(),
        probe_queue: wire.names.probe.clone(),
        verify_only: config.broker.verify_only,
        keys: Some(wire.keys.clone()),
        database: Some(identity),
        // Before the reservation of the messages in the outbox runs out, so that nobody else sends them meanwhile.
        confirm_timeout: config.engine.outbox_lease * 2 / 3,
        ..amqp::Options::new(config.broker.url.clone())
    };
    Ok(Arc::new(AmqpBroker::connect(&options).await.context("cannot connect to the broker")?))
}

async fn register_directory(
    config: &Config,
    definitions: &Definitions,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    definitions.load().await?;
    let directory = &config.definitions.directory;
    let read = catalog::read_directory_each(directory)
        .with_context(|| format!("cannot read the definitions in {}", directory.display()))?;
    let mut sources = Vec::with_capacity(read.len());
    for (path, source) in read {
        match source {
            Ok(source) => sources.push(source),
            Err(error) => definitions.add_unreadable_file(&path, &error),
        }
    }
    definitions.register_all(&sources, clock.now()).await?;
    Ok(())
}

/// How long a drain may take before the process ends anyway.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);
