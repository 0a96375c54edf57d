//! The engine: takes inputs in, loads, decides, commits, acknowledges. The only caller of
//! [`transition`](crate::saga::transition()).
//!
//! One reply, start to end: [`intake`] gets a delivery from the broker, reads it, and submits an input to its saga's
//! [`lane`]. The lane decides it together with all that waits, commits the batch, and answers; the delivery is
//! acknowledged. The commands of the batch go through the [`outbox`] to the broker, and once they are confirmed, a later
//! commit removes them. [`timers`] wakes sagas, and sends what a dead process has left in the outbox.

mod admission;
pub mod backlog;
pub mod batch;
pub mod buffer;
pub mod bulk;
mod children;
pub mod clock;
mod computing;
mod counts;
pub mod dead_letters;
pub mod definitions;
mod events;
pub mod exchanges;
pub mod feed;
pub mod flow;
pub mod health;
pub mod intake;
pub mod lane;
mod letterbox;
pub mod liveness;
pub mod load_errors;
pub mod metrics;
pub mod operator;
pub mod options;
pub mod outbox;
pub mod probation;
mod processes;
mod publisher;
pub mod registration;
pub mod retention;
mod running;
pub mod schedules;
pub mod search;
mod signals;
mod size;
pub mod start;
mod states;
mod supervision;
mod tasks;
pub mod timers;
pub mod token_keys;
pub mod view;
mod work;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::Broker;
use crate::broker::envelope::Wire;
use crate::saga::{Ignored, Input, SagaId};
pub use crate::store::Error as StoreError;
use crate::store::{Lease, Store};
use backlog::{Backlog, Freed};
use buffer::Buffer;
use clock::Clock;
use counts::Counts;
use definitions::{Definitions, Reload};
use feed::Feed;
use health::Health;
use lane::Lane;
use letterbox::Letterbox;
use liveness::{Liveness, Progress};
use metrics::Metrics;
use operator::Terms;
pub use options::Options;
use outbox::{Confirmed, Outbox, SharedFlow};
pub use running::Running;
pub use start::{StartError, StartRequest, Started};
use states::HotStates;
pub use supervision::Supervisor;
pub use work::Accepted;
use work::{Task, Work};

/// What the engine is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    /// The same store for whoever only looks, with connections of its own, so that nobody who looks holds up the work.
    pub reader: Arc<dyn Store>,
    pub broker: Arc<dyn Broker>,
    pub clock: Arc<dyn Clock>,
    pub definitions: Arc<Definitions>,
    pub metrics: Arc<Metrics>,
    /// Snorri's own queues and exchanges, and its keys.
    pub wire: Wire,
}

/// A handle to the running engine.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Parts,
    lanes: Vec<mpsc::Sender<Task>>,
    feed: Feed,
    counts: Counts,
    /// When the token keys were last loaded.
    keys_loaded: Mutex<Instant>,
    buffer: Buffer,
    health: Health,
    /// Made anew at each start of the process.
    process: Uuid,
    backlog: Backlog,
    freed: Freed,
    letterbox: Letterbox,
    liveness: Liveness,
    /// The last look for definitions of other processes.
    reload: Mutex<Option<Reload>>,
}

impl Shared {
    fn new(
        parts: &Parts,
        options: &Options,
        lanes: Vec<mpsc::Sender<Task>>,
        feed: Feed,
        liveness: Liveness,
        process: Uuid,
    ) -> Self {
        Self {
            parts: parts.clone(),
            lanes,
            feed,
            counts: Counts::default(),
            keys_loaded: Mutex::new(Instant::now()),
            buffer: Buffer::new(options.buffered_events.clone()),
            health: Health::default(),
            process,
            backlog: Backlog::new(options.max_unsent.get()),
            freed: Freed::default(),
            letterbox: Letterbox::default(),
            liveness,
            reload: Mutex::new(None),
        }
    }
}

/// Why an input was not journaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Ignored(#[from] Ignored),
    /// What is stored of the saga cannot be read, or the decision about it failed: somebody has to look at it.
    #[error("the saga is set aside: {0}")]
    Unreadable(String),
    /// The database cannot hold what the input led to: sending it again cannot help.
    #[error("the input cannot be stored: {0}")]
    Invalid(String),
    /// Something happened to the saga since whoever asks has looked at it.
    #[error("the saga has {seq} journal entries by now: look at it again")]
    Changed { seq: u32 },
    /// The database did not take the input, or a newer version of this program has to. The database may have taken it all the same,
    /// if its answer was lost: repeat the input.
    #[error("it cannot be taken now: {0}")]
    Unavailable(String),
    /// The input was not decided: give it to another process, or again later.
    #[error("the engine is stopping")]
    Stopping,
}

impl SubmitError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ignored(ignored) => ignored.code(),
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid_value",
            Self::Changed { .. } => "changed",
            Self::Unavailable(_) => "store_unavailable",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the same input may be taken later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Stopping | Self::Unavailable(_) | Self::Changed { .. })
    }
}

impl Engine {
    /// Starts the engine's tasks.
    pub fn spawn(parts: &Parts, options: &Options) -> (Self, Running) {
        let process = Uuid::now_v7();
        let supervisor = Supervisor::default();
        let (stop_timers, stop_lanes) = (CancellationToken::new(), CancellationToken::new());
        let confirmed = Confirmed::default();
        let flow = SharedFlow::new(options.max_unanswered.get(), options.outbox_lease);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..options.lanes.get()).map(|_| mpsc::channel(options.lane_capacity.get())).unzip();
        let progress: Vec<Progress> = receivers.iter().map(|_| Progress::default()).collect();
        let feed = Feed::new();
        let liveness = Liveness { supervisor: supervisor.clone(), lanes: progress.clone() };
        let engine = Self(Arc::new(Shared::new(parts, options, senders, feed.clone(), liveness, process)));

