//! The publisher: sends committed messages, batch after batch.
//!
//! A command may be sent long after its commit: the broker was unavailable or full, or its participant is behind (see `flow`).
//! Then the publisher first submits an input to its saga, which restarts the clock of the attempt. A command that is no longer
//! awaited is not sent: no command is sent after its compensation, or past its deadline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, future};
use tokio::sync::{mpsc, watch};

use crate::intake::reply_queues::OwnReplies;
use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use crate::operations::children::Children;
use crate::outbox::confirmed::{Confirmed, OutboxMessage, Place};
use crate::outbox::flow::Destination;
use crate::outbox::flow::conclusion::{Conclusion, key_of};
use crate::outbox::{PassedOver, SharedFlow, WAITING_LIMIT};
use crate::supervision::tasks::Tasks;
use snorri_core::message::Command;
use snorri_core::{Direction, Input, Message, Rejection, SagaId, Time};
use snorri_ports::broker::{Broker, Publication, Published};
use snorri_ports::clock::Clock;
use snorri_ports::store::Store;
use snorri_wire::envelope::Wire;

/// Most batches whose confirms are awaited concurrently, so that the next need not wait for the last one's.
const UNDER_WAY_LIMIT: usize = 4;
/// The pause before messages that could not be sent are claimed again.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause before a message that no saga could take is claimed again. Short, because that is so for each saga while this process
/// stops, and another process is to continue at once.
const NOT_TAKEN_PAUSE: Duration = Duration::from_secs(1);
/// How often the clock of a command is restarted before its row is left for later.
const MAX_RENEWALS: usize = 3;
/// Most messages that are being submitted to sagas at once.
const INTERNAL_LIMIT: usize = 1_024;

/// The far end of the outbox: publishes batch after batch.
#[derive(Debug)]
pub struct Publisher {
    pub(crate) batches: mpsc::Receiver<Vec<OutboxMessage>>,
    pub(crate) claimed: mpsc::Receiver<Vec<OutboxMessage>>,
    pub(crate) confirmed: Confirmed,
    pub(crate) passed_over: PassedOver,
    pub(crate) flow: SharedFlow,
}

/// The parts that publishers share.
#[derive(Debug, Clone)]
pub struct PublisherParts {
    pub store: Arc<dyn Store>,
    pub broker: Arc<dyn Broker>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub wire: Wire,
    pub submitter: Submitter,
    pub children: Arc<Children>,
    pub own_replies: OwnReplies,
}

/// The parts needed to publish one batch.
struct Publishing {
    parts: PublisherParts,
    confirmed: Confirmed,
    passed_over: PassedOver,
    flow: SharedFlow,
    availability: watch::Receiver<bool>,
    /// The submissions to sagas.
    tasks: Tasks,
}

impl Publisher {
    /// Publishes until every sender is gone.
    pub async fn run(self, parts: PublisherParts) {
        let Self { mut batches, mut claimed, confirmed, passed_over, flow } = self;
        let (availability, tasks) = (parts.broker.availability(), Tasks::new(INTERNAL_LIMIT));
        let publishing = Publishing { parts, confirmed, passed_over, flow, availability, tasks };
        let mut waiting = Vec::new();
        let mut under_way = FuturesUnordered::new();
        // Whether the next messages have waited for room.
        let mut was_full = false;
        loop {
            let has_room = under_way.len() < UNDER_WAY_LIMIT;
            was_full |= !has_room;
            // In this order, and not a random one, so that a simulation repeats itself: `ready` is rare, and delays nothing.
            tokio::select! {
                biased;
                Some(()) = under_way.next() => {}
                () = publishing.flow.ready(), if has_room => {
                    under_way.push(publishing.publish(Batch::Ready));
                }
                received = batches.recv_many(&mut waiting, WAITING_LIMIT), if has_room => {
                    if received == 0 {
                        break;
                    }
                    let messages = waiting.drain(..).flatten().collect();
                    let batch = if was_full { Batch::Waited(messages) } else { Batch::New(messages) };
                    was_full = false;
                    under_way.push(publishing.publish(batch));
                }
                Some(messages) = claimed.recv(), if has_room => {
                    under_way.push(publishing.publish(Batch::Waited(messages)));
                }
            }
        }
        while under_way.next().await.is_some() {}
        publishing.tasks.finish().await;
    }
}

/// Messages to be published.
enum Batch {
    /// Just committed.
    New(Vec<OutboxMessage>),
    /// These have waited since their commit.
    Waited(Vec<OutboxMessage>),
    /// Waiting commands that have room now.
    Ready,
}

