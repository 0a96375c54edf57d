//! A broker to test, with queues of its own that are gone when the test is over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use secrecy::SecretString;
use snorri_broker::amqp::{self, AmqpBroker};
use snorri_broker::local::{self, LocalBroker};
use snorri_ports::broker::{
    Broker, Delivery, Handler, Properties, Publication, Published, QueueDeclaration, Topology, Verdict,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

/// Short, for tests; so is the delivery limit.
const REQUEUE_DELAY: Duration = Duration::from_millis(20);
pub(crate) const DELIVERY_LIMIT: u32 = 20;
/// Long enough for a machine that compiles meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Local,
    Amqp,
}

pub(crate) struct Bed {
    pub(crate) broker: Arc<dyn Broker>,
    prefix: String,
    kind: Kind,
    queues: Mutex<Vec<String>>,
}

impl Bed {
    pub(crate) async fn new(kind: Kind) -> Self {
        let prefix = format!("test-{}", Uuid::now_v7().simple());
        let broker: Arc<dyn Broker> = match kind {
            Kind::Local => Arc::new(LocalBroker::new(local::Options {
                delivery_limit: DELIVERY_LIMIT,
                requeue_delay: REQUEUE_DELAY,
            })),
            Kind::Amqp => Arc::new(AmqpBroker::connect(&options(&prefix)).await.expect("a connection")),
        };
        Self { broker, prefix, kind, queues: Mutex::default() }
    }

    /// A name that is this test's own.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Declares a queue that is bound to the test's exchange with these keys, and its dead letters.
    pub(crate) async fn queue(&self, name: &str, keys: &[&str]) -> String {
        let topology = self.topology(name, keys);
        self.broker.declare(&topology).await.expect("declared");
        self.own(&[name, "dead"]).remove(0)
    }

    pub(crate) fn topology(&self, name: &str, keys: &[&str]) -> Topology {
        let exchange = self.name("exchange");
        let bindings = keys.iter().map(|key| (exchange.clone(), (*key).to_owned())).collect();
        let queue =
            QueueDeclaration { name: self.name(name), bindings, dead_letters: Some(self.name("dead")) };
        Topology { exchanges: vec![exchange], queues: vec![queue] }
    }

    /// Names of queues that are deleted at the end.
    pub(crate) fn own(&self, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        self.queues.lock().expect("a lock").extend(names.iter().cloned());
        names
    }

    pub(crate) fn to_exchange(&self, key: &str, id: impl std::fmt::Display) -> Publication {
        Publication { exchange: self.name("exchange"), ..message(key, id) }
    }

    pub(crate) async fn publish_all(&self, batch: Vec<Publication>) {
        let published = self.broker.publish(batch).await;
        assert!(published.iter().all(|p| *p == Published::Confirmed), "{published:?}");
    }

    pub(crate) fn consume(&self, queue: &str, prefetch: u16, handler: Handler) -> Consuming {
        let (broker, queue, stop) = (self.broker.clone(), queue.to_owned(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { broker.consume(&queue, prefetch, handler, stopped).await });
        Consuming { stop, task }
    }

    pub(crate) async fn await_depth(&self, queue: &str, depth: u64) {
        eventually(&format!("{depth} messages in the queue"), async || {
            self.broker.depth(queue).await.ok() == Some(depth)
        })
        .await;
    }

    pub(crate) async fn finish(self) {
        self.broker.close().await;
        if self.kind == Kind::Amqp {
            let channel = admin().await;
            let mut queues = self.queues.into_inner().expect("a lock");
            queues.extend(["probe", "probation", "parked"].map(|name| format!("{}.{name}", self.prefix)));
            for queue in queues {
                channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
            }
            for exchange in ["exchange", "probation"] {
                let (exchange, options) =
                    (format!("{}.{exchange}", self.prefix), ExchangeDeleteOptions::default());
                channel.exchange_delete(exchange.into(), options).await.expect("deleted");
            }
        }
    }
}

pub(crate) struct Consuming {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Consuming {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").expect("no panic");
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.task.is_finished()
    }
}

pub(crate) fn options(prefix: &str) -> amqp::Options {
    amqp::Options {
        prefix: prefix.to_owned(),
        probe_queue: format!("{prefix}.probe"),
        delivery_limit: DELIVERY_LIMIT,
        requeue_delay: REQUEUE_DELAY,
        reconnect_delay_max: Duration::from_millis(300),
        ..amqp::Options::new(SecretString::from(url()))
    }
}

pub(crate) fn url() -> String {
    std::env::var("SNORRI_TEST_AMQP_URL")
        .expect("SNORRI_TEST_AMQP_URL is not set: run `make test`, which starts a RabbitMQ for the tests")
}

/// A channel to do what an operator does.
pub(crate) async fn admin() -> lapin::Channel {
    let url = url();
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    connection.await.expect("a connection").create_channel().await.expect("a channel")
}

pub(crate) fn message(queue: &str, id: impl std::fmt::Display) -> Publication {
    let properties = Properties { message_id: Some(id.to_string()), ..Properties::default() };
    let (routing_key, body) = (queue.to_owned(), b"{}".to_vec());
    Publication { exchange: String::new(), routing_key, properties, body }
}

pub(crate) fn id(delivery: &Delivery) -> String {
    delivery.properties.message_id.clone().expect("an id")
}

pub(crate) fn handler<F>(handle: impl Fn(Delivery) -> F + Clone + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Result<Verdict, tower::BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(handle))
}

/// Keeps what it gets, and acknowledges it.
pub(crate) fn keeper() -> (Arc<Mutex<Vec<Delivery>>>, Handler) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let handler = handler(move |delivery| {
        keep.lock().expect("a lock").push(delivery);
        async { Ok(Verdict::Ack) }
    });
    (kept, handler)
}

pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for: {what}");
}

/// Whether the broker was started for these tests, so that they may disturb it.
pub(crate) fn is_ours() -> bool {
    let is_ours = std::env::var_os("SNORRI_TEST_SERVICES_DIR").is_some();
    if !is_ours {
        eprintln!("not disturbed: the broker at SNORRI_TEST_AMQP_URL is not ours");
    }
    is_ours
}

/// Disturbs the broker.
pub(crate) async fn service(action: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services.sh");
    let status = tokio::process::Command::new(script).args([action, "broker"]).status().await;
    assert!(status.expect("the script").success(), "{action}");
}
