//! The participant in Python runs the order saga, both as they are shipped.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{
    Delivery, HeaderValue, Properties, Publication, Published, QueueDeclaration, Topology,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::support::participants::collect;
use crate::support::world::World;

/// The shipped definition, on the exchange of a test.
fn shipped(exchange: &str) -> String {
    let text = include_str!("../../sagas/order.yaml");
    assert!(text.contains("exchange: shop.commands"));
    text.replace("shop.commands", exchange)
}

/// A world whose only participant is the one in Python.
struct Shop {
    world: World,
    python: Child,
    /// Where its database is.
    directory: TempDir,
}

impl Shop {
    async fn new() -> Self {
        let world = World::with(&[], shipped).await;
        let directory = tempfile::tempdir().expect("a directory");
        let python = participant(&world, &directory).await;
        Self { world, python, directory }
    }

    /// Kills the participant, and starts it again on its database.
    async fn restart(&mut self) {
        self.python.kill().await.expect("killed");
        self.python = participant(&self.world, &self.directory).await;
    }

    async fn run(&self, order: &str, amount: u32, status: &str) -> Value {
        let api = &self.world.orchestrator.api;
        let id = api.start("order", &json!({"orderId": order, "amount": amount})).await;
        api.wait_for(&id, &[status]).await
    }

    /// Sends a command as Snorri does, and returns what is answered.
    async fn ask(
        &self,
        queue: &str,
        saga: Uuid,
        step: &str,
        direction: &str,
        command: &str,
    ) -> (String, Value) {
        let header = |name: &str, value: &str| (name.to_owned(), HeaderValue::Text(value.to_owned()));
        let headers = BTreeMap::from([
            header("snorri-saga", &saga.to_string()),
            header("snorri-step", step),
            header("snorri-direction", direction),
        ]);
        let message_id = Uuid::new_v5(&saga, format!("{step}/{direction}").as_bytes());
        let properties = Properties {
            kind: Some(command.to_owned()),
            message_id: Some(message_id.to_string()),
            correlation_id: Some("c-1".to_owned()),
            reply_to: Some(queue.to_owned()),
            headers,
            ..Properties::default()
        };
        let body = json!({"orderId": "o-1", "amount": 1}).to_string().into_bytes();
        let exchange = self.world.exchange.clone();
        let sent = Publication { exchange, routing_key: command.to_owned(), properties, body };
        assert_eq!(self.world.broker.publish(vec![sent]).await, [Published::Confirmed]);
        let answers = collect(&self.world.broker, queue, 1).await;
        let Delivery { properties, body, .. } = answers.into_iter().next().expect("an answer");
        assert_eq!(properties.correlation_id.as_deref(), Some("c-1"));
        (properties.kind.expect("a type"), serde_json::from_slice(&body).expect("JSON"))
    }

    async fn answers(&self) -> String {
        let name = format!("{}.answers", self.world.exchange);
        let queue = QueueDeclaration { name: name.clone(), bindings: Vec::new(), dead_letters: None };
        let topology = Topology { exchanges: Vec::new(), queues: vec![queue] };
        self.world.broker.declare(&topology).await.expect("declared");
        name
    }
}

/// Starts the participant, and waits until it takes commands.
async fn participant(world: &World, directory: &TempDir) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/participants/python/participant.py");
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .env("AMQP_URL", &world.plan.amqp_url)
        .env("EXCHANGE", &world.exchange)
        .env("QUEUE", format!("{}.python", world.exchange))
        .env("DATABASE", directory.path().join("participant.db"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 with pika");
    let mut lines = BufReader::new(python.stdout.take().expect("its output")).lines();
    let ready = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("it is ready");
    assert!(ready.expect("a line").is_some_and(|line| line.contains("inventory.reserve")));
    python
}

#[tokio::test]
async fn the_shipped_participant_runs_the_shipped_saga() {
    let shop = Shop::new().await;
    let saga = shop.run("o-1", 129, "completed").await;
    assert_eq!(saga["output"], json!({"trackingId": "T-o-1"}));
    let saga = shop.run("o-2", 5000, "compensated").await;
    assert_eq!(saga["problem"]["message"], "the limit is 1000");
    let compensated: Vec<_> =
        saga["steps"].as_array().expect("steps").iter().map(|step| &step["status"]).collect();
    assert_eq!(compensated, ["compensated", "failed"], "{saga}");
}

#[tokio::test]
async fn the_shipped_participant_does_a_command_once() {
    let mut shop = Shop::new().await;
    let queue = shop.answers().await;
    let saga = Uuid::now_v7();
    let reserve = ("reserve", "forward", "inventory.reserve");
    let first = shop.ask(&queue, saga, reserve.0, reserve.1, reserve.2).await;
    assert_eq!(first, ("success".to_owned(), json!({"reservationId": "R-o-1"})));
    shop.restart().await;
    assert_eq!(shop.ask(&queue, saga, reserve.0, reserve.1, reserve.2).await, first, "it is remembered");
}

#[tokio::test]
async fn the_shipped_participant_refuses_a_command_whose_compensation_came_first() {
    let shop = Shop::new().await;
    let queue = shop.answers().await;
    let saga = Uuid::now_v7();
    let compensation = shop.ask(&queue, saga, "reserve", "compensate", "inventory.release").await;
    assert_eq!(compensation.0, "success");
    let (kind, problem) = shop.ask(&queue, saga, "reserve", "forward", "inventory.reserve").await;
    assert_eq!((kind.as_str(), &problem["code"]), ("failure", &json!("compensated")));
    assert_eq!(
        shop.ask(&queue, saga, "reserve", "compensate", "inventory.release").await,
        compensation,
        "again"
    );
    let (kind, _) = shop.ask(&queue, Uuid::now_v7(), "reserve", "forward", "inventory.reserve").await;
    assert_eq!(kind, "success", "another saga's");
}