impl Publishing {
    async fn publish(&self, batch: Batch) {
        let now = self.parts.clock.now();
        let is_available = *self.availability.borrow();
        let has_waited = !matches!(batch, Batch::New(_));
        let admitted = match batch {
            // Waiting messages continue to wait.
            Batch::Ready if !is_available => return,
            Batch::Ready => self.flow.lock().take_ready(now),
            Batch::New(messages) | Batch::Waited(messages) => {
                let (leaving, staying): (Vec<_>, Vec<_>) =
                    messages.into_iter().partition(|unsent| !unsent.message.is_internal());
                for unsent in staying {
                    self.deliver(unsent).await;
                }
                if !is_available {
                    return self.give_back_soon(leaving.iter().map(|unsent| unsent.place).collect()).await;
                }
                self.flow.admit(leaving, now)
            }
        };
        let (doubtful, awaited): (Vec<_>, Vec<_>) =
            admitted.into_iter().partition(|unsent| is_doubtful(&unsent.message, now, has_waited));
        tokio::join!(self.send(awaited), self.send_renewed(doubtful));
        let dropped = self.flow.lock().take_dropped();
        self.give_back(dropped, self.flow.claimable_at(now)).await;
        self.give_back_soon(self.passed_over.take()).await;
    }

    /// Submits a message between two sagas to its addressee.
    async fn deliver(&self, unsent: OutboxMessage) {
        let (children, settling) = (Arc::clone(&self.parts.children), self.settling());
        let delivery = async move {
            let done = match &*unsent.message {
                Message::ChildCommand(order) => children.carry_out(order).await,
                Message::ChildResult(report) => children.report(report).await,
                _ => false,
            };
            settling.settle(unsent.place, done).await;
        };
        self.tasks.spawn(delivery).await;
    }

    /// Restarts the clocks of commands, and sends each at once: the saga of another may take so long to answer that this
    /// command would be late again. The rows of commands that are no longer awaited are removed.
    async fn send_renewed(&self, commands: Vec<OutboxMessage>) {
        let count = commands.len().max(1);
        let renewed: FuturesUnordered<_> = commands.into_iter().map(|unsent| self.renew(unsent)).collect();
        let batches = renewed.filter_map(future::ready).ready_chunks(count);
        batches.for_each_concurrent(None, |batch| self.send(batch)).await;
    }

    /// The command with the deadline of the restarted clock. If the database takes so long that it is late again, the clock is
    /// restarted once more: a message with a deadline in the past would expire in its queue.
    async fn renew(&self, unsent: OutboxMessage) -> Option<OutboxMessage> {
        let Message::Command(command) = &*unsent.message else { return Some(unsent) };
        let patience = command.deadline.since(command.sent_at);
        for _ in 0..MAX_RENEWALS {
            let sent_at = self.parts.clock.now();
            match self.parts.submitter.submit(command.saga, Input::StartClock(command.attempt())).await {
                Ok(_) => {
                    let deadline = sent_at.after(patience);
                    let message = Message::Command(Command { sent_at, deadline, ..command.clone() });
                    if !is_late(&message, self.parts.clock.now()) {
                        return Some(OutboxMessage { message: Arc::new(message), ..unsent });
                    }
                }
                Err(SubmitError::Rejected(ignored)) if ignored != Rejection::Paused => {
                    tracing::info!(saga = %command.saga, step = %command.step, direction = %command.direction,
                        reason = %ignored, "a command is not awaited any more, and is not sent");
                    self.parts.metrics.observe_dropped(ignored.code());
                    self.let_go(command);
                    self.confirmed.add([unsent.place]);
                    return None;
                }
                Err(_) => break,
            }
        }
        self.let_go(command);
        self.give_back_soon(vec![unsent.place]).await;
        None
    }

    /// Frees the place of a command that is not sent.
    fn let_go(&self, command: &Command) {
        self.flow.conclude(&[(key_of(command), Conclusion::NotTaken)], self.parts.clock.now());
    }

    async fn send(&self, messages: Vec<OutboxMessage>) {
        if messages.is_empty() {
            return;
        }
        let metrics = &self.parts.metrics;
        let now = self.parts.clock.now();
        let publications = messages.iter().filter_map(|unsent| self.publication(unsent, now)).collect();
        let publishing = metrics.publish_seconds.start();
        let published = self.parts.broker.publish(publications).await;
        publishing.stop();
        let now = self.parts.clock.now();
        let (mut gone, mut taken) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
        let mut unknown = Vec::new();
        for (unsent, published) in messages.into_iter().zip(published) {
            metrics.observe_published(published);
            match published {
                Published::Confirmed => {
                    if is_late(&unsent.message, now) {
                        self.confirmed_late(&unsent).await;
                    } else {
                        gone.push(unsent.place);
                    }
                    taken.push(unsent.message);
                }
                Published::Unroutable => self.report_unroutable(&unsent).await,
                Published::Refused => self.flow.refuse(unsent, now),
                Published::Unknown => unknown.push(unsent.place),
            }
        }
        self.confirmed.add(gone);
        self.flow.lock().taken(&taken);
        self.give_back_soon(unknown).await;
    }

