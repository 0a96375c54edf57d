//! The services of a process, and the tasks that run them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::dead_letters::DeadLetters;
use crate::definitions::Definitions;
use crate::definitions::admission::Admission;
use crate::event_buffer::EventBuffer;
use crate::intake::reply_queues::{OwnReplies, ReplyQueues};
use crate::lane::ended::EndedSagas;
use crate::lane::request::LaneMessage;
use crate::lane::state_cache::StateCache;
use crate::lane::submitter::Submitter;
use crate::lane::{Lane, LaneParts};
use crate::metrics::Metrics;
use crate::operations::bulk::Bulk;
use crate::operations::children::Children;
use crate::operations::interventions::Interventions;
use crate::operations::outcomes::Outcomes;
use crate::operations::start::Starter;
use crate::options::Options;
use crate::outbox::backlog::{Backlog, Freed};
use crate::outbox::confirmed::Confirmed;
use crate::outbox::publisher::{Publisher, PublisherParts};
use crate::outbox::remaking::Remaker;
use crate::outbox::sweeper::Sweeper;
use crate::outbox::{self, Outbox, SharedFlow};
use crate::queries::Queries;
use crate::queries::feed::{self, Feed};
use crate::supervision::Supervisor;
use crate::supervision::health::{Health, HealthCheck};
use crate::supervision::liveness::{self, Liveness, Progress};
use crate::supervision::running::Running;
use crate::timers::processes::{Inherited, Processes};
use crate::timers::retention::Retention;
use crate::timers::schedules::{self, Scheduler};
use crate::timers::token_keys::TokenKeys;
use crate::timers::waker::Waker;
use snorri_ports::broker::{Broker, Handler};
use snorri_ports::clock::Clock;
use snorri_ports::store::{Lease, Store};
use snorri_wire::envelope::Wire;

/// What the engine is built on.
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
    /// The id of this process: a UUIDv7, a new one at each start.
    pub process: Uuid,
}

/// The services of a running engine.
#[derive(Debug)]
pub struct Engine {
    pub parts: Parts,
    pub definitions: Arc<Definitions>,
    pub submitter: Submitter,
    pub starter: Arc<Starter>,
    pub outcomes: Arc<Outcomes>,
    pub children: Arc<Children>,
    pub interventions: Arc<Interventions>,
    pub bulk: Bulk,
    pub queries: Arc<Queries>,
    pub feed: Feed,
    pub dead_letters: Arc<DeadLetters>,
    pub admission: Arc<Admission>,
    pub token_keys: Arc<TokenKeys>,
    pub event_buffer: Arc<EventBuffer>,
    pub health: Arc<Health>,
    pub liveness: Liveness,
    shared: Shared,
}

/// What services and tasks of a process share.
#[derive(Debug, Clone)]
struct Shared {
    ended: EndedSagas,
    backlog: Arc<Backlog>,
    freed: Arc<Freed>,
    confirmed: Confirmed,
    flow: SharedFlow,
    own_replies: OwnReplies,
    inherited: watch::Sender<Inherited>,
}

/// The receivers of the lanes, with their progress.
type Channels = Vec<(mpsc::Receiver<LaneMessage>, Progress)>;

impl Engine {
    /// Starts the engine's tasks.
    pub fn spawn(parts: &Parts, options: &Options) -> (Arc<Self>, Running) {
        let supervisor = Supervisor::default();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..options.workers.get()).map(|_| mpsc::channel(options.queue_capacity.get())).unzip();
        let channels: Channels =
            receivers.into_iter().map(|channel| (channel, Progress::default())).collect();
        let liveness = Liveness {
            supervisor: supervisor.clone(),
            lanes: channels.iter().map(|(_, progress)| progress.clone()).collect(),
        };
        let engine = Self::new(parts.clone(), options, Submitter::new(senders), liveness);

