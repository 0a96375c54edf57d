//! The engine: loads sagas, decides inputs, commits the decisions and acknowledges the messages. The only caller of
//! [`transition`](snorri_core::transition()).
//!
//! The path of a reply: [`intake`] gets a delivery from the broker, decodes it, and submits an input to its saga's [`lane`].
//! The lane decides it together with all waiting inputs, commits the batch, and answers; the delivery is acknowledged. The
//! commands of the batch go through the [`outbox`] to the broker, and once they are confirmed, a later commit removes them.
//! [`timers`] wakes sagas, and sends what a dead process has left in the outbox.

pub mod definitions;
pub mod intake;
pub mod lane;
pub mod metrics;
pub mod operations;
pub mod options;
pub mod outbox;
pub mod queries;
pub mod supervision;
pub mod timers;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use definitions::{Definitions, Reload};
use intake::buffer::Buffer;
use intake::letterbox::Letterbox;
use lane::Lane;
use lane::ended::EndedSagas;
pub use lane::request::Accepted;
use lane::request::{LaneMessage, Request};
use lane::state_cache::StateCache;
use metrics::Metrics;
use operations::operator::SubmitOptions;
pub use operations::start::{StartError, StartRequest, Started};
pub use options::Options;
use outbox::backlog::{Backlog, Freed};
use outbox::{Confirmed, Outbox, SharedFlow};
use queries::counts::Counts;
use queries::feed::Feed;
use snorri_core::{Input, Rejection, SagaId};
use snorri_ports::broker::Broker;
use snorri_ports::clock::Clock;
pub use snorri_ports::store::Error as StoreError;
use snorri_ports::store::{Lease, Store};
use snorri_wire::envelope::Wire;
pub use supervision::Supervisor;
use supervision::health::Health;
use supervision::liveness::{Liveness, Progress};
pub use supervision::running::Running;

/// The parts of the engine.
#[derive(Debug, Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    /// The same store for read-only use, with connections of its own, so that reads do not delay the work.
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
    lanes: Vec<mpsc::Sender<LaneMessage>>,
    feed: Feed,
    counts: Counts,
    /// When the token keys were last loaded.
    keys_loaded: Mutex<Instant>,
    buffer: Buffer,
    health: Health,
    /// A new id at each start of the process.
    process: Uuid,
    ended: EndedSagas,
    backlog: Backlog,
    freed: Freed,
    letterbox: Letterbox,
    liveness: Liveness,
    /// The last reload of definitions of other processes.
    reload: Mutex<Option<Reload>>,
}

impl Shared {
    fn new(
        parts: &Parts,
        options: &Options,
        lanes: Vec<mpsc::Sender<LaneMessage>>,
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
            ended: EndedSagas::default(),
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
    Rejected(#[from] Rejection),
    /// The stored saga cannot be read, or the decision about it failed: an operator has to examine it.
    #[error("the saga is set aside: {0}")]
    Unreadable(String),
    /// The database cannot hold the consequences of the input: sending it again does not help.
    #[error("the input cannot be stored: {0}")]
    Invalid(String),
    /// The saga has changed since the caller read it.
    #[error("the saga has {seq} journal entries by now: read it again")]
    Changed { seq: u32 },
    /// The database did not take the input, or only a newer version of this program can handle it. If the database's answer was
    /// lost, it may have taken the input all the same: repeat the input.
    #[error("it cannot be taken now: {0}")]
    Unavailable(String),
    /// The input was not decided: submit it to another process, or later.
    #[error("the engine is stopping")]
    Stopping,
}

impl SubmitError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
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
            (0..options.workers.get()).map(|_| mpsc::channel(options.queue_capacity.get())).unzip();
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
            let lane = Lane::new(lane::LaneParts {
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
                state_cache: StateCache::new(options.cached_sagas_per_lane(), engine.0.ended.clone()),
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

    /// Periodic tasks other than waking sagas and sending messages.
    fn others(
        &self,
        options: &Options,
        feed: Feed,
        stop: &CancellationToken,
    ) -> [(&'static str, BoxFuture<'static, ()>); 9] {
        let (engine, stop) = (|| self.clone(), || stop.clone());
        [
            ("schedules", timers::schedules::run(engine(), stop()).boxed()),
            ("processes", timers::processes::run(engine(), stop()).boxed()),
            ("health", supervision::health::watch(engine(), stop()).boxed()),
            ("liveness", supervision::liveness::watch(engine(), stop()).boxed()),
            ("feed", queries::feed::run(engine(), feed, stop()).boxed()),
            ("definitions", definitions::refresh(engine(), stop()).boxed()),
            ("token keys", timers::token_keys::refresh(engine(), stop()).boxed()),
            ("buffer", intake::buffer::run(engine(), options.outbox_poll_interval, stop()).boxed()),
            ("retention", timers::retention::run(engine(), options.retention.clone(), stop()).boxed()),
        ]
    }

    /// Submits an input to its saga, and waits until its consequences are committed.
    pub async fn submit(&self, saga: SagaId, input: Input) -> Result<Accepted, SubmitError> {
        self.submit_on(SubmitOptions::default(), saga, input).await
    }

    /// The same, with options.
    pub async fn submit_on(
        &self,
        options: SubmitOptions,
        saga: SagaId,
        input: Input,
    ) -> Result<Accepted, SubmitError> {
        let (done, decided) = oneshot::channel();
        let task = LaneMessage::Input(Box::new(Request::new(saga, input, options, done)));
        self.lane(saga).send(task).await.map_err(|_| SubmitError::Stopping)?;
        decided.await.map_err(|_| SubmitError::Stopping)?
    }

    pub fn definitions(&self) -> &Definitions {
        &self.0.parts.definitions
    }

    /// The feed of all sagas.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    /// The store for read-only use.
    pub fn reader(&self) -> &dyn Store {
        &*self.0.parts.reader
    }

    pub fn broker(&self) -> &dyn Broker {
        &*self.0.parts.broker
    }

    /// Encodes and decodes messages.
    pub fn wire(&self) -> &Wire {
        &self.0.parts.wire
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    /// The id of this process among those that share the store.
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

    /// The readiness of the parts of this process.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// The liveness of the tasks of this process.
    pub fn liveness(&self) -> &Liveness {
        &self.0.liveness
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    /// Has one lane commit the removal of confirmed messages.
    async fn flush(&self) {
        if let Some(lane) = self.0.lanes.first() {
            // A closed lane means that the engine is stopping, which removes them too.
            let _ = lane.send(LaneMessage::Flush).await;
        }
    }

    fn lane(&self, saga: SagaId) -> &mpsc::Sender<LaneMessage> {
        let (_, low) = saga.0.as_u64_pair();
        let count = self.0.lanes.len();
        let index = usize::try_from(low % count as u64).unwrap_or_default();
        &self.0.lanes[index]
    }
}