    /// Has messages claimed again soon, before their reservation expires.
    async fn give_back_soon(&self, places: Vec<Place>) {
        self.give_back(places, self.parts.clock.now().after(PAUSE)).await;
    }

    async fn give_back(&self, places: Vec<Place>, at: Time) {
        self.confirmed.give_back(&*self.parts.store, places, at).await;
    }

    /// A forward command expires with its attempt, so that no participant takes it after it was given up. A compensation never
    /// expires.
    fn publication(&self, unsent: &OutboxMessage, now: Time) -> Option<Publication> {
        let mut publication = self.parts.wire.publication(&unsent.message)?;
        if let Message::Command(command) = &*unsent.message {
            let left = command.deadline.since(now);
            if let Some(replies) = self.parts.own_replies.queue_of(left) {
                publication.properties.reply_to = Some(replies.to_owned());
            }
            if command.direction == Direction::Forward {
                publication.properties.expiration = Some(left.max(Duration::from_millis(1)));
            }
        }
        Some(publication)
    }

    /// The attempt has only begun now. It is removed once the saga has recorded that.
    async fn confirmed_late(&self, unsent: &OutboxMessage) {
        let Message::Command(command) = &*unsent.message else { return self.confirmed.add([unsent.place]) };
        self.submit_then_remove(command.saga, Input::StartClock(command.attempt()), unsent.place).await;
    }

    /// A returned command is an input of its saga. It is removed once the saga has handled that, so that a crash in
    /// between only sends it again.
    async fn report_unroutable(&self, unsent: &OutboxMessage) {
        match &*unsent.message {
            Message::Command(command) => {
                self.let_go(command);
                self.parts.metrics.observe_unroutable(&command.exchange, &command.name);
                if self.flow.lock().take_warning(&Destination::of(command), self.parts.clock.now()) {
                    tracing::warn!(exchange = %command.exchange, routing_key = %command.name, saga = %command.saga,
                        step = %command.step, "no queue is bound for a command: it waits for one");
                }
                self.submit_then_remove(command.saga, Input::Unroutable(command.attempt()), unsent.place)
                    .await;
            }
            Message::Outcome(outcome) => {
                tracing::warn!(saga = %outcome.saga, queue = outcome.to.queue, "no queue takes the outcome of a saga");
                self.confirmed.add([unsent.place]);
            }
            // An event needs no consumer.
            _ => self.confirmed.add([unsent.place]),
        }
    }

    async fn submit_then_remove(&self, saga: SagaId, input: Input, place: Place) {
        let (submitter, settling) = (self.parts.submitter.clone(), self.settling());
        let submission = async move {
            let submitted = submitter.submit(saga, input).await;
            let done = matches!(submitted, Ok(_) | Err(SubmitError::Rejected(_)));
            settling.settle(place, done).await;
        };
        self.tasks.spawn(submission).await;
    }

    fn settling(&self) -> Settling {
        let PublisherParts { store, clock, .. } = &self.parts;
        Settling { store: Arc::clone(store), clock: Arc::clone(clock), confirmed: self.confirmed.clone() }
    }
}

/// Removes the messages that sagas have taken.
struct Settling {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    confirmed: Confirmed,
}

impl Settling {
    /// A message that no saga took is sent again: the saga may be unreadable for now, or the process is stopping.
    async fn settle(&self, place: Place, done: bool) {
        if done {
            self.confirmed.add([place]);
        } else {
            let at = self.clock.now().after(NOT_TAKEN_PAUSE);
            self.confirmed.give_back(&*self.store, vec![place], at).await;
        }
    }
}

/// Whether a saga must be asked before its command is sent. While a further attempt waits, the reply to an earlier one may
/// arrive, and the step may be compensated.
fn is_doubtful(message: &Message, now: Time, has_waited: bool) -> bool {
    let is_further = matches!(message, Message::Command(command) if command.attempt > 1);
    has_waited && is_further || is_late(message, now)
}

/// How long after its decision a command still counts as sent in time: a tenth of its timeout, from 50 ms to 1 s.
fn tolerance(patience: Duration) -> Duration {
    (patience / 10).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// Whether the clock of a command's attempt has run for too long without a confirm of the broker.
fn is_late(message: &Message, now: Time) -> bool {
    let Message::Command(command) = message else { return false };
    now.since(command.sent_at) > tolerance(command.deadline.since(command.sent_at))
}
