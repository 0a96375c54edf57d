//! Programmable participants on the real broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{
    Broker, Delivery, HeaderValue, Properties, Publication, Published, QueueDeclaration, Topology, Verdict,
};
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use super::ledger::Ledger;
use super::until;

/// How a participant takes a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Manner {
    Succeed,
    /// Refuses, with this code.
    Refuse(&'static str),
    /// Replies with errors, so many times, then succeeds.
    Fail(u32),
    /// Executes it, and never answers.
    Silent,
    /// Answers every delivery twice.
    Twice,
    /// Executes it, and answers after this time.
    Late(Duration),
    /// Sends something that is no reply, and then succeeds.
    Garbage,
    /// Answers each attempt with this, unchanged.
    Raw(Raw),
    /// Refuses a tenth of the sagas, fails at first for another tenth, and is slow for a third.
    Mixed,
}

/// A reply as some client might write it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Raw {
    pub kind: Option<&'static str>,
    pub body: Vec<u8>,
    pub content_type: Option<&'static str>,
    pub content_encoding: Option<&'static str>,
}

impl Raw {
    pub fn new(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { kind: Some(kind), body: body.into(), ..Self::default() }
    }
}

/// One service that takes all commands of an exchange.
#[derive(Debug)]
pub struct Participants {
    pub ledger: Ledger,
    manners: Manners,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

type Manners = Arc<Mutex<HashMap<String, Manner>>>;

impl Participants {
    /// Takes `commands` of `exchange`; succeeds with `{"step": step}` unless a manner is set.
    pub async fn start(broker: Arc<dyn Broker>, exchange: &str, commands: &[&str], ledger: Ledger) -> Self {
        let queue = format!("{exchange}.participants");
        let bindings = commands.iter().map(|command| (exchange.to_owned(), (*command).to_owned())).collect();
        let queues = vec![QueueDeclaration { name: queue.clone(), bindings, dead_letters: None }];
        broker.declare(&Topology { exchanges: vec![exchange.to_owned()], queues }).await.expect("declared");
        let (manners, stop) = (Manners::default(), CancellationToken::new());
        let handler = tower::service_fn({
            let (broker, manners, ledger) = (Arc::clone(&broker), Arc::clone(&manners), ledger.clone());
            move |delivery| take(Arc::clone(&broker), Arc::clone(&manners), ledger.clone(), delivery)
        });
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { broker.consume(&queue, 500, BoxCloneSyncService::new(handler), stop).await }
        });
        Self { ledger, manners, stop, task }
    }

    /// Sets the manner for `command`.
    pub fn take(&self, command: &str, manner: Manner) {
        self.manners.lock().expect("unpoisoned").insert(command.to_owned(), manner);
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("stopped");
    }
}

/// Takes the next `count` messages of a queue.
pub async fn collect(broker: &Arc<dyn Broker>, queue: &str, count: usize) -> Vec<Delivery> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let handler = tower::service_fn({
        let taken = Arc::clone(&taken);
        move |delivery| {
            taken.lock().expect("unpoisoned").push(delivery);
            std::future::ready(Ok::<_, tower::BoxError>(Verdict::Ack))
        }
    });
    let stop = CancellationToken::new();
    let consuming = broker.consume(queue, 10, BoxCloneSyncService::new(handler), stop.clone());
    let what = format!("{count} messages in {queue}");
    let enough = until(Duration::from_secs(10), &what, async || {
        (taken.lock().expect("unpoisoned").len() >= count).then(|| stop.cancel())
    });
    tokio::join!(consuming, enough);
    std::mem::take(&mut *taken.lock().expect("unpoisoned"))
}

