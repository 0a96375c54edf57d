//! When commands are sent, and when not: a full queue, an unavailable broker, no queue yet, a slow participant, and sagas that
//! no longer await them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use snorri_ports::broker::{Broker, QueueDeclaration, Topology, Verdict};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

use crate::support::ledger::Ledger;
use crate::support::orchestrator::{Orchestrator, Plan};
use crate::support::participants::{Participants, reply};
use crate::support::proxy::Proxy;
use crate::support::world::{World, connect};
use crate::support::{Services, until};

const LONG: Duration = Duration::from_secs(60);

/// An orchestrator of a trip (`hotel.book`, compensated by `hotel.cancel`), and no participant that takes commands yet.
struct Trips {
    orchestrator: Orchestrator,
    broker: Arc<dyn Broker>,
    proxy: Proxy,
    exchange: String,
    _definitions: TempDir,
}

impl Trips {
    async fn new(timing: &str) -> Self {
        Self::of(timing, trip).await
    }

    async fn of(timing: &str, definition: fn(&str, &str) -> String) -> Self {
        let services = Services::from_env();
        let prefix = format!("t{}", Uuid::now_v7().simple());
        let exchange = format!("{prefix}.commands");
        let definitions = tempfile::tempdir().expect("a directory");
        std::fs::write(definitions.path().join("trip.yaml"), definition(&exchange, timing)).expect("written");
        let proxy = Proxy::to(&services.amqp_url).await;
        let database = services.database().await;
        let plan = Plan::new(&proxy.url, &database, &prefix, definitions.path());
        let orchestrator = plan.start().await;
        let broker = connect(&services).await;
        Self { orchestrator, broker, proxy, exchange, _definitions: definitions }
    }

    async fn start(&self, id: impl std::fmt::Display) -> String {
        self.orchestrator.api.start("trip", &json!({"id": id.to_string()})).await
    }

    async fn participants(&self, commands: &[&str]) -> Participants {
        Participants::start(Arc::clone(&self.broker), &self.exchange, commands, Ledger::default()).await
    }

    async fn status(&self, id: &str) -> String {
        self.orchestrator.api.saga(id).await["status"].as_str().expect("a status").to_owned()
    }

    async fn waits_for(&self, id: &str, text: &str) {
        until(LONG, text, async || {
            let saga = self.orchestrator.api.saga(id).await;
            saga["waits_for"].as_str().is_some_and(|waits| waits.contains(text)).then_some(())
        })
        .await;
    }

    async fn step_status(&self, id: &str) -> Value {
        self.orchestrator.api.saga(id).await["steps"][0]["status"].clone()
    }

    /// The value of a counter that has these labels, 0 before it is counted the first time.
    async fn metric(&self, name: &str) -> u64 {
        let text = self.orchestrator.api.text("/metrics").await;
        let of_line = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<u64>().ok());
        text.lines().filter(|line| line.starts_with(name)).filter_map(of_line).sum()
    }
}

fn trip(exchange: &str, timing: &str) -> String {
    format!(
        r#"
saga: trip
version: 1
input: {{ type: object, required: [id], properties: {{ id: {{ type: string }} }} }}
key: ${{ input.id }}
defaults: {{ exchange: {exchange}, {timing} }}
steps:
  - name: hotel
    command: hotel.book
    payload: {{ id: "${{ input.id }}" }}
    compensate: {{ command: hotel.cancel, payload: {{ id: "${{ input.id }}" }} }}
"#
    )
}

const SHORT: &str = "timeout: 1s, retry: { attempts: 2, backoff: 100ms }";

/// A queue for `hotel.book` that holds one message and takes no more, and is full.
async fn full_queue(trips: &Trips) -> (lapin::Channel, String) {
    let url = Services::from_env().amqp_url;
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    let channel = connection.await.expect("a connection").create_channel().await.expect("a channel");
    let queue = format!("{}.full", trips.exchange);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, arguments).await.expect("declared");
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let kind = lapin::ExchangeKind::Topic;
    let name = trips.exchange.as_str();
    channel.exchange_declare(name.into(), kind, exchange, FieldTable::default()).await.expect("declared");
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(queue.as_str().into(), name.into(), "hotel.book".into(), options, none)
        .await
        .expect("bound");
    let options = BasicPublishOptions::default();
    let filler = channel.basic_publish("".into(), queue.as_str().into(), options, b"", Default::default());
    filler.await.expect("published").await.expect("taken");
    (channel, queue)
}

async fn make_room(channel: &lapin::Channel, queue: &str) {
    channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
}

/// How many messages a queue holds.
async fn depth(trips: &Trips, queue: &str) -> u64 {
    trips.broker.depth(queue).await.expect("a depth")
}

