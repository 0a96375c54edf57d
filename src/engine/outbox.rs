//! Sends what is committed, and remembers what the broker has confirmed until a later commit removes it.
//!
//! A message is in the store's outbox before it comes here, so nothing is lost if this process dies, or if a message is
//! passed over because too many wait: whoever claims what is left sends it then.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::{Engine, SubmitError};
use crate::broker::topology::Names;
use crate::broker::{Broker, Published, envelope};
use crate::saga::{Input, Message};
use crate::store::{OutboxId, Unsent};

/// Most batches whose confirms are awaited side by side, so that the next need not wait for the last one's.
const UNDER_WAY_LIMIT: usize = 4;
/// Most batches that wait for a publisher.
const WAITING_LIMIT: usize = 64;

/// The near end: where lanes put what is committed and take what is confirmed.
#[derive(Debug, Clone)]
pub struct Outbox {
    batches: mpsc::Sender<Vec<Unsent>>,
    confirmed: Confirmed,
}

/// Rows of the outbox that can go.
#[derive(Debug, Clone, Default)]
pub struct Confirmed(Arc<Mutex<Vec<OutboxId>>>);

/// The far end: publishes batch after batch.
#[derive(Debug)]
pub struct Publisher {
    batches: mpsc::Receiver<Vec<Unsent>>,
    confirmed: Confirmed,
    names: Names,
}

/// What it takes to publish one batch.
struct Publishing {
    confirmed: Confirmed,
    names: Names,
    broker: Arc<dyn Broker>,
    engine: Engine,
}

impl Confirmed {
    fn add(&self, ids: impl IntoIterator<Item = OutboxId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Outbox {
    /// An outbox and its publisher. Replies to its commands shall go to `names`.
    pub fn new(confirmed: Confirmed, names: Names) -> (Self, Publisher) {
        let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
        let outbox = Self { batches: sender, confirmed: confirmed.clone() };
        (outbox, Publisher { batches: receiver, confirmed, names })
    }

    /// Hands over messages that are committed. If too many wait already, these stay in the store for later.
    pub fn send(&self, messages: Vec<Unsent>) {
        if messages.is_empty() {
            return;
        }
        if let Err(error) = self.batches.try_send(messages) {
            tracing::debug!(%error, "messages are left in the outbox for later");
        }
    }

    /// As [`Outbox::send`], but waits until there is room.
    pub async fn send_when_possible(&self, messages: Vec<Unsent>) {
        // A closed channel means that the process stops; the messages stay in the store.
        let _ = self.batches.send(messages).await;
    }

    /// The rows that the next commit is to remove.
    pub fn take_confirmed(&self) -> Vec<OutboxId> {
        self.confirmed.take()
    }
}

impl Publisher {
    /// Publishes until every sender is gone.
    pub async fn run(self, broker: Arc<dyn Broker>, engine: Engine) {
        let Self { mut batches, confirmed, names } = self;
        let publishing = Publishing { confirmed, names, broker, engine };
        let mut waiting = Vec::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = under_way.next() => {}
                received = batches.recv_many(&mut waiting, WAITING_LIMIT), if under_way.len() < UNDER_WAY_LIMIT => {
                    if received == 0 {
                        break;
                    }
                    under_way.push(publishing.publish(waiting.drain(..).flatten().collect()));
                }
            }
        }
        while under_way.next().await.is_some() {}
    }
}

impl Publishing {
    async fn publish(&self, messages: Vec<Unsent>) {
        let (leaving, staying): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|unsent| !unsent.message.is_internal());
        staying.into_iter().for_each(|unsent| self.deliver(unsent));
        if !leaving.is_empty() {
            self.send(leaving).await;
        }
    }

    /// Gives a message between two sagas to the one that it is for.
    fn deliver(&self, unsent: Unsent) {
        let (engine, confirmed) = (self.engine.clone(), self.confirmed.clone());
        tokio::spawn(async move {
            let done = match &*unsent.message {
                Message::Order(order) => engine.carry_out(order).await,
                Message::Report(report) => engine.report(report).await,
                _ => false,
            };
            if done {
                confirmed.add([unsent.id]);
            }
        });
    }

    async fn send(&self, messages: Vec<Unsent>) {
        let metrics = self.engine.metrics();
        let publication = |unsent: &Unsent| envelope::publication(&unsent.message, &self.names);
        let publishing = metrics.publish_seconds.start();
        let published = self.broker.publish(messages.iter().filter_map(publication).collect()).await;
        publishing.stop();
        let mut gone = Vec::with_capacity(messages.len());
        for (unsent, published) in messages.iter().zip(published) {
            metrics.observe_published(published);
            match published {
                Published::Confirmed => gone.push(unsent.id),
                Published::Unroutable => self.report_unroutable(unsent),
                Published::Unknown => {}
            }
        }
        self.confirmed.add(gone);
    }

    /// A command that came back is an input of its saga. Its row goes once the saga has dealt with it, so that a crash in
    /// between only sends it again.
    fn report_unroutable(&self, unsent: &Unsent) {
        match &*unsent.message {
            Message::Command(command) => {
                let (engine, confirmed, id) = (self.engine.clone(), self.confirmed.clone(), unsent.id);
                let (saga, attempt) = (command.saga, command.attempt());
                tokio::spawn(async move {
                    match engine.submit(saga, Input::Unroutable(attempt)).await {
                        Ok(_) | Err(SubmitError::Ignored(_)) => confirmed.add([id]),
                        // Once the saga can be read again, it is told: the row stays.
                        Err(_) => {}
                    }
                });
            }
            Message::Outcome(outcome) => {
                tracing::warn!(saga = %outcome.saga, queue = outcome.to.queue, "nobody is there to hear the outcome");
                self.confirmed.add([unsent.id]);
            }
            // Nobody has to listen for an event.
            _ => self.confirmed.add([unsent.id]),
        }
    }
}