async fn take(
    broker: Arc<dyn Broker>,
    manners: Manners,
    ledger: Ledger,
    delivery: Delivery,
) -> Result<Verdict, tower::BoxError> {
    let command = delivery.routing_key.clone();
    let manner = manners.lock().expect("unpoisoned").get(&command).cloned().unwrap_or(Manner::Succeed);
    let (saga, step, direction) =
        (text(&delivery, "snorri-saga"), text(&delivery, "snorri-step"), text(&delivery, "snorri-direction"));
    ledger.deliver(
        &saga,
        &step,
        &direction,
        delivery.properties.message_id.as_deref().expect("a message id"),
    );
    let is_compensation = direction == "compensate";
    let attempt = match delivery.properties.headers.get("snorri-attempt") {
        Some(HeaderValue::Integer(attempt)) => u32::try_from(*attempt).expect("a small number"),
        other => panic!("no attempt: {other:?}"),
    };
    let manner = if manner == Manner::Mixed { mixed(&saga) } else { manner };
    match manner.clone() {
        Manner::Refuse(code) => {
            return send(&broker, &delivery, "failure", &json!({"code": code, "message": "no"})).await;
        }
        Manner::Raw(raw) => {
            let mut raw_reply = reply(&delivery, "", &Value::Null);
            raw_reply.body = raw.body;
            raw_reply.properties.kind = raw.kind.map(str::to_owned);
            raw_reply.properties.content_type = raw.content_type.map(str::to_owned);
            raw_reply.properties.content_encoding = raw.content_encoding.map(str::to_owned);
            broker.publish(vec![raw_reply]).await;
            return Ok(Verdict::Ack);
        }
        Manner::Fail(times) if attempt <= times => {
            return send(&broker, &delivery, "error", &json!({"code": "busy"})).await;
        }
        _ => {}
    }
    let done = if is_compensation {
        ledger.compensate(&saga, &step);
        true
    } else {
        ledger.act(&saga, &step)
    };
    if !done {
        return send(&broker, &delivery, "failure", &json!({"code": "compensated_already"})).await;
    }
    let output = if is_compensation { Value::Null } else { json!({"step": step}) };
    match manner {
        Manner::Silent => return Ok(Verdict::Ack),
        Manner::Late(after) => tokio::time::sleep(after).await,
        Manner::Twice => drop(send(&broker, &delivery, "success", &output).await?),
        Manner::Garbage => {
            let mut garbage = reply(&delivery, "success", &output);
            garbage.body = b"{ this is not JSON".to_vec();
            broker.publish(vec![garbage]).await;
            let mut foreign = reply(&delivery, "success", &output);
            foreign.properties.correlation_id = Some("who-are-you".to_owned());
            broker.publish(vec![foreign]).await;
        }
        _ => {}
    }
    send(&broker, &delivery, "success", &output).await
}

/// The same for all deliveries of a saga, as the answers of an idempotent participant are.
fn mixed(saga: &str) -> Manner {
    match saga.bytes().map(u32::from).sum::<u32>() % 10 {
        0 => Manner::Refuse("no"),
        1 => Manner::Fail(1),
        2 => Manner::Late(Duration::from_millis(300)),
        _ => Manner::Succeed,
    }
}

async fn send(
    broker: &Arc<dyn Broker>,
    delivery: &Delivery,
    kind: &str,
    body: &Value,
) -> Result<Verdict, tower::BoxError> {
    Ok(match broker.publish(vec![reply(delivery, kind, body)]).await[..] {
        [Published::Confirmed] => Verdict::Ack,
        _ => Verdict::Requeue,
    })
}

pub fn reply(delivery: &Delivery, kind: &str, body: &Value) -> Publication {
    let exchange = match delivery.properties.headers.get("snorri-reply-exchange") {
        Some(HeaderValue::Text(exchange)) => exchange.clone(),
        _ => String::new(),
    };
    Publication {
        exchange,
        routing_key: delivery.properties.reply_to.clone().expect("a reply queue"),
        properties: Properties {
            kind: Some(kind.to_owned()),
            correlation_id: delivery.properties.correlation_id.clone(),
            ..Properties::default()
        },
        body: serde_json::to_vec(body).expect("JSON"),
    }
}

fn text(delivery: &Delivery, header: &str) -> String {
    match delivery.properties.headers.get(header) {
        Some(HeaderValue::Text(text)) => text.clone(),
        other => panic!("no header {header}: {other:?}"),
    }
}
