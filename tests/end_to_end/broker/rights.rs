//! A participant with the least rights, as `deploy/participant-rights.sh` sets them, on a virtual host of its own.

use std::os::unix::fs::PermissionsExt;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::order;
use crate::support::Services;
use crate::support::orchestrator::Plan;
use crate::support::world::{COMMANDS, order as definition};

const USER: &str = "participant";
const REPLY_EXCHANGE: &str = "snorri.reply";
const EXCHANGE: &str = "shop.commands";
const QUEUE: &str = "shop.commands.participants";

/// A virtual host with a user of its own.
struct Vhost {
    management: String,
    server: String,
    name: String,
    user: String,
    http: reqwest::Client,
}

impl Vhost {
    /// `None`: there is no management API.
    async fn new() -> Option<Self> {
        snorri::crypto::install();
        let management = std::env::var("SNORRI_TEST_MANAGEMENT_URL").ok()?;
        let url = Services::from_env().amqp_url;
        let (server, _) = url.rsplit_once('/').expect("a URL with a virtual host");
        let name = format!("t{}", Uuid::now_v7().simple());
        let user = format!("{USER}-{name}");
        let vhost = Self { management, server: server.to_owned(), name, user, http: reqwest::Client::new() };
        vhost.call(Method::PUT, &format!("vhosts/{}", vhost.name), &json!({})).await;
        let credentials = json!({"password": "secret", "tags": ""});
        vhost.call(Method::PUT, &format!("users/{}", vhost.user), &credentials).await;
        Some(vhost)
    }

    async fn gone(self) {
        self.call(Method::DELETE, &format!("users/{}", self.user), &json!({})).await;
        self.call(Method::DELETE, &format!("vhosts/{}", self.name), &json!({})).await;
    }

    async fn call(&self, method: Method, path: &str, body: &Value) {
        let request = self.http.request(method, format!("{}/api/{path}", self.management)).json(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    /// Runs the script with a stand-in for `rabbitmqctl`, and applies its commands by the management API.
    async fn set_rights(&self) {
        let directory = tempfile::tempdir().expect("a directory");
        let (stand_in, calls) = (directory.path().join("rabbitmqctl"), directory.path().join("calls"));
        let script = format!("#!/bin/sh\nprintf '%s\\t' \"$@\" >> {0}\necho >> {0}\n", calls.display());
        std::fs::write(&stand_in, script).expect("written");
        std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let status = tokio::process::Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/participant-rights.sh"
        ))
        .args([&self.user, QUEUE, EXCHANGE, REPLY_EXCHANGE])
        .env("RABBITMQCTL", &stand_in)
        .env("VHOST", &self.name)
        .status()
        .await
        .expect("it runs");
        assert!(status.success());
        let calls = std::fs::read_to_string(&calls).expect("calls");
        let calls: Vec<Vec<&str>> = calls.lines().map(|line| line.split('\t').collect()).collect();
        let who = format!("{}/{}", self.name, self.user);
        let [rights, topics] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(rights[..4], ["set_permissions", "-p", &self.name, &self.user]);
        let body = json!({"configure": rights[4], "write": rights[5], "read": rights[6]});
        self.call(Method::PUT, &format!("permissions/{who}"), &body).await;
        assert_eq!(topics[..5], ["set_topic_permissions", "-p", &self.name, &self.user, EXCHANGE]);
        let body = json!({"exchange": EXCHANGE, "write": topics[5], "read": topics[6]});
        self.call(Method::PUT, &format!("topic-permissions/{who}"), &body).await;
    }

    /// A connection with the participant's rights.
    async fn participant(&self) -> Connection {
        let (_, host) = self.server.rsplit_once('@').expect("a URL with a user");
        let url = format!("amqp://{}:secret@{host}/{}", self.user, self.name);
        Connection::connect(&url, ConnectionProperties::default()).await.expect("a connection")
    }
}

/// Declares a queue, binds it to its commands, and answers each with a success.
async fn take_part(channel: &Channel) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, arguments).await.expect("declared");
    for command in COMMANDS {
        let options = QueueBindOptions::default();
        let bound =
            channel.queue_bind(QUEUE.into(), EXCHANGE.into(), command.into(), options, FieldTable::default());
        bound.await.expect("bound");
    }
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await;
    let mut deliveries = consumer.expect("consuming");
    let channel = channel.clone();
    tokio::spawn(async move {
        while let Some(Ok(delivery)) = deliveries.next().await {
            let asked = &delivery.properties;
            let header = |name: &str| match asked.headers().as_ref()?.inner().get(name)? {
                AMQPValue::LongString(text) => Some(text.to_string()),
                _ => None,
            };
            let exchange = header("snorri-reply-exchange").expect("where replies go");
            let reply_to = asked.reply_to().clone().expect("a reply queue");
            let correlation = asked.correlation_id().clone().expect("a correlation id");
            let properties =
                BasicProperties::default().with_type("success".into()).with_correlation_id(correlation);
            let body = json!({"step": header("snorri-step")}).to_string();
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish(
                exchange.as_str().into(),
                reply_to,
                options,
                body.as_bytes(),
                properties,
            );
            sent.await.expect("sent");
            delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
        }
    });
}

/// Whether the broker accepts a message for its address.
async fn may_publish(connection: &Connection, exchange: &str, routing_key: &str) -> bool {
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    match channel.basic_publish(exchange.into(), routing_key.into(), options, b"{}", properties).await {
        Ok(confirm) => confirm.await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_participant_needs_no_more_than_the_script_gives() {
    let Some(vhost) = Vhost::new().await else {
        return eprintln!("skipped: SNORRI_TEST_MANAGEMENT_URL is not set");
    };
    let definitions = tempfile::tempdir().expect("a directory");
    std::fs::write(definitions.path().join("order.yaml"), definition(EXCHANGE)).expect("written");
    let database = Services::from_env().database().await;
    let amqp_url = format!("{}/{}", vhost.server, vhost.name);
    let mut plan = Plan::new(&amqp_url, &database, "snorri", definitions.path());
    plan.settings.push(("SNORRI__BROKER__REPLY_EXCHANGE", REPLY_EXCHANGE.to_owned()));
    let orchestrator = plan.start().await;
    vhost.set_rights().await;

    let connection = vhost.participant().await;
    take_part(&connection.create_channel().await.expect("a channel")).await;
    let id = orchestrator.api.start("order", &order("o-1")).await;
    let saga = orchestrator.api.wait_for(&id, &["completed"]).await;
    assert_eq!(saga["output"], json!({"shipped": "ship"}));

    for (exchange, routing_key) in
        [("", "snorri.starts"), ("", "snorri.replies"), (EXCHANGE, "shipping.book")]
    {
        assert!(!may_publish(&connection, exchange, routing_key).await, "{exchange} {routing_key}");
    }
    let channel = connection.create_channel().await.expect("a channel");
    let options = BasicConsumeOptions::default();
    let listening = channel.basic_consume("snorri.replies".into(), "".into(), options, FieldTable::default());
    assert!(listening.await.is_err(), "the replies of others are none of its business");
    connection.close(200, "".into()).await.expect("closed");
    assert_eq!(orchestrator.terminate().await, Some(0));
    vhost.gone().await;
}