        let mut lanes = Vec::new();
        let mut publishers = Vec::new();
        let mut outboxes = Vec::new();
        for (tasks, progress) in receivers.into_iter().zip(progress) {
            let (outbox, publisher) =
                Outbox::new(confirmed.clone(), parts.wire.clone(), flow.clone(), parts.broker.availability());
            publishers.push(supervisor.spawn(
                "publisher",
                &stop_lanes,
                publisher.run(Arc::clone(&parts.broker), engine.clone()),
            ));
            outboxes.push(outbox.clone());
            let lane = Lane::new(lane::Parts {
                tasks,
                store: Arc::clone(&parts.store),
                definitions: Arc::clone(&parts.definitions),
                clock: Arc::clone(&parts.clock),
                metrics: Arc::clone(&parts.metrics),
                outbox,
                batch_limit: options.batch_limit.get(),
                commit_delay: options.commit_delay,
                process,
                outbox_lease: options.outbox_lease,
                wire: parts.wire.clone(),
                hot: HotStates::new(options.hot_sagas_per_lane()),
                progress,
            });
            lanes.push(supervisor.spawn("lane", &stop_lanes, lane.run(stop_lanes.clone())));
        }
        let stop = || stop_timers.clone();
        let wake = timers::wake(engine.clone(), confirmed.clone(), options.clone(), stop()).boxed();
        let sweep = timers::sweep(engine.clone(), outboxes, flow, options.clone(), stop()).boxed();
        let flush = timers::flush(engine.clone(), confirmed.clone(), stop()).boxed();
        let timers = [("timers", wake), ("sweep", sweep), ("flush", flush)].into_iter();
        let timers = timers.chain(engine.others(options, feed, &stop_timers));
        let timers = timers.map(|(name, task)| supervisor.spawn(name, &stop_timers, task)).collect();
        let running = Running {
            engine: engine.clone(),
            supervisor,
            stop_timers,
            stop_lanes,
            timers,
            lanes,
            publishers,
            confirmed,
        };
        (engine, running)
    }

    /// What is done from time to time beside waking sagas and sending messages.
    fn others(
        &self,
        options: &Options,
        feed: Feed,
        stop: &CancellationToken,
    ) -> [(&'static str, BoxFuture<'static, ()>); 9] {
        let (engine, stop) = (|| self.clone(), || stop.clone());
        [
            ("schedules", schedules::run(engine(), stop()).boxed()),
            ("processes", processes::run(engine(), stop()).boxed()),
            ("health", health::watch(engine(), stop()).boxed()),
            ("liveness", liveness::watch(engine(), stop()).boxed()),
            ("feed", feed::run(engine(), feed, stop()).boxed()),
            ("definitions", definitions::refresh(engine(), stop()).boxed()),
            ("token keys", token_keys::refresh(engine(), stop()).boxed()),
            ("buffer", buffer::run(engine(), options.sweep_interval, stop()).boxed()),
            ("retention", retention::run(engine(), options.retention.clone(), stop()).boxed()),
        ]
    }

    /// Gives an input to its saga, and waits until what it led to is committed.
    pub async fn submit(&self, saga: SagaId, input: Input) -> Result<Accepted, SubmitError> {
        self.submit_on(Terms::default(), saga, input).await
    }

    /// The same, on terms.
    pub async fn submit_on(&self, terms: Terms, saga: SagaId, input: Input) -> Result<Accepted, SubmitError> {
        let (done, decided) = oneshot::channel();
        let task = Task::Input(Box::new(Work::new(saga, input, terms, done)));
        self.lane(saga).send(task).await.map_err(|_| SubmitError::Stopping)?;
        decided.await.map_err(|_| SubmitError::Stopping)?
    }

    pub fn definitions(&self) -> &Definitions {
        &self.0.parts.definitions
    }

    /// Where to hear what happens to all sagas.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    /// The store for whoever only looks.
    pub fn reader(&self) -> &dyn Store {
        &*self.0.parts.reader
    }

    pub fn broker(&self) -> &dyn Broker {
        &*self.0.parts.broker
    }

    /// What messages are written and read with.
    pub fn wire(&self) -> &Wire {
        &self.0.parts.wire
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    /// This process among those that share the store.
    pub(crate) fn process(&self) -> Uuid {
        self.0.process
    }

    /// The right of this process to what it claims.
    fn lease(&self, duration: Duration) -> Lease {
        Lease { holder: self.process(), duration }
    }

    fn backlog(&self) -> &Backlog {
        &self.0.backlog
    }

    fn letterbox(&self) -> &Letterbox {
        &self.0.letterbox
    }

    fn freed(&self) -> &Freed {
        &self.0.freed
    }

    /// Which parts this process can work with.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Whether the tasks of this process live and make progress.
    pub fn liveness(&self) -> &Liveness {
        &self.0.liveness
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    /// Has some lane commit the removal of confirmed messages.
    async fn flush(&self) {
        if let Some(lane) = self.0.lanes.first() {
            // A closed lane means that the engine stops, which removes them too.
            let _ = lane.send(Task::Flush).await;
        }
    }

    fn lane(&self, saga: SagaId) -> &mpsc::Sender<Task> {
        let (_, low) = saga.0.as_u64_pair();
        let count = self.0.lanes.len();
        let index = usize::try_from(low % count as u64).unwrap_or_default();
        &self.0.lanes[index]
    }
}
