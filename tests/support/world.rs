//! One test's own world: its database, queues, definitions, participants, and an orchestrator process.

use std::sync::Arc;

use snorri_broker::amqp::{self, AmqpBroker};
use snorri_ports::broker::Broker;
use tempfile::TempDir;
use uuid::Uuid;

use super::Services;
use super::ledger::Ledger;
use super::orchestrator::{Orchestrator, Plan};
use super::participants::{Manner, Participants};

/// Commands of the order saga that the participants take.
pub const COMMANDS: [&str; 5] =
    ["inventory.reserve", "inventory.release", "payment.charge", "payment.refund", "shipping.book"];

#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    pub orchestrator: Orchestrator,
    pub broker: Arc<dyn Broker>,
    pub participants: Participants,
    pub ledger: Ledger,
    pub definitions: TempDir,
    pub exchange: String,
}

impl World {
    /// The order saga with short timeouts, and participants for all of its commands.
    pub async fn new() -> Self {
        Self::with(&COMMANDS, order).await
    }

    /// A definition made for this world's exchange, and participants for `commands` of it.
    pub async fn with(commands: &[&str], definition: fn(&str) -> String) -> Self {
        let services = Services::from_env();
        let prefix = format!("t{}", Uuid::now_v7().simple());
        let exchange = format!("{prefix}.commands");
        let definitions = tempfile::tempdir().expect("a directory");
        std::fs::write(definitions.path().join("order.yaml"), definition(&exchange)).expect("written");

        let broker = connect(&services).await;
        let ledger = Ledger::default();
        let participants =
            Participants::start(Arc::clone(&broker), &exchange, commands, ledger.clone()).await;
        let database = services.database().await;
        let plan = Plan::new(&services.amqp_url, &database, &prefix, definitions.path());
        let orchestrator = plan.start().await;
        Self { plan, orchestrator, broker, participants, ledger, definitions, exchange }
    }

    /// Sets the manner for `command`.
    pub fn take(&self, command: &str, manner: Manner) {
        self.participants.take(command, manner);
    }

    /// The effects of the steps of a saga: reserve, charge, ship.
    pub fn effects(&self, saga: &str) -> [(u32, u32); 3] {
        ["reserve", "charge", "ship"].map(|step| {
            let effect = self.ledger.effect(saga, step);
            (effect.done, effect.compensated)
        })
    }
}

pub async fn connect(services: &Services) -> Arc<dyn Broker> {
    Arc::new(
        AmqpBroker::connect(&amqp::Options::new(services.amqp_url.clone().into()))
            .await
            .expect("RabbitMQ answers"),
    )
}

/// The order saga: reserve, charge, ship.
pub fn order(exchange: &str) -> String {
    format!(
        r#"
saga: order
version: 1
input:
  type: object
  required: [orderId, amount]
  properties:
    orderId: {{ type: string }}
    amount: {{ type: integer, minimum: 1 }}
key: ${{ input.orderId }}
defaults:
  exchange: {exchange}
  timeout: 500ms
  unroutable_timeout: 500ms
  retry: {{ attempts: 2, backoff: 50ms }}
  compensation: {{ timeout: 500ms, unroutable_timeout: 500ms, retry: {{ attempts: 3, backoff: 50ms }} }}
steps:
  - name: reserve
    command: inventory.reserve
    payload: {{ orderId: "${{ input.orderId }}" }}
    compensate: {{ command: inventory.release, payload: {{ of: "${{ reserve.output.step }}" }} }}
  - name: charge
    command: payment.charge
    payload: {{ amount: "${{ input.amount }}" }}
    compensate: {{ command: payment.refund, payload: {{ of: "${{ charge.output.step }}" }} }}
  - name: ship
    command: shipping.book
    pivot: true
output: {{ shipped: "${{ ship.output.step }}" }}
"#
    )
}
