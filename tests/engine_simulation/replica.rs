//! One orchestrator: it starts, works, dies or is stopped, and starts again.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use snorri_engine::definitions::Definitions;
use snorri_engine::event_buffer;
use snorri_engine::intake;
use snorri_engine::metrics::Metrics;
use snorri_engine::timers::retention;
use snorri_engine::{Engine, Options, Parts, Running};
use snorri_ports::broker::Broker;
use snorri_ports::clock::{Clock, DatabaseClock};
use snorri_ports::store::Store;
use testkit::{FaultyBroker, FaultyStore, ManualClock, Process};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fate::Climate;
use crate::world::World;

/// How far a machine's clock may be off, in milliseconds: 20 s, an hour, and 400 days.
const WRONG_CLOCKS: [i64; 5] = [20_000, -20_000, 3_600_000, -3_600_000, 34_560_000_000];
/// The longest an orderly stop may take, with services that answer.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A place for an orchestrator. Which process is in it changes.
#[derive(Debug)]
pub struct Replica {
    pub number: usize,
    /// The clock of the machine that it runs on.
    machine: Arc<ManualClock>,
    current: Mutex<Option<(Arc<Engine>, Arc<Process>)>>,
    stop: CancellationToken,
}

/// A running process.
struct Orchestrator {
    process: Arc<Process>,
    engine: Arc<Engine>,
    running: Running,
    stop_intake: CancellationToken,
    intake: Vec<JoinHandle<()>>,
}

