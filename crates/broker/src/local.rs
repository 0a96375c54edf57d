//! A broker in this process, for one process alone: the embedded default, and the broker of simulations.
//!
//! It routes as RabbitMQ does (default exchange, topic exchanges, mandatory messages), delivers at least once and dead-letters,
//! but keeps nothing on disk. Messages that are lost with the process are in the outbox or are retried.

mod queue;
mod routing;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::queue::{Message, Queue, Taken};
use self::routing::Routing;
use crate::handling;
use snorri_ports::broker::{
    Broker, Delivery, Error, Handler, HeaderValue, Publication, Published, Topology, Verdict,
};
use snorri_wire::envelope::{Keyring, sign_origin};
use snorri_wire::header;
use snorri_wire::observed::ExchangeState;

#[derive(Debug, Clone)]
pub struct Options {
    /// How often a message may be requeued before it becomes a dead letter: a bound for a message that makes its handler panic
    /// each time.
    pub delivery_limit: u32,
    /// The longest pause before the handler gets a message again that it did not take.
    pub requeue_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { delivery_limit: 100, requeue_delay: Duration::from_secs(1) }
    }
}

#[derive(Debug)]
pub struct LocalBroker {
    options: Options,
    /// The keys that authenticate where dead letters were published to. `None`: dead letters carry no origin.
    keys: Option<Keyring>,
    routing: RwLock<Routing>,
    /// Wakes consumers that wait for their queue to be declared.
    declared: Notify,
    available: watch::Sender<bool>,
    closed: CancellationToken,
}

impl LocalBroker {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            keys: None,
            routing: RwLock::default(),
            declared: Notify::new(),
            available: watch::Sender::new(true),
            closed: CancellationToken::new(),
        }
    }

    /// Sets the keys that authenticate where dead letters were published to.
    #[must_use]
    pub fn with_keys(self, keys: Keyring) -> Self {
        Self { keys: Some(keys), ..self }
    }

    fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.routing.read().unwrap_or_else(PoisonError::into_inner).queue(name)
    }

    async fn queue_once_declared(&self, name: &str) -> Arc<Queue> {
        loop {
            let declared = self.declared.notified();
            tokio::pin!(declared);
            declared.as_mut().enable();
            if let Some(queue) = self.queue(name) {
                return queue;
            }
            declared.await;
        }
    }

    /// Gives one message to the handler and settles it by the verdict. Dropped halfway, the message goes back to its queue.
    async fn handle(&self, queue: &Arc<Queue>, taken: Taken, handler: Handler, stop: &CancellationToken) {
        let delivery = || taken.delivery();
        match handling::settle(&handler, delivery, queue.name(), self.options.requeue_delay, stop).await {
            Verdict::Ack => taken.settle(),
            Verdict::DeadLetter { code, reason } => self.dead_letter(queue, taken, code, &reason),
            Verdict::Requeue if taken.deliveries() > self.options.delivery_limit => {
                let reason = format!("it was delivered {} times and never settled", taken.deliveries());
                self.dead_letter(queue, taken, "delivery_limit", &reason);
            }
            Verdict::Requeue => drop(taken),
        }
    }

    fn dead_letter(&self, queue: &Queue, taken: Taken, code: &str, reason: &str) {
        tracing::warn!(queue = queue.name(), code, reason, "dead letter");
        if let Some(dead_letters) = queue.dead_letters().and_then(|name| self.queue(name)) {
            let Delivery { exchange, routing_key, mut properties, body, .. } = taken.delivery();
            let known = [
                (header::CODE, code),
                (header::REASON, reason),
                (header::QUEUE, queue.name()),
                (header::EXCHANGE, &exchange),
                (header::ROUTING_KEY, &routing_key),
            ];
            let known = known.map(|(name, text)| (name, text.to_owned()));
            let keys = self.keys.as_ref();
            let origin = keys.map(|keys| (header::ORIGIN, sign_origin(keys, &exchange, &routing_key, &body)));
            for (name, text) in known.into_iter().chain(origin) {
                properties.headers.insert(name.to_owned(), HeaderValue::Text(text));
            }
            dead_letters.push(Message::new(Publication { exchange, routing_key, properties, body }));
        }
        taken.settle();
    }
}

#[async_trait]
impl Broker for LocalBroker {
    async fn declare(&self, topology: &Topology) -> Result<(), Error> {
        self.routing.write().unwrap_or_else(PoisonError::into_inner).declare(topology)?;
        self.declared.notify_waiters();
        Ok(())
    }

    async fn inspect_exchange(&self, exchange: &str) -> ExchangeState {
        let routing = self.routing.read().unwrap_or_else(PoisonError::into_inner);
        match routing.has_exchange(exchange) {
            true => ExchangeState::Exists, // all are durable topic exchanges
            false => ExchangeState::Missing,
        }
    }

    fn connections(&self) -> u64 {
        1
    }

    fn availability(&self) -> watch::Receiver<bool> {
        self.available.subscribe()
    }

    async fn publish(&self, batch: Vec<Publication>) -> Vec<Published> {
        if self.closed.is_cancelled() {
            return vec![Published::Unknown; batch.len()];
        }
        let routing = self.routing.read().unwrap_or_else(PoisonError::into_inner);
        batch
            .into_iter()
            .map(|publication| {
                let queues = routing.route(&publication.exchange, &publication.routing_key);
                if queues.is_empty() {
                    return Published::Unroutable;
                }
                let message = Message::new(publication);
                queues.into_iter().for_each(|queue| queue.push(message.clone()));
                Published::Confirmed
            })
            .collect()
    }

    async fn consume(&self, queue: &str, prefetch: u16, handler: Handler, stop: CancellationToken) {
        let queue = tokio::select! {
            queue = self.queue_once_declared(queue) => queue,
            () = stop.cancelled() => return,
            () = self.closed.cancelled() => return,
        };
        let prefetch = usize::from(prefetch.max(1));
        let mut handled = FuturesUnordered::new();
        loop {
            for taken in queue.take(prefetch - handled.len()) {
                handled.push(self.handle(&queue, taken, handler.clone(), &stop));
            }
            tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                () = stop.cancelled() => break,
                Some(()) = handled.next() => {}
                () = queue.arrived(), if handled.len() < prefetch => {}
            }
            // Handlers that are always ready must not starve other tasks.
            tokio::task::coop::consume_budget().await;
        }
        while handled.next().await.is_some() {}
        // The message that woke this consumer is for another one now.
        queue.pass_on();
    }

    /// No message can break a connection here.
    async fn drain_probation(&self, _: Handler, _: CancellationToken) {}

    async fn check(&self) -> Result<(), Error> {
        if self.closed.is_cancelled() { Err(Error::Unavailable("it is closed".to_owned())) } else { Ok(()) }
    }

    async fn depth(&self, queue: &str) -> Result<u64, Error> {
        let found =
            self.queue(queue).ok_or_else(|| Error::Refused(format!("there is no queue `{queue}`")))?;
        Ok(found.depth())
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), Error> {
        self.routing.write().unwrap_or_else(PoisonError::into_inner).delete_queue(queue);
        Ok(())
    }

    async fn close(&self) {
        self.available.send_replace(false);
        self.closed.cancel();
    }
}
