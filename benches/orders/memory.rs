//! Memory: 100,000 sagas that all wait for a reply that never arrives, and the memory of the orchestrator.

use std::time::Duration;

use anyhow::{Context, ensure};
use sea_orm::Database;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::amqp;
use crate::measure::memory_mib;
use crate::services::{Services, count};
use crate::versus::Stage;
use crate::wire::{EXCHANGE, Names, to_queue};

const SAGAS: u64 = 100_000;
/// The memory limit of an idle orchestrator.
pub const LIMIT_MIB: f64 = 150.0;
/// How long starting all of them may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The rest before the measurement.
const REST: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Memory {
    pub sagas: u64,
    /// Before the first saga.
    pub empty_mib: f64,
    /// With all of them waiting.
    pub idle_mib: f64,
    pub peak_mib: f64,
    /// From the first start to the last command confirmed and its row gone.
    pub seconds: f64,
}

impl Memory {
    pub fn is_within_limit(&self) -> bool {
        self.idle_mib < LIMIT_MIB
    }
}

pub async fn run(stage: &Stage<'_>, services: &Services) -> anyhow::Result<Memory> {
    let definitions = patient_definitions(stage, services)?;

    // The queue exists, so that the commands arrive, but has no consumer.
    let connection = amqp::connect(&services.amqp_url).await?;
    amqp::declare_exchange(&connection, &services.idle_queue()).await?;
    amqp::declare_queue(&connection, &services.idle_queue(), None).await?;
    amqp::bind(&connection, &services.idle_queue(), &services.idle_queue(), &["#"]).await?;

    let prefix = format!("snorri-bench-{}", uuid::Uuid::now_v7().simple());
    let names = Names::new(&prefix);
    let snorri = stage.snorri(services, &prefix, definitions.path(), &[]).await?;
    let empty_mib = memory_mib(snorri.id(), "VmRSS")?;
    let began = Instant::now();
    let start = |number| {
        let body = format!(r#"{{"orderId":"idle-{number}","amount":100}}"#);
        to_queue(&names.starts, "order", "", body.into_bytes())
    };
    amqp::publish_all(&connection, (0..SAGAS).map(start)).await?;
    wait_until_settled(&stage.database_url).await?;
    let seconds = began.elapsed().as_secs_f64();
    sleep(REST).await;
    let (idle_mib, peak_mib) = (memory_mib(snorri.id(), "VmRSS")?, memory_mib(snorri.id(), "VmHWM")?);
    snorri.terminate().await?;
    amqp::delete_queues(&connection, &names.working()).await?;
    amqp::delete_queues(&connection, &[&names.dead_letters]).await?;
    for process in services.forget_processes(&stage.database_url).await? {
        amqp::delete_queues(&connection, &[&names.replies_of(process)]).await?;
    }
    amqp::delete_exchange(&connection, &names.lifecycle).await?;
    connection.close(200, "OK".into()).await?;
    Ok(Memory { sagas: SAGAS, empty_mib, idle_mib, peak_mib, seconds })
}

/// A directory with only the order saga without a participant: its commands go to [`Services::idle_queue`].
pub fn patient_definitions(stage: &Stage<'_>, services: &Services) -> anyhow::Result<TempDir> {
    let definitions = tempfile::Builder::new().prefix("snorri-bench-").tempdir()?;
    let order = std::fs::read_to_string(stage.definitions.join("order.yaml"))?;
    let patient = patient(&order, &services.idle_queue())?;
    std::fs::write(definitions.path().join("order.yaml"), patient)?;
    Ok(definitions)
}

/// The order saga with a very long timeout, and another exchange.
fn patient(order: &str, exchange: &str) -> anyhow::Result<String> {
    let changes = [
        ("\ntimeout: 1h\n", "\ntimeout: 24h\n".to_owned()),
        ("\n  timeout: 10s\n", "\n  timeout: 1h\n".to_owned()),
        (&format!("\n  exchange: {EXCHANGE}\n"), format!("\n  exchange: {exchange}\n")),
    ];
    changes.into_iter().try_fold(order.to_owned(), |text, (from, to)| {
        ensure!(text.contains(from), "order.yaml has no line `{}` any more", from.trim());
        Ok(text.replace(from, &to))
    })
}

/// Waits until every saga is committed and every command is confirmed.
async fn wait_until_settled(database_url: &str) -> anyhow::Result<()> {
    let database = Database::connect(database_url).await?;
    let began = Instant::now();
    loop {
        let (sagas, unsent) = (count(&database, "saga").await?, count(&database, "outbox").await?);
        if sagas >= SAGAS && unsent == 0 {
            return database.close().await.context("closing the database");
        }
        ensure!(began.elapsed() < PATIENCE, "{sagas} sagas, {unsent} messages unsent after {PATIENCE:?}");
        sleep(Duration::from_millis(100)).await;
    }
}
