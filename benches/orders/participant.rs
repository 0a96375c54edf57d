//! The participant: inventory, payment and shipping in one process, as trivial as the wire contract allows.
//!
//! It has no state and does not wait, because it shares the machine with the measured processes.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use snorri_ports::broker::Publication;

use crate::amqp::{self, Pump};
use crate::process;
use crate::wire::{COMMANDS, EXCHANGE, Incoming, REFUSED_MARK, to_queue};

/// Enough for the largest load, of which each order has one command in flight.
const PREFETCH: u16 = 2_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub amqp_url: String,
    pub queue: String,
}

pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let connection = amqp::connect(&plan.amqp_url).await?;
    amqp::declare_exchange(&connection, EXCHANGE).await?;
    amqp::declare_queue(&connection, &plan.queue, None).await?;
    amqp::bind(&connection, &plan.queue, EXCHANGE, &COMMANDS).await?;
    let pump = Pump::open(&connection, &connection, &plan.queue, PREFETCH).await?;
    process::send(&process::Event::Ready);
    pump.run(Vec::new(), |command| answer(&command).map(Some)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    #[serde(borrow)]
    order_id: &'a str,
}

/// Executes a command, and replies.
pub fn answer(command: &Incoming<'_>) -> anyhow::Result<Publication> {
    let Order { order_id } = serde_json::from_slice(command.body).context("a command with an orderId")?;
    let (kind, body) = match command.routing_key {
        "inventory.reserve" => ("success", format!(r#"{{"reservationId":"R-{order_id}"}}"#)),
        "payment.charge" => ("success", format!(r#"{{"paymentId":"P-{order_id}"}}"#)),
        "shipping.book" if order_id.starts_with(REFUSED_MARK) => {
            ("failure", r#"{"code":"no_carrier","message":"no carrier drives there"}"#.to_owned())
        }
        "shipping.book" => ("success", format!(r#"{{"trackingId":"T-{order_id}"}}"#)),
        "inventory.release" | "payment.refund" => ("success", "{}".to_owned()),
        other => bail!("`{other}` is not a command of the order saga"),
    };
    Ok(to_queue(command.reply_to, kind, command.correlation_id, body.into_bytes()))
}
