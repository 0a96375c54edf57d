//! The shipped definitions with their exchanges renamed, and otherwise unchanged.
//!
//! A play's [`Service`] takes every command of every definition. It is called once for each idempotency key: a repetition gets
//! the same answer again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use snorri_ports::broker::{
    Broker, Delivery, HeaderValue, Properties, Publication, Published, QueueDeclaration, Topology, Verdict,
};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

use super::Services;
use super::ledger::Ledger;
use super::orchestrator::{Api, Orchestrator, Plan};
use super::world::connect;

/// The service of the participants.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    async fn take(&self, call: &Call) -> Answer;
}

/// A command, as a participant sees it.
#[derive(Debug, Clone)]
pub struct Call {
    pub command: String,
    pub saga: String,
    /// The step's path, as in `seat[2]`.
    pub step: String,
    pub is_compensation: bool,
    pub body: Value,
}

/// The answer of a participant.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A direct reply: success.
    Done(Value),
    /// A direct reply: refused, with this code.
    Refused(&'static str),
    /// A domain event that reports success.
    DoneEvent(&'static str, Value),
    /// A domain event that reports a refusal.
    RefusedEvent(&'static str, Value),
    /// No answer, and no effect.
    Silence,
}

#[derive(Debug)]
pub struct Stage {
    pub orchestrator: Orchestrator,
    pub broker: Arc<dyn Broker>,
    pub ledger: Ledger,
    prefix: String,
    stop: CancellationToken,
    _definitions: TempDir,
}

/// The directory of the shipped definitions.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sagas")
}

impl Stage {
    pub async fn new(service: impl Service) -> Self {
        Self::with(service, str::to_owned).await
    }

    /// All definitions as `change` makes them: with timeouts that a test can wait for.
    pub async fn with(service: impl Service, change: fn(&str) -> String) -> Self {
        let services = Services::from_env();
        let prefix = format!("t{}", Uuid::now_v7().simple());
        let definitions = tempfile::tempdir().expect("a directory");
        let mut bindings = BTreeSet::new();
        for source in snorri_definition::read_directory(shipped()).expect("the definitions that ship") {
            let text = change(&source.text).replace("exchange: ", &format!("exchange: {prefix}."));
            let name = source.path.file_name().expect("a file");
            std::fs::write(definitions.path().join(name), &text).expect("written");
            let compiled = snorri_definition::compile(&name.to_string_lossy(), &text).expect("compiles");
            let commands = compiled.definition.commands();
            bindings.extend(commands.map(|command| (command.exchange.to_string(), command.name.to_string())));
        }
        let (broker, ledger) = (connect(&services).await, Ledger::default());
        let stop = CancellationToken::new();
        employ(&broker, bindings, Troupe::new(&broker, &ledger, service), &prefix, &stop).await;
        let database = services.database().await;
        let plan = Plan::new(&services.amqp_url, &database, &prefix, definitions.path());
        let orchestrator = plan.start().await;
        Self { orchestrator, broker, ledger, prefix, stop, _definitions: definitions }
    }

    pub fn api(&self) -> &Api {
        &self.orchestrator.api
    }

    /// Starts a saga and waits until it has this status.
    pub async fn run(&self, definition: &str, input: &Value, status: &str) -> Value {
        let id = self.api().start(definition, input).await;
        self.api().wait_for(&id, &[status]).await
    }

    /// Publishes a domain event, as the outside world does.
    pub async fn publish(&self, exchange: &str, event: &str, body: &Value) {
        let event = publication(&format!("{}.{exchange}", self.prefix), event, body);
        assert_eq!(self.broker.publish(vec![event]).await, [Published::Confirmed]);
    }

    /// How often a step was done, and compensated.
    pub fn effect(&self, saga: &str, step: &str) -> (u32, u32) {
        let effect = self.ledger.effect(saga, step);
        (effect.done, effect.compensated)
    }

    pub fn effects<const N: usize>(&self, saga: &str, steps: [&str; N]) -> [(u32, u32); N] {
        steps.map(|step| self.effect(saga, step))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The service, and its answers so far.
struct Troupe<S> {
    broker: Arc<dyn Broker>,
    ledger: Ledger,
    service: S,
    answers: Mutex<HashMap<String, Arc<OnceCell<Answer>>>>,
}

async fn employ(
    broker: &Arc<dyn Broker>,
    bindings: BTreeSet<(String, String)>,
    troupe: Arc<Troupe<impl Service>>,
    prefix: &str,
    stop: &CancellationToken,
) {
    let queue = format!("{prefix}.participants");
    let exchanges: BTreeSet<_> = bindings.iter().map(|(exchange, _)| exchange.clone()).collect();
    let queues = vec![QueueDeclaration {
        name: queue.clone(),
        bindings: bindings.into_iter().collect(),
        dead_letters: None,
    }];
    let topology = Topology { exchanges: exchanges.into_iter().collect(), queues };
    broker.declare(&topology).await.expect("declared");
    let handler = tower::service_fn(move |delivery| {
        let troupe = Arc::clone(&troupe);
        async move { Ok::<_, tower::BoxError>(troupe.take(&delivery).await) }
    });
    let (broker, stop) = (Arc::clone(broker), stop.clone());
    tokio::spawn(async move { broker.consume(&queue, 100, BoxCloneSyncService::new(handler), stop).await });
}

impl<S: Service> Troupe<S> {
    fn new(broker: &Arc<dyn Broker>, ledger: &Ledger, service: S) -> Arc<Self> {
        let (broker, ledger) = (Arc::clone(broker), ledger.clone());
        Arc::new(Self { broker, ledger, service, answers: Mutex::default() })
    }

    async fn take(&self, delivery: &Delivery) -> Verdict {
        let call = call(delivery);
        let key = delivery.properties.message_id.clone().expect("an idempotency key");
        self.ledger.deliver(&call.saga, &call.step, &text(delivery, "snorri-direction"), &key);
        let cell = Arc::clone(self.answers.lock().expect("unpoisoned").entry(key).or_default());
        let answer = cell.get_or_init(|| self.perform(&call)).await;
        let message = match answer {
            Answer::Done(output) => reply(delivery, "success", output),
            Answer::Refused(code) => reply(delivery, "failure", &json!({"code": code, "message": "no"})),
            Answer::DoneEvent(event, body) | Answer::RefusedEvent(event, body) => {
                publication(&delivery.exchange.replace(".commands", ".events"), event, body)
            }
            Answer::Silence => return Verdict::Ack,
        };
        match self.broker.publish(vec![message]).await[..] {
            [Published::Confirmed] => Verdict::Ack,
            _ => Verdict::Requeue,
        }
    }

    async fn perform(&self, call: &Call) -> Answer {
        let answer = self.service.take(call).await;
        if let Answer::Done(_) | Answer::DoneEvent(..) = answer {
            match call.is_compensation {
                true => self.ledger.compensate(&call.saga, &call.step),
                false => {
                    assert!(self.ledger.act(&call.saga, &call.step), "{} was compensated before", call.step);
                }
            }
        }
        answer
    }
}

fn call(delivery: &Delivery) -> Call {
    Call {
        command: delivery.routing_key.clone(),
        saga: text(delivery, "snorri-saga"),
        step: text(delivery, "snorri-step"),
        is_compensation: text(delivery, "snorri-direction") == "compensate",
        body: serde_json::from_slice(&delivery.body).expect("JSON"),
    }
}

fn publication(exchange: &str, routing_key: &str, body: &Value) -> Publication {
    Publication {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        properties: Properties { message_id: Some(Uuid::now_v7().to_string()), ..Properties::default() },
        body: serde_json::to_vec(body).expect("JSON"),
    }
}

fn reply(delivery: &Delivery, kind: &str, body: &Value) -> Publication {
    let queue = delivery.properties.reply_to.clone().expect("a reply queue");
    let mut reply = publication("", &queue, body);
    reply.properties.kind = Some(kind.to_owned());
    reply.properties.correlation_id = delivery.properties.correlation_id.clone();
    reply
}

fn text(delivery: &Delivery, header: &str) -> String {
    match delivery.properties.headers.get(header) {
        Some(HeaderValue::Text(text)) => text.clone(),
        other => panic!("no header {header}: {other:?}"),
    }
}