        let (stop_timers, stop_lanes) = (CancellationToken::new(), CancellationToken::new());
        let (mut lanes, mut publishers, mut outboxes) = (Vec::new(), Vec::new(), Vec::new());
        for (channel, progress) in channels {
            let (outbox, publisher) = engine.outbox(options);
            let publishing = publisher.run(engine.publisher_parts());
            publishers.push(supervisor.spawn("publisher", &stop_lanes, publishing));
            let lane = engine.lane(options, channel, progress, outbox.clone());
            lanes.push(supervisor.spawn("lane", &stop_lanes, lane.run(stop_lanes.clone())));
            outboxes.push(outbox);
        }
        let timers = engine.timers(options, outboxes, &supervisor, &stop_timers);
        let running = Running {
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
            process: parts.process,
            supervisor,
            stop_timers,
            stop_lanes,
            timers,
            lanes,
            publishers,
            confirmed: engine.shared.confirmed.clone(),
        };
        (Arc::new(engine), running)
    }

    fn new(parts: Parts, options: &Options, submitter: Submitter, liveness: Liveness) -> Self {
        let Parts { store, reader, broker, clock, definitions, metrics, wire, .. } = parts.clone();
        let shared = Shared {
            ended: EndedSagas::default(),
            backlog: Arc::new(Backlog::new(options.max_unsent.get())),
            freed: Arc::default(),
            confirmed: Confirmed::default(),
            flow: SharedFlow::new(options.max_unanswered.get(), options.outbox_lease),
            own_replies: OwnReplies::default(),
            inherited: watch::Sender::default(),
        };
        let queries = Arc::new(Queries::new(reader, Arc::clone(&definitions)));
        let admission = Arc::new(Admission::new(
            Arc::clone(&definitions),
            Arc::clone(&broker),
            Arc::clone(&clock),
            wire.names.clone(),
        ));
        let event_buffer = Arc::new(EventBuffer::new(
            Arc::clone(&store),
            submitter.clone(),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            options.buffered_events.clone(),
        ));
        let starter = Arc::new(Starter {
            submitter: submitter.clone(),
            definitions: Arc::clone(&definitions),
            event_buffer: Arc::clone(&event_buffer),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            metrics,
            backlog: Arc::clone(&shared.backlog),
            ended: shared.ended.clone(),
        });
        Self {
            parts,
            children: Arc::new(Children { starter: Arc::clone(&starter), submitter: submitter.clone() }),
            outcomes: Arc::new(Outcomes {
                submitter: submitter.clone(),
                store: Arc::clone(&store),
                broker: Arc::clone(&broker),
                clock: Arc::clone(&clock),
                wire: wire.clone(),
            }),
            interventions: Arc::new(Interventions {
                submitter: submitter.clone(),
                queries: Arc::clone(&queries),
                definitions: Arc::clone(&definitions),
                clock: Arc::clone(&clock),
            }),
            bulk: Bulk {
                submitter: submitter.clone(),
                queries: Arc::clone(&queries),
                definitions: Arc::clone(&definitions),
                clock: Arc::clone(&clock),
            },
            token_keys: Arc::new(TokenKeys::new(Arc::clone(&store), Arc::clone(&clock), wire.keys.clone())),
            dead_letters: Arc::new(DeadLetters::new(store, broker, clock, wire)),
            submitter,
            starter,
            definitions,
            queries,
            feed: Feed::new(),
            admission,
            event_buffer,
            health: Arc::default(),
            liveness,
            shared,
        }
    }

    fn outbox(&self, options: &Options) -> (Outbox, Publisher) {
        let Shared { confirmed, flow, .. } = self.shared.clone();
        Outbox::new(confirmed, flow, self.parts.broker.availability(), options.outbox_lease)
    }

    fn publisher_parts(&self) -> PublisherParts {
        let Parts { store, broker, clock, metrics, wire, .. } = self.parts.clone();
        let (submitter, children) = (self.submitter.clone(), Arc::clone(&self.children));
        let own_replies = self.shared.own_replies.clone();
        PublisherParts { store, broker, clock, metrics, wire, submitter, children, own_replies }
    }

    /// The consumers of the replies to this process, and to those that it inherits from.
    pub(crate) fn reply_queues(
        &self,
        supervisor: &Supervisor,
        handler: Handler,
        options: &Options,
    ) -> ReplyQueues {
        let Parts { store, broker, clock, wire, .. } = self.parts.clone();
        ReplyQueues {
            store,
            broker,
            clock,
            wire,
            supervisor: supervisor.clone(),
            handler,
            prefetch: options.prefetch,
            process: self.parts.process,
            own: options.own_reply_queue.then(|| self.shared.own_replies.clone()),
            inherited: self.shared.inherited.subscribe(),
        }
    }

    fn lane(
        &self,
        options: &Options,
        channel: mpsc::Receiver<LaneMessage>,
        progress: Progress,
        outbox: Outbox,
    ) -> Lane {
        let Parts { store, clock, definitions, metrics, wire, .. } = self.parts.clone();
        Lane::new(LaneParts {
            channel,
            store,
            definitions,
            clock,
            metrics,
            outbox,
            batch_limit: options.batch_limit.get(),
            commit_delay: options.commit_delay,
            process: self.parts.process,
            wire,
            state_cache: StateCache::new(options.cached_sagas_per_lane(), self.shared.ended.clone()),
            progress,
        })
    }

    fn sweeper(&self, options: &Options, outboxes: Vec<Outbox>) -> Sweeper {
        let Parts { store, broker, clock, metrics, .. } = self.parts.clone();
        let Shared { freed, confirmed, flow, .. } = self.shared.clone();
        Sweeper {
            store,
            broker,
            clock,
            metrics,
            remaker: self.remaker(),
            outboxes,
            confirmed,
            flow,
            freed,
            interval: options.outbox_poll_interval,
            lease: self.lease(options.outbox_lease),
            batch: options.poll_batch_size,
        }
    }

    fn remaker(&self) -> Remaker {
        let Parts { store, definitions, .. } = self.parts.clone();
        Remaker { store, definitions }
    }

    fn lease(&self, duration: Duration) -> Lease {
        Lease { holder: self.parts.process, duration }
    }

    /// Starts the periodic tasks.
    fn timers(
        &self,
        options: &Options,
        outboxes: Vec<Outbox>,
        supervisor: &Supervisor,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let Parts { store, reader, broker, clock, definitions, metrics, process, .. } = self.parts.clone();
        let Shared { backlog, freed, confirmed, .. } = self.shared.clone();
        let waker = Waker {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            submitter: self.submitter.clone(),
            confirmed: confirmed.clone(),
            remaker: self.remaker(),
            freed: Arc::clone(&freed),
            interval: options.timer_interval,
            lease: self.lease(options.timer_lease),
            batch: options.poll_batch_size,
        };
        let sweeper = self.sweeper(options, outboxes);
        let processes = Processes {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            freed,
            process,
            inherited: self.shared.inherited.clone(),
        };
        let health_check = HealthCheck {
            store: Arc::clone(&store),
            broker,
            clock: Arc::clone(&clock),
            backlog,
            process,
            health: Arc::clone(&self.health),
        };
        let scheduler = Scheduler::new(
            Arc::clone(&self.starter),
            Arc::clone(&definitions),
            Arc::clone(&store),
            Arc::clone(&clock),
        );
        let retention = Retention {
            store,
            clock: Arc::clone(&clock),
            definitions,
            metrics,
            options: options.retention.clone(),
        };
        let token_keys = Arc::clone(&self.token_keys);
        let (admission, event_buffer) = (Arc::clone(&self.admission), Arc::clone(&self.event_buffer));
        let stop = || stop.clone();
        let tasks: [(&'static str, BoxFuture<'static, ()>); 12] = [
            ("timers", waker.run(stop()).boxed()),
            ("sweep", sweeper.run(stop()).boxed()),
            ("flush", outbox::flush(self.submitter.clone(), confirmed, stop()).boxed()),
            ("schedules", schedules::run(scheduler, stop()).boxed()),
            ("processes", processes.run(stop()).boxed()),
            ("health", health_check.run(stop()).boxed()),
            ("liveness", liveness::watch(self.liveness.clone(), stop()).boxed()),
            ("feed", feed::run(reader, clock, self.feed.clone(), stop()).boxed()),
            ("definitions", admission.run(stop()).boxed()),
            ("token keys", token_keys.run(stop()).boxed()),
            ("buffer", event_buffer.run(options.outbox_poll_interval, stop()).boxed()),
            ("retention", retention.run(stop()).boxed()),
        ];
        tasks.map(|(name, task)| supervisor.spawn(name, &stop(), task)).into()
    }
}
