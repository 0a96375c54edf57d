//! The site of a condition: queues and a database of its own, a participant, and `snorri serve` processes.

use std::path::Path;
use std::sync::Arc;

use snorri_ports::broker::Broker;
use tempfile::TempDir;
use uuid::Uuid;

use crate::participant::Participant;
use crate::support::Services;
use crate::support::orchestrator::Plan;
use crate::support::world::connect;

/// Everything of one condition, except for its processes.
pub struct Site {
    pub amqp_url: String,
    pub database_url: String,
    pub prefix: String,
    pub exchange: String,
    pub broker: Arc<dyn Broker>,
    pub participant: Participant,
    home: TempDir,
}

impl Site {
    /// On PostgreSQL.
    pub async fn new() -> Self {
        let services = Services::from_env();
        let database_url = services.database().await;
        Self::on(&services, database_url).await
    }

    /// On SQLite, with the database in this directory.
    pub async fn sqlite(directory: &Path) -> Self {
        let database_url = format!("sqlite://{}?mode=rwc", directory.join("snorri.db").display());
        Self::on(&Services::from_env(), database_url).await
    }

    async fn on(services: &Services, database_url: String) -> Self {
        let prefix = format!("t{}", Uuid::now_v7().simple());
        let exchange = format!("{prefix}.commands");
        let broker = connect(services).await;
        let participant = Participant::start(Arc::clone(&broker), &services.amqp_url, &exchange).await;
        let home = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(home.path().join("sagas")).expect("a directory");
        let amqp_url = services.amqp_url.clone();
        let site = Self { amqp_url, database_url, prefix, exchange, broker, participant, home };
        site.define("order.yaml", &order(&site.exchange));
        site
    }

    /// Writes a file into the directory of definitions.
    pub fn define(&self, file: &str, source: &str) {
        std::fs::write(self.home.path().join("sagas").join(file), source).expect("written");
    }

    /// A plan for one more process.
    pub fn plan(&self) -> Plan {
        let definitions = self.home.path().join("sagas");
        let mut plan = Plan::new(&self.amqp_url, &self.database_url, &self.prefix, &definitions);
        plan.log_to(&self.home.path().join("log.txt"));
        plan
    }

    /// The logs of all processes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log.txt")).unwrap_or_default()
    }

    /// The name of one of Snorri's own queues.
    pub fn queue(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}

/// The order saga: reserve, charge, ship. Its timeouts are longer than the conditions, so that every compensation is one
/// without a cause.
pub fn order(exchange: &str) -> String {
    let step = |name: &str, command: &str, end: &str| {
        format!(
            "  - name: {name}\n    command: {command}\n    payload: {{ orderId: \"${{ input.orderId }}\" }}\n    {end}\n"
        )
    };
    let compensation = |command: &str| {
        format!("compensate: {{ command: {command}, payload: {{ orderId: \"${{ input.orderId }}\" }} }}")
    };
    let steps = [
        step("reserve", "inventory.reserve", &compensation("inventory.release")),
        step("charge", "payment.charge", &compensation("payment.refund")),
        step("ship", "shipping.book", "pivot: true"),
    ];
    format!(
        "saga: order
version: 1
input:
  type: object
  required: [orderId]
  properties: {{ orderId: {{ type: string }} }}
key: ${{ input.orderId }}
defaults:
  exchange: {exchange}
  timeout: 30s
  unroutable_timeout: 60s
  retry: {{ attempts: 3, backoff: 100ms }}
steps:
{}",
        steps.concat()
    )
}
