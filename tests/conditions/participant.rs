//! A participant that executes each command once for its idempotency key, and counts the effects.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{Broker, Delivery, HeaderValue, Published, QueueDeclaration, Topology, Verdict};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::support::faults::publish_poison_reply;
use crate::support::participants::reply;

/// Takes every command of an exchange and succeeds.
pub struct Participant {
    books: Arc<Mutex<Books>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Books {
    /// The idempotency keys of all effects.
    keys: HashSet<String>,
    /// How often each command of an order was executed, each time with another key.
    effects: HashMap<(String, String), usize>,
    /// Deliveries of second and further attempts.
    retries: usize,
    /// How long each command takes.
    delay: Duration,
    /// How `poison.py` makes the first reply to an order.
    bad_replies: HashMap<String, String>,
    /// When such a reply was published.
    bad_reply_at: Option<Instant>,
    last_effect: Option<Instant>,
    longest_pause: Duration,
}

impl Participant {
    pub async fn start(broker: Arc<dyn Broker>, amqp_url: &str, exchange: &str) -> Self {
        let queue = format!("{exchange}.participant");
        let bindings = vec![(exchange.to_owned(), "#".to_owned())];
        let queues = vec![QueueDeclaration { name: queue.clone(), bindings, dead_letters: None }];
        broker.declare(&Topology { exchanges: vec![exchange.to_owned()], queues }).await.expect("declared");
        let (books, stop) = (Arc::<Mutex<Books>>::default(), CancellationToken::new());
        let handler = tower::service_fn({
            let (broker, url, books) = (Arc::clone(&broker), Arc::from(amqp_url), Arc::clone(&books));
            move |delivery| take(Arc::clone(&broker), Arc::clone(&url), Arc::clone(&books), delivery)
        });
        let consuming = stop.clone();
        tokio::spawn(async move {
            broker.consume(&queue, 500, BoxCloneSyncService::new(handler), consuming).await;
        });
        Self { books, stop }
    }

    /// Sets the duration of each command.
    pub fn delay(&self, delay: Duration) {
        self.books().delay = delay;
    }

    /// The first reply to this order is one of `poison.py`.
    pub fn reply_badly(&self, order: &str, kind: &str) {
        self.books().bad_replies.insert(order.to_owned(), kind.to_owned());
    }

    /// When the last bad reply was published.
    pub fn bad_reply_at(&self) -> Option<Instant> {
        self.books().bad_reply_at
    }

    /// Begins to measure pauses.
    pub fn begin(&self) {
        let mut books = self.books();
        (books.last_effect, books.longest_pause) = (Some(Instant::now()), Duration::ZERO);
    }

    /// The longest time without a command.
    pub fn longest_pause(&self) -> Duration {
        self.books().longest_pause
    }

    /// Commands of one order that were executed with more than one idempotency key.
    pub fn doubles(&self) -> usize {
        self.books().effects.values().filter(|count| **count > 1).count()
    }

    /// Deliveries of second and further attempts.
    pub fn retries(&self) -> usize {
        self.books().retries
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("unpoisoned")
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Books {
    /// Executes a command unless it was executed before, and returns its duration and whether the reply is a bad one.
    fn perform(&mut self, delivery: &Delivery) -> (Duration, Option<String>) {
        let key = delivery.properties.message_id.clone().expect("an idempotency key");
        if delivery.properties.headers.get("snorri-attempt") != Some(&HeaderValue::Integer(1)) {
            self.retries += 1;
        }
        let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
        let order = body["orderId"].as_str().expect("an order").to_owned();
        let bad_reply = self.bad_replies.remove(&order);
        if self.keys.insert(key) {
            *self.effects.entry((order, delivery.routing_key.clone())).or_default() += 1;
            let now = Instant::now();
            let last = self.last_effect.replace(now).unwrap_or(now);
            self.longest_pause = self.longest_pause.max(now - last);
        }
        (self.delay, bad_reply)
    }
}

async fn take(
    broker: Arc<dyn Broker>,
    amqp_url: Arc<str>,
    books: Arc<Mutex<Books>>,
    delivery: Delivery,
) -> Result<Verdict, tower::BoxError> {
    let (delay, bad_reply) = books.lock().expect("unpoisoned").perform(&delivery);
    tokio::time::sleep(delay).await;
    if let Some(kind) = bad_reply {
        // On a connection of its own, so that it delays no other reply.
        publish_poison_reply(&amqp_url, &delivery, &kind).await;
        books.lock().expect("unpoisoned").bad_reply_at = Some(Instant::now());
        return Ok(Verdict::Ack);
    }
    Ok(match broker.publish(vec![reply(&delivery, "success", &json!({}))]).await[..] {
        [Published::Confirmed] => Verdict::Ack,
        _ => Verdict::Requeue,
    })
}
