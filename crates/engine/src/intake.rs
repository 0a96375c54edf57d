//! The path of an incoming message: a tower stack from delivery to verdict.
//!
//! A delivery is acknowledged only after its consequences are committed. A message that changes nothing is acknowledged too;
//! one that can never be understood becomes a dead letter, with the reason.

pub(crate) mod events;
pub(crate) mod probation;
pub(crate) mod replies;
pub(crate) mod reply_queues;
pub(crate) mod signals;
pub(crate) mod starts;
pub(crate) mod verdict;

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::dead_letters::DeadLetters;
use crate::engine::{Engine, Parts};
use crate::intake::events::Events;
use crate::intake::probation::Probation;
use crate::intake::replies::Replies;
use crate::intake::signals::Signals;
use crate::intake::starts::Starts;
use crate::intake::verdict::dead_letter;
use crate::options::Options;
use crate::supervision::Supervisor;
use snorri_ports::broker::{Broker, Delivery, Handler, Verdict};
use snorri_wire::envelope::Undecodable;
use snorri_wire::topology::Names;

/// Handles the messages of Snorri's own queues.
#[derive(Debug)]
pub struct Intake {
    replies: Replies,
    starts: Starts,
    events: Events,
    signals: Signals,
    dead_letters: Arc<DeadLetters>,
    names: Names,
}

/// Starts the consumers of all queues. They end once `stop` is cancelled and their deliveries are handled.
pub fn spawn(
    engine: &Engine,
    options: &Options,
    supervisor: &Supervisor,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let Parts { broker, metrics, wire, .. } = &engine.parts;
    let intake = Arc::new(Intake::new(engine));
    let Names { replies, starts, events, signals, dead_letters, probation, .. } = wire.names.clone();
    let mut tasks: Vec<_> = [replies, starts, events, signals, dead_letters]
        .map(|queue| {
            let handler = intake.handler(&queue, options);
            let consuming = consume(Arc::clone(broker), queue, options.prefetch, handler, stop.clone());
            supervisor.spawn("consumer", stop, consuming)
        })
        .into();
    let handler = intake.handler(&wire.names.replies, options);
    let reply_queues = engine.reply_queues(supervisor, handler, options);
    tasks.push(supervisor.spawn("reply queues", stop, reply_queues.run(stop.clone())));
    let (broker, metrics) = (Arc::clone(broker), Arc::clone(metrics));
    let consumer =
        Probation { broker, metrics, health: Arc::clone(&engine.health), names: wire.names.clone() };
    let handler = intake.handler(&probation, options);
    tasks.push(supervisor.spawn("probation", stop, consumer.run(handler, stop.clone())));
    tasks
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

impl Intake {
    pub fn new(engine: &Engine) -> Self {
        let Parts { broker, clock, definitions, metrics, wire, .. } = engine.parts.clone();
        let event_buffer = Arc::clone(&engine.event_buffer);
        Self {
            names: wire.names.clone(),
            replies: Replies {
                submitter: engine.submitter.clone(),
                token_keys: Arc::clone(&engine.token_keys),
                metrics: Arc::clone(&metrics),
                wire: wire.clone(),
            },
            signals: Signals {
                submitter: engine.submitter.clone(),
                definitions: Arc::clone(&definitions),
                event_buffer: Arc::clone(&event_buffer),
                queue: wire.names.signals.clone(),
            },
            events: Events {
                starter: Arc::clone(&engine.starter),
                submitter: engine.submitter.clone(),
                definitions,
                event_buffer,
                metrics,
                wire: wire.clone(),
            },
            starts: Starts {
                starter: Arc::clone(&engine.starter),
                outcomes: Arc::clone(&engine.outcomes),
                broker,
                clock,
                wire,
            },
            dead_letters: Arc::clone(&engine.dead_letters),
        }
    }

    /// The handler of one of Snorri's own queues, bounded in time. The prefetch bounds the number of its deliveries.
    pub fn handler(self: &Arc<Self>, queue: &str, options: &Options) -> Handler {
        let (intake, queue) = (Arc::clone(self), Arc::<str>::from(queue));
        let service = ServiceBuilder::new().timeout(options.message_timeout).service_fn(move |delivery| {
            let (intake, queue) = (Arc::clone(&intake), Arc::clone(&queue));
            async move { Ok::<_, Infallible>(intake.handle(&queue, &delivery).await) }
        });
        BoxCloneSyncService::new(service)
    }

    /// Handles a delivery of `queue`. A message in probation is handled as one of its original queue.
    async fn handle(&self, queue: &str, delivery: &Delivery) -> Verdict {
        let queue = match &delivery.moved_from {
            Some(original) if *queue == self.names.probation => original,
            _ => queue,
        };
        match self.take_in(queue, delivery).await {
            Verdict::DeadLetter { code, reason } => {
                self.dead_letters.keep(queue, delivery, code, reason).boxed().await
            }
            verdict => verdict,
        }
    }

    /// The futures are boxed: the services around them move them several times, and the largest would make all as large.
    async fn take_in(&self, queue: &str, delivery: &Delivery) -> Verdict {
        let names = &self.names;
        match names.common(queue) {
            queue if queue == names.replies => self.replies.take_in(delivery).boxed().await,
            queue if queue == names.starts => self.starts.take_in(delivery).boxed().await,
            queue if queue == names.events => self.events.take_in(delivery).boxed().await,
            queue if queue == names.signals => self.signals.take_in(delivery).boxed().await,
            queue if queue == names.dead_letters => self.dead_letters.take_in(delivery).boxed().await,
            _ => dead_letter(
                Undecodable::UNDECODABLE,
                "it was published to the queue of messages in probation, which only the broker may do"
                    .to_owned(),
            ),
        }
    }
}
