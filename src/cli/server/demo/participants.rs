//! The participants of the demo: inventory, payment and shipping. They use the broker and the wire contract like any others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use snorri_ports::broker::{
    Broker, Delivery, Error, HeaderValue, Properties, Publication, Published, QueueDeclaration, Topology,
    Verdict,
};
use snorri_wire::header;

/// Payments above this amount are refused.
pub const LIMIT: u64 = 10_000;

/// The order whose first attempts of shipping fail.
pub const NO_CARRIER: &str = "o-1003";
const CARRIER_FAILS: i64 = 5;
/// The order whose stock is already packed and cannot be released.
pub const PACKED: &str = "o-1004";

const EXCHANGE: &str = "shop.commands";
const PREFETCH: u16 = 200;
const REPLIES_WAITING: usize = 256;
const SERVICES: [(&str, &[&str]); 3] = [
    ("inventory", &["inventory.reserve", "inventory.release"]),
    ("payment", &["payment.charge", "payment.refund"]),
    ("shipping", &["shipping.book"]),
];

/// A reply to publish, and the receiver of the result.
type PendingReply = (Publication, oneshot::Sender<Published>);

/// How long a participant works on a command.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    AtOnce,
    Slowly(Duration),
}

#[derive(Debug)]
pub struct Participants {
    pace: Arc<AtomicU64>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Declares a queue for each service and starts to consume.
pub async fn start(broker: Arc<dyn Broker>, prefix: &str, pace: Duration) -> Result<Participants, Error> {
    let queue_of = |service: &str| format!("{prefix}.{service}");
    let bindings = |commands: &[&str]| {
        commands.iter().map(|command| (EXCHANGE.to_owned(), (*command).to_owned())).collect()
    };
    let queues = SERVICES.iter().map(|(service, commands)| QueueDeclaration {
        name: queue_of(service),
        bindings: bindings(commands),
        dead_letters: None,
    });
    let topology = Topology { exchanges: vec![EXCHANGE.to_owned()], queues: queues.collect() };
    broker.declare(&topology).await?;

    let participants =
        Participants { pace: Arc::default(), stop: CancellationToken::new(), tasks: Vec::new() };
    participants.set_pace(Pace::Slowly(pace));
    let (replies, waiting) = mpsc::channel(REPLIES_WAITING);
    tokio::spawn(send_replies(Arc::clone(&broker), waiting));
    let work = |queue: String| {
        let replies = replies.clone();
        let (broker, pace, stop) =
            (Arc::clone(&broker), Arc::clone(&participants.pace), participants.stop.clone());
        tokio::spawn(async move {
            let handler =
                tower::service_fn(move |delivery| answer(replies.clone(), Arc::clone(&pace), delivery));
            broker.consume(&queue, PREFETCH, BoxCloneSyncService::new(handler), stop).await;
        })
    };
    let tasks = SERVICES.iter().map(|(service, _)| work(queue_of(service))).collect();
    Ok(Participants { tasks, ..participants })
}

impl Participants {
    pub fn set_pace(&self, pace: Pace) {
        let millis = match pace {
            Pace::AtOnce => 0,
            Pace::Slowly(duration) => u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        };
        self.pace.store(millis, Ordering::Relaxed);
    }

    pub async fn stop(self) {
        self.stop.cancel();
        futures_util::future::join_all(self.tasks).await;
    }
}

/// Executes a command and replies, as the wire contract requires of a participant.
async fn answer(
    replies: mpsc::Sender<PendingReply>,
    pace: Arc<AtomicU64>,
    delivery: Delivery,
) -> Result<Verdict, tower::BoxError> {
    let pause = pace.load(Ordering::Relaxed);
    if pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let payload: Value = serde_json::from_slice(&delivery.body)?;
    let attempt = match delivery.properties.headers.get(header::ATTEMPT) {
        Some(HeaderValue::Integer(attempt)) => *attempt,
        _ => 1,
    };
    let (kind, body) = act(&delivery.routing_key, &payload, attempt);
    let reply = Publication {
        exchange: String::new(),
        routing_key: delivery.properties.reply_to.unwrap_or_default(),
        properties: Properties {
            kind: Some(kind.to_owned()),
            correlation_id: delivery.properties.correlation_id,
            content_type: Some("application/json".to_owned()),
            ..Properties::default()
        },
        body: serde_json::to_vec(&body)?,
    };
    let (sender, published) = oneshot::channel();
    replies.send((reply, sender)).await?;
    Ok(if published.await? == Published::Confirmed { Verdict::Ack } else { Verdict::Requeue })
}

/// Publishes replies in batches: a burst would otherwise wait for single confirms.
async fn send_replies(broker: Arc<dyn Broker>, mut waiting: mpsc::Receiver<PendingReply>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, REPLIES_WAITING).await > 0 {
        let (replies, senders): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        for (sender, published) in senders.into_iter().zip(broker.publish(replies).await) {
            // The receiver may be gone; then the command is delivered again.
            let _ = sender.send(published);
        }
    }
}

/// Executes a command. The commands are idempotent, so the participants keep no state.
fn act(command: &str, payload: &Value, attempt: i64) -> (&'static str, Value) {
    let order = payload["orderId"].as_str().unwrap_or_default();
    match command {
        "shipping.book" if order == NO_CARRIER && attempt <= CARRIER_FAILS => {
            ("error", json!({"code": "no_carrier", "message": "the carrier does not answer"}))
        }
        "inventory.release" if order == PACKED => {
            ("failure", json!({"code": "packed", "message": "it is packed and sealed"}))
        }
        "inventory.reserve" => ("success", json!({"reservationId": format!("R-{order}")})),
        "payment.charge" if payload["amount"].as_u64().is_some_and(|amount| amount > LIMIT) => {
            ("failure", json!({"code": "card_declined", "message": "the bank refused"}))
        }
        "payment.charge" => ("success", json!({"paymentId": format!("P-{order}")})),
        "shipping.book" => ("success", json!({"trackingId": format!("T-{order}")})),
        _ => ("success", Value::Null),
    }
}