#[tokio::test]
async fn a_command_that_a_full_queue_refuses_is_no_attempt() {
    let trips = Trips::new(SHORT).await;
    let (channel, queue) = full_queue(&trips).await;
    let id = trips.start("t-1").await;
    // Longer than the timeouts of both attempts.
    until(LONG, "refused again and again", async || {
        (trips.metric("snorri_messages_published_total{result=\"refused\"}").await >= 4).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(trips.status(&id).await, "running");
    make_room(&channel, &queue).await;
    until(LONG, "the command", async || (depth(&trips, &queue).await == 1).then_some(())).await;
    let saga = trips.orchestrator.api.saga(&id).await;
    assert_eq!((&saga["status"], &saga["steps"][0]["attempt"]), (&json!("running"), &json!(1)));
}

#[tokio::test]
async fn nothing_goes_forward_after_its_compensation() {
    let trips = Trips::new(SHORT).await;
    let (channel, queue) = full_queue(&trips).await;
    let participants = trips.participants(&["hotel.cancel"]).await;
    let id = trips.start("t-1").await;
    let (status, _) =
        trips.orchestrator.api.post(&format!("/v1/sagas/{id}/cancel"), &json!({"reason": "no more"})).await;
    assert_eq!(status, 200);
    let saga = trips.orchestrator.api.wait_for(&id, &["compensated"]).await;
    assert_eq!(saga["steps"][0]["status"], "compensated", "{saga}");
    make_room(&channel, &queue).await;
    until(LONG, "an empty outbox", async || {
        (trips.metric("snorri_commands_dropped_total").await == 1).then_some(())
    })
    .await;
    assert_eq!(depth(&trips, &queue).await, 0, "the booking came after its cancellation");
    participants.stop().await;
}

#[tokio::test]
async fn commands_of_sagas_that_wait_for_the_broker_are_no_attempts() {
    const SAGAS: usize = 30;
    let trips = Trips::new(SHORT).await;
    let participants = trips.participants(&["hotel.book", "hotel.cancel"]).await;
    trips.proxy.cut();
    let ids = join_all((0..SAGAS).map(|number| trips.start(number))).await;
    // Longer than the timeouts of both attempts.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for id in &ids {
        assert_eq!(trips.status(id).await, "running");
    }
    trips.proxy.mend();
    for id in &ids {
        let saga = trips.orchestrator.api.wait_for(id, &["completed"]).await;
        assert_eq!(participants.ledger.effect(id, "hotel").compensated, 0, "{saga}");
    }
    participants.stop().await;
}

#[tokio::test]
async fn a_command_of_a_saga_that_has_ended_is_not_sent_when_the_broker_is_back() {
    let trips = Trips::of(SHORT, step_next_to_unroutable).await;
    let id = trips.start("t-1").await;
    let saga = trips.orchestrator.api.wait_for(&id, &["stuck"]).await;
    assert_eq!(saga["incidents"][0]["code"], "unroutable", "{saga}");
    trips.proxy.cut();
    let (go, abandon) = (format!("/v1/sagas/{id}/signals/go"), format!("/v1/sagas/{id}/abandon"));
    let (status, answer) = trips.orchestrator.api.post(&go, &json!({})).await;
    assert!(status < 300, "{status}: {answer}");
    let (status, answer) = trips.orchestrator.api.post(&abandon, &json!({"reason": "test"})).await;
    assert_eq!((status, &answer["saga"]["status"]), (200, &json!("abandoned")), "{answer}");
    let participants = trips.participants(&["hotel.book"]).await;
    trips.proxy.mend();
    until(LONG, "the command is dropped", async || {
        (trips.metric("snorri_commands_dropped_total").await == 1).then_some(())
    })
    .await;
    assert_eq!(participants.ledger.effect(&id, "hotel").done, 0);
    participants.stop().await;
}

/// A step that is held, and in another branch one that begins after a signal.
fn step_next_to_unroutable(exchange: &str, timing: &str) -> String {
    format!(
        r#"
saga: trip
version: 1
input: {{ type: object, required: [id], properties: {{ id: {{ type: string }} }} }}
key: ${{ input.id }}
defaults: {{ exchange: {exchange}, unroutable_timeout: 100ms, {timing} }}
steps:
  - parallel:
      - - {{ name: nowhere, command: taxi.book, compensate: none }}
      - - {{ name: ready, wait: {{ signal: go }}, timeout: 1h }}
        - {{ name: hotel, command: hotel.book, compensate: {{ command: hotel.cancel }} }}
"#
    )
}

#[tokio::test]
async fn no_queue_yet_is_no_failure() {
    let trips = Trips::new(SHORT).await;
    let id = trips.start("t-1").await;
    until(LONG, "waiting for a route", async || {
        (trips.step_status(&id).await == "waiting_for_route").then_some(())
    })
    .await;
    let returns = format!("snorri_commands_unroutable_total{{exchange=\"{}\"", trips.exchange);
    until(LONG, "returned again", async || (trips.metric(&returns).await >= 3).then_some(())).await;
    trips.waits_for(&id, "a queue for `hotel.book`").await;
    let participants = trips.participants(&["hotel.book", "hotel.cancel"]).await;
    let saga = trips.orchestrator.api.wait_for(&id, &["completed"]).await;
    assert_eq!(saga["steps"][0]["attempt"], 1, "{saga}");
    participants.stop().await;
}

/// A participant that takes 50 commands a second is sent 250 a second for two seconds. Each that it answers too late would be
/// sent again, and so on: it must get no more than it can handle, and finish in the time that the backlog takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_that_falls_behind_recovers() {
    const SAGAS: usize = 500;
    let trips = Trips::new("timeout: 2s, retry: { attempts: 3, backoff: 100ms..1s }").await;
    let taken = Arc::new(AtomicUsize::new(0));
    let (queue, stop) = (format!("{}.slow", trips.exchange), CancellationToken::new());
    let bindings = vec![(trips.exchange.clone(), "#".to_owned())];
    let queues = vec![QueueDeclaration { name: queue.clone(), bindings, dead_letters: None }];
    let topology = Topology { exchanges: vec![trips.exchange.clone()], queues };
    trips.broker.declare(&topology).await.expect("declared");
    let slow = tokio::spawn({
        let (broker, stop, taken) = (Arc::clone(&trips.broker), stop.clone(), Arc::clone(&taken));
        async move {
            let to = Arc::clone(&broker);
            let handler = tower::service_fn(move |delivery| {
                let (to, taken) = (Arc::clone(&to), Arc::clone(&taken));
                async move {
                    taken.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    to.publish(vec![reply(&delivery, "success", &json!({}))]).await;
                    Ok::<_, tower::BoxError>(Verdict::Ack)
                }
            });
            broker.consume(&queue, 1, BoxCloneSyncService::new(handler), stop).await;
        }
    });
    let mut ids = Vec::new();
    for batch in 0..20 {
        ids.extend(join_all((0..SAGAS / 20).map(|number| trips.start(format!("{batch}-{number}")))).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut completed = 0;
    for id in &ids {
        let saga = until(Duration::from_secs(120), "the end of a saga", async || {
            let saga = trips.orchestrator.api.saga(id).await;
            let status = saga["status"].as_str().expect("a status").to_owned();
            ["completed", "compensated", "stuck"].contains(&&*status).then_some(status)
        })
        .await;
        completed += usize::from(saga == "completed");
    }
    let taken = taken.load(Ordering::Relaxed);
    println!("{completed} of {SAGAS} completed, {taken} commands taken");
    assert_eq!(completed, SAGAS, "sagas rolled back although their participant was only slow");
    assert!(taken < SAGAS * 2, "{taken} commands for {SAGAS} sagas: a storm of retries");
    stop.cancel();
    slow.await.expect("stopped");
}

/// As issue 11's case 30: a list of the documented maximum, with two steps an item.
#[tokio::test]
async fn the_longest_list_runs_with_two_steps_an_item() {
    let world = World::with(&["pick.reserve", "pick.label", "pick.release", "pick.ship"], picking).await;
    let lines: Vec<Value> = (0..1_000).map(|number| json!({"sku": format!("s-{number}")})).collect();
    let id = world.orchestrator.api.start("picking", &json!({"id": "p-1", "lines": lines})).await;
    // It waits in the process, because reading thousands of entries takes as long as some steps.
    let saga = until(Duration::from_secs(600), "the end of a saga", async || {
        let (_, saga) = world.orchestrator.api.get(&format!("/v1/sagas/{id}/wait?timeout=30")).await;
        (saga["status"] != "running").then_some(saga)
    })
    .await;
    assert_eq!(
        (&saga["status"], &saga["problem"], &saga["incidents"]),
        (&json!("completed"), &Value::Null, &json!([]))
    );

    let lines: Vec<Value> = (0..1_001).map(|number| json!({"sku": format!("s-{number}")})).collect();
    let id = world.orchestrator.api.start("picking", &json!({"id": "p-2", "lines": lines})).await;
    let saga = world.orchestrator.api.wait_for(&id, &["compensated"]).await;
    assert_eq!(saga["problem"]["code"], "too_many_items");
    assert_eq!(world.ledger.effect(&id, "reserve[0]").done, 0, "refused before its first item");
}

fn picking(exchange: &str) -> String {
    format!(
        r#"
saga: picking
version: 1
input:
  type: object
  required: [id, lines]
  properties:
    id: {{ type: string }}
    lines: {{ type: array, items: {{ type: object, required: [sku], properties: {{ sku: {{ type: string }} }} }} }}
key: ${{ input.id }}
defaults: {{ exchange: {exchange}, timeout: 20s, retry: {{ attempts: 3, backoff: 100ms..1s }} }}
steps:
  - name: lines
    for_each: ${{ input.lines }}
    as: line
    concurrency: 50
    steps:
      - name: reserve
        command: pick.reserve
        payload: {{ sku: "${{ line.sku }}" }}
        compensate: {{ command: pick.release, payload: {{ sku: "${{ line.sku }}" }} }}
      - name: label
        command: pick.label
        payload: {{ sku: "${{ line.sku }}" }}
        compensate: none
  - name: ship
    command: pick.ship
    pivot: true
    payload: {{ id: "${{ input.id }}" }}
"#
    )
}