impl Replica {
    pub fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            number,
            machine: Arc::new(ManualClock::at(World::beginning())),
            current: Mutex::default(),
            stop: CancellationToken::new(),
        })
    }

    /// The running engine, and its process.
    pub fn current(&self) -> Option<(Arc<Engine>, Arc<Process>)> {
        self.current.lock().expect("unpoisoned").clone()
    }

    /// Stops the replica permanently, in order.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    fn set_current(&self, current: Option<(Arc<Engine>, Arc<Process>)>) {
        *self.current.lock().expect("unpoisoned") = current;
    }

    /// Runs one process after the other.
    pub async fn run(self: Arc<Self>, world: Arc<World>) {
        let key = format!("clock of r{}", self.number);
        if let Some(mut rng) = world.fate.strikes(&key, world.fate.climate().clocks) {
            self.machine.set_offset(WRONG_CLOCKS[rng.usize(..WRONG_CLOCKS.len())]);
        }
        for incarnation in 0.. {
            let name = format!("r{}.{incarnation}", self.number);
            let observer = Arc::clone(&world.watch);
            let faults = Arc::clone(&world.fate);
            let process = Process::new(name.clone(), faults, observer);
            world.story.record(|| format!("{name} starts"));
            let started = tokio::select! {
                biased;
                () = process.died() => None,
                // A process that panics while it starts ends, and is started again.
                started = AssertUnwindSafe(self.start(&world, &process)).catch_unwind() => started.ok().flatten(),
            };
            if let Some(orchestrator) = started {
                self.set_current(Some((Arc::clone(&orchestrator.engine), Arc::clone(&process))));
                let is_last = self.work(&world, orchestrator, &name).await;
                self.set_current(None);
                if is_last {
                    return;
                }
            }
            process.die();
            let pause = world.fate.rng(&format!("{name} is away")).u64(50..1_500);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Works until the process dies, fails, or is stopped. Returns whether it was the last one.
    async fn work(&self, world: &World, orchestrator: Orchestrator, name: &str) -> bool {
        let odds = world.fate.climate().stops;
        let until_restart = match world.fate.strikes(&format!("{name} is stopped in order"), odds) {
            Some(mut rng) => Duration::from_millis(rng.u64(500..9_000)),
            None => Duration::from_secs(3_600),
        };
        tokio::select! {
            biased;
            () = orchestrator.process.died() => {
                world.story.record(|| format!("{name} has died"));
                false
            }
            () = orchestrator.running.supervisor().failed() => {
                world.story.record(|| format!("{name} ends, because a task has ended"));
                false
            }
            () = self.stop.cancelled() => {
                orchestrator.stop(world, name).await;
                true
            }
            () = busy_moment(world, until_restart) => {
                self.set_current(None);
                orchestrator.stop(world, name).await;
                false
            }
        }
    }

    /// The clock of the process: that of the database, read periodically, or else that of its machine.
    async fn clock(&self, store: &dyn Store) -> Option<Arc<dyn Clock>> {
        let read = store.now().await.ok()?;
        Some(match read {
            Some(now) => Arc::new(DatabaseClock::starting_at(now)),
            None => self.machine.clone(),
        })
    }

    async fn start(&self, world: &World, process: &Arc<Process>) -> Option<Orchestrator> {
        let store: Arc<dyn Store> = Arc::new(
            FaultyStore::new(
                Arc::clone(&world.store) as Arc<dyn Store>,
                Arc::clone(process),
                Arc::clone(&world.poisoned),
            )
            .with_clock(world.clock.clone()),
        );
        let broker: Arc<dyn Broker> =
            Arc::new(FaultyBroker::new(Arc::clone(&world.broker) as Arc<dyn Broker>, Arc::clone(process)));
        let clock = self.clock(&*store).await?;
        let definitions = Arc::new(Definitions::new(Arc::clone(&store)));
        for compiled in &world.compiled {
            definitions.put("simulated.yaml", compiled, World::beginning(), None).await.ok()?;
        }
        // If it fails, it is repeated later.
        let _ = definitions.declare(&*broker, &world.wire.names).await;
        let parts = Parts {
            store: Arc::clone(&store),
            reader: store,
            broker: Arc::clone(&broker),
            clock,
            definitions,
            metrics: Arc::new(Metrics::new(&mut Registry::default())),
            wire: world.wire.clone(),
            process: Uuid::new_v5(&Uuid::NAMESPACE_OID, process.name().as_bytes()),
        };
        let options = options(world.fate.climate());
        let (engine, running) = Engine::spawn(&parts, &options);
        let stop_intake = CancellationToken::new();
        let intake = intake::spawn(&engine, &options, running.supervisor(), &stop_intake);
        Some(Orchestrator { process: Arc::clone(process), engine, running, stop_intake, intake })
    }
}

/// Returns after this time, once a message is about to be sent: then a stop has most to lose.
async fn busy_moment(world: &World, after: Duration) {
    sleep(after).await;
    let _ = timeout(Duration::from_secs(3), world.watch.sending.notified()).await;
}

impl Orchestrator {
    /// Stops as a process does after SIGTERM.
    async fn stop(self, world: &World, name: &str) {
        let Self { process, engine, running, stop_intake, intake } = self;
        world.story.record(|| format!("{name} stops"));
        world.watch.stopping(name);
        let draining = async {
            stop_intake.cancel();
            for task in intake {
                let _ = task.await;
            }
            running.shut_down().await;
        };
        let stopped = tokio::select! {
            biased;
            () = process.died() => return,
            stopped = timeout(STOP_LIMIT, AssertUnwindSafe(draining).catch_unwind()) => stopped,
        };
        match stopped {
            // It ends a little earlier than planned.
            Ok(Err(_)) => return process.die(),
            Ok(Ok(())) => world.story.record(|| format!("{name} has stopped")),
            Err(_) => world.watch.violation(|| format!("{name} does not stop within {STOP_LIMIT:?}")),
        }
        world.watch.stopped(name);
        engine.parts.broker.close().await;
    }
}

/// Small bounds and short times, so that every limit is met within seconds.
pub fn options(climate: &Climate) -> Options {
    let some = |number| NonZeroUsize::new(number).expect("some");
    Options {
        workers: some(climate.lanes),
        queue_capacity: some(16),
        batch_limit: some(8),
        commit_delay: Duration::from_millis(2),
        state_cache_size: some(1_000),
        timer_interval: Duration::from_millis(200),
        timer_lease: Duration::from_secs(2),
        outbox_lease: Duration::from_secs(3),
        max_unanswered: some(climate.window),
        max_unsent: NonZeroU32::new(1_000).expect("some"),
        outbox_poll_interval: Duration::from_secs(1),
        poll_batch_size: NonZeroU32::new(4).expect("some"),
        prefetch: 8,
        message_timeout: Duration::from_secs(10),
        own_reply_queue: true,
        buffered_events: event_buffer::Options {
            retention_period: Duration::from_secs(600),
            max_events: 1_000,
        },
        retention: retention::Options {
            retention_period: retention::Keep::FOREVER,
            dead_letters: retention::Keep::FOREVER,
            resolved_dead_letters: retention::Keep::FOREVER,
            max_dead_letters: 1_000,
            definitions: BTreeMap::new(),
            archive: None,
            interval: Duration::from_secs(3_600),
        },
    }
}
