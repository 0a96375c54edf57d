//! The embedded default: broker, SQLite, orchestrator, participant and load in one process; or the floor in
//! Snorri's place.
//!
//! The roles are the same functions as on RabbitMQ, here as handlers of the `Broker` port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use snorri::app::Orchestrator;
use snorri::config;
use snorri::http::Readiness;
use snorri::startup::Startup;
use snorri_broker::local::{self, LocalBroker};
use snorri_ports::broker::{Broker, Delivery, Publication, Published, QueueDeclaration, Topology, Verdict};
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::load::{self, Orders};
use crate::wire::{COMMANDS, EXCHANGE, Incoming, Names};
use crate::{floor, participant};

const PARTICIPANT_QUEUE: &str = "participant";
const PREFETCH: u16 = 2_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub load: load::Plan,
    /// `None`: the floor.
    pub definitions: Option<PathBuf>,
}

pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("snorri-bench-").tempdir()?;
    let names = Names::new(&plan.load.prefix);
    let orchestrator = match &plan.definitions {
        Some(definitions) => Some(start(&plan.load.prefix, definitions, home.path()).await?),
        None => None,
    };
    let broker: Arc<dyn Broker> = match &orchestrator {
        Some(orchestrator) => orchestrator.broker(),
        None => Arc::new(LocalBroker::new(local::Options::default())),
    };
    broker.declare(&topology(&names, orchestrator.is_none())).await?;

    let stop = CancellationToken::new();
    let consume = |queue: &str, answer: Answer| consume(&broker, queue, answer, &stop);
    consume(PARTICIPANT_QUEUE, Arc::new(|command| participant::answer(&command).map(Some)));
    if orchestrator.is_none() {
        let (to_starts, to_replies) = (names.replies.clone(), names.replies.clone());
        consume(&names.starts, Arc::new(move |start| floor::first_command(&start, &to_starts).map(Some)));
        consume(&names.replies, Arc::new(move |reply| floor::follow_up(&reply, &to_replies).map(Some)));
    }
    let orders = Orders::new(&plan.load);
    let listening = orders.clone();
    consume(&names.answers, Arc::new(move |outcome| Ok(listening.lock().outcome(&outcome))));
    let first = orders.lock().first();
    publish(&*broker, first).await?;
    orders.measure(&plan.load).await?;
    stop.cancel();
    if let Some(orchestrator) = orchestrator {
        orchestrator.shut_down().await;
    }
    Ok(())
}

async fn start(prefix: &str, definitions: &Path, home: &Path) -> anyhow::Result<Orchestrator> {
    let file = format!("sqlite://{}?mode=rwc", home.join("snorri.db").display());
    let config = config::load(
        None,
        vec![
            ("broker.url", "local".to_owned()),
            ("broker.prefix", prefix.to_owned()),
            ("database.url", file),
            ("definitions.directory", definitions.display().to_string()),
        ],
    )?;
    let startup = Startup::begin(config.startup.wait_for, Readiness::default());
    Orchestrator::start(&config, &startup).await
}

fn topology(names: &Names, with_orchestrators: bool) -> Topology {
    let queue =
        |name: &str| QueueDeclaration { name: name.to_owned(), bindings: Vec::new(), dead_letters: None };
    let commands = COMMANDS.iter().map(|command| (EXCHANGE.to_owned(), (*command).to_owned()));
    let participant = QueueDeclaration { bindings: commands.collect(), ..queue(PARTICIPANT_QUEUE) };
    let mut queues = vec![queue(&names.answers), participant];
    if with_orchestrators {
        queues.extend([queue(&names.starts), queue(&names.replies)]);
    }
    Topology { exchanges: vec![EXCHANGE.to_owned()], queues }
}

/// The answer of a role to a message.
type Answer = Arc<dyn Fn(Incoming<'_>) -> anyhow::Result<Option<Publication>> + Send + Sync>;

/// Gives each delivery of a queue to `answer`, and acknowledges it when the result is published.
fn consume(broker: &Arc<dyn Broker>, queue: &str, answer: Answer, stop: &CancellationToken) {
    let (consuming, publishing) = (Arc::clone(broker), Arc::clone(broker));
    let handler = tower::service_fn(move |delivery: Delivery| {
        let (broker, answer) = (Arc::clone(&publishing), Arc::clone(&answer));
        async move {
            let answer = answer(Incoming::from(&delivery))?;
            publish(&*broker, answer).await?;
            Ok::<_, tower::BoxError>(Verdict::Ack)
        }
    });
    let (queue, stop) = (queue.to_owned(), stop.clone());
    tokio::spawn(async move {
        consuming.consume(&queue, PREFETCH, BoxCloneSyncService::new(handler), stop).await;
    });
}

async fn publish(broker: &dyn Broker, messages: impl IntoIterator<Item = Publication>) -> anyhow::Result<()> {
    let messages: Vec<_> = messages.into_iter().collect();
    if messages.is_empty() {
        return Ok(());
    }
    let published = broker.publish(messages).await;
    published
        .iter()
        .all(|published| *published == Published::Confirmed)
        .then_some(())
        .context("not confirmed")
}
