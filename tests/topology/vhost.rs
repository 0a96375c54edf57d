//! A virtual host of a real RabbitMQ, with the declarations of a test. It is deleted at the end, and kept for inspection if the
//! test fails.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Vhost {
    /// The URL of the management API.
    pub api: String,
    name: String,
    amqp: String,
    http: reqwest::Client,
    /// Keeps the consumers: a dropped channel closes them.
    consuming: Mutex<Vec<(Connection, Vec<Consumer>)>>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Vhost {
    /// `None`: there is no management API.
    pub async fn new() -> Option<Self> {
        snorri::crypto::install();
        let api = std::env::var("SNORRI_TEST_MANAGEMENT_URL").ok()?;
        let server = std::env::var("SNORRI_TEST_AMQP_URL").ok()?;
        let name = format!("t{}", Uuid::now_v7().simple());
        let (server, _) = server.rsplit_once('/').expect("a URL with a virtual host");
        let amqp = format!("{server}/{name}");
        let vhost = Self { api, name, amqp, http: reqwest::Client::new(), consuming: Mutex::default() };
        vhost.call(Method::PUT, &format!("vhosts/{}", vhost.name), &json!({})).await;
        Some(vhost)
    }

    pub async fn gone(self) {
        for (connection, _) in self.consuming.lock().await.drain(..) {
            connection.close(200, "".into()).await.expect("closed");
        }
        self.call(Method::DELETE, &format!("vhosts/{}", self.name), &json!({})).await;
    }

    /// The URL of the broker with this virtual host.
    pub fn amqp(&self) -> &str {
        &self.amqp
    }

    /// Creates a user with only these rights, and returns the URL of the broker for it. [`Vhost::without_user`] deletes it.
    pub async fn user(&self, configure: &str, write: &str, read: &str) -> String {
        let body = json!({"password": "secret", "tags": ""});
        self.call(Method::PUT, &format!("users/{}", self.name), &body).await;
        let rights = json!({"configure": configure, "write": write, "read": read});
        self.call(Method::PUT, &format!("permissions/{0}/{0}", self.name), &rights).await;
        let (_, host) = self.amqp.rsplit_once('@').expect("a URL with a user");
        format!("amqp://{}:secret@{host}", self.name)
    }

    pub async fn without_user(&self) {
        self.call(Method::DELETE, &format!("users/{}", self.name), &json!({})).await;
    }

    pub async fn delete_exchange(&self, name: &str) {
        self.call(Method::DELETE, &format!("exchanges/{}/{name}", self.name), &json!({})).await;
    }

    /// Lists `queues` or `exchanges`.
    pub async fn list(&self, what: &str) -> Vec<Value> {
        let listed = self.call(Method::GET, &format!("{what}/{}", self.name), &Value::Null).await;
        serde_json::from_str(&listed).expect("a list")
    }

    pub async fn exchange(&self, name: &str, kind: &str, arguments: &Value) {
        let body = json!({"type": kind, "durable": true, "arguments": arguments});
        self.exchange_with(name, &body).await;
    }

    /// Declares an exchange with any properties.
    pub async fn exchange_with(&self, name: &str, body: &Value) {
        self.call(Method::PUT, &format!("exchanges/{}/{name}", self.name), body).await;
    }

    pub async fn queue(&self, name: &str, arguments: &Value) {
        let body = json!({"durable": true, "arguments": arguments});
        self.call(Method::PUT, &format!("queues/{}/{name}", self.name), &body).await;
    }

    /// Binds `to`, which is `q/queue` or `e/exchange`.
    pub async fn bind(&self, exchange: &str, to: &str, key: &str) {
        let path = format!("bindings/{}/e/{exchange}/{to}", self.name);
        self.call(Method::POST, &path, &json!({"routing_key": key})).await;
    }

    /// Sets the policy of the queue `all`.
    pub async fn policy(&self, definition: &Value) {
        let body = json!({"pattern": "^all$", "apply-to": "queues", "definition": definition});
        self.call(Method::PUT, &format!("policies/{}/all", self.name), &body).await;
    }

    /// Declares the topology of the order saga, without consumers.
    pub async fn all_right(&self) {
        self.exchange("shop.commands", "topic", &json!({})).await;
        self.exchange("shop.dead", "topic", &json!({})).await;
        self.queue("dead", &json!({})).await;
        self.bind("shop.dead", "q/dead", "#").await;
        for queue in ["inventory", "shipping"] {
            let limited = json!({"x-queue-type": "quorum", "x-delivery-limit": 5, "x-dead-letter-exchange": "shop.dead"});
            self.queue(queue, &limited).await;
            self.bind("shop.commands", &format!("q/{queue}"), &format!("{queue}.*")).await;
        }
    }

    /// Starts a consumer for each of these queues.
    pub async fn consume(&self, queues: &[&str]) {
        let connection =
            Connection::connect(&self.amqp, ConnectionProperties::default()).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        let mut consumers = Vec::new();
        for queue in queues {
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume((*queue).into(), "".into(), options, arguments).await;
            consumers.push(consumer.expect("a consumer"));
        }
        self.consuming.lock().await.push((connection, consumers));
        let began = tokio::time::Instant::now();
        while self.consumers().await < queues.len() {
            assert!(began.elapsed() < PATIENCE, "the consumers are not listed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn consumers(&self) -> usize {
        let listed = self.call(Method::GET, &format!("consumers/{}", self.name), &Value::Null).await;
        serde_json::from_str::<Vec<Value>>(&listed).expect("a list").len()
    }

    /// Runs `snorri check --topology` on this definition.
    pub async fn check(&self, definition: &str) -> Output {
        self.check_with(definition, &[]).await
    }

    pub async fn check_with(&self, definition: &str, environment: &[(&str, &str)]) -> Output {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("order.yaml"), definition).expect("written");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_snorri"));
        command.args(["check", "--topology", "order.yaml"]).current_dir(directory.path());
        command.env("SNORRI__BROKER__URL", &self.amqp).env("SNORRI_MANAGEMENT_URL", &self.api);
        let output = command.envs(environment.iter().copied()).output().await.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Output {
            code: output.status.code().expect("an exit code"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The text without the host, which varies.
    pub fn hidden(&self, text: &str) -> String {
        let (_, host) = self.api.rsplit_once('@').expect("a URL with a user");
        text.replace(host, "HOST")
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> String {
        let request = self.http.request(method, format!("{}/api/{path}", self.api)).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a text");
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }
}
