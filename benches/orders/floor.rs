//! The floor: an orchestrator without memory, and so the upper bound for any orchestrator of these messages.
//!
//! It consumes and sends what Snorri does for the order saga: the same queues, exchange, routing keys, properties, headers and
//! bodies, mandatory, persistent and confirmed, and it acknowledges a message only when what follows is confirmed. Its state
//! travels in the correlation id, which the participant echoes. It journals nothing, times nothing out and cannot survive a
//! crash: the cost of Snorri beyond it is the price of that.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use snorri_core::SagaId;
use snorri_ports::broker::{HeaderValue, Properties, Publication};
use snorri_ports::clock::{Clock, SystemClock};
use snorri_wire::header;
use uuid::Uuid;

use crate::amqp::{self, Pump};
use crate::process::{self, Event};
use crate::wire::{CONTENT_TYPE, EXCHANGE, Incoming, Names};

/// As Snorri's default.
pub const PREFETCH: u16 = 2_000;
const DEFINITION: &str = "order";
const APP_ID: &str = "snorri";
/// The step timeout of the definition, for the header with the deadline and for the expiration, in milliseconds.
const TIMEOUT_MS: u32 = 10_000;
/// Between the fields of a correlation id. No field has it.
const SEPARATOR: char = '|';

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub amqp_url: String,
    pub prefix: String,
}

/// Separate connections for publishing and consuming, and a channel for each queue on either, as in Snorri.
pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let (consuming, publishing) =
        (amqp::connect(&plan.amqp_url).await?, amqp::connect(&plan.amqp_url).await?);
    let names = Names::new(&plan.prefix);
    amqp::declare_exchange(&consuming, EXCHANGE).await?;
    amqp::declare_queue(&consuming, &names.dead_letters, None).await?;
    for queue in [&names.starts, &names.replies] {
        amqp::declare_queue(&consuming, queue, Some(&names.dead_letters)).await?;
    }
    let starts = Pump::open(&consuming, &publishing, &names.starts, PREFETCH).await?;
    let replies = Pump::open(&consuming, &publishing, &names.replies, PREFETCH).await?;
    process::send(&Event::Ready);
    let queue = &names.replies;
    tokio::try_join!(
        starts.run(Vec::new(), |start| first_command(&start, queue).map(Some)),
        replies.run(Vec::new(), |reply| follow_up(&reply, queue).map(Some)),
    )?;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Reserve,
    Charge,
    Ship,
    Refund,
    Release,
}

use Command::{Charge, Refund, Release, Reserve, Ship};

impl Command {
    /// Routing key, step and direction.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reserve => ("inventory.reserve", "reserve", "forward"),
            Charge => ("payment.charge", "charge", "forward"),
            Ship => ("shipping.book", "ship", "forward"),
            Refund => ("payment.refund", "charge", "compensate"),
            Release => ("inventory.release", "reserve", "compensate"),
        }
    }
}

/// The state of a saga.
#[derive(Debug, Clone, Copy, Default)]
struct Known<'a> {
    order_id: &'a str,
    amount: &'a str,
    reservation_id: &'a str,
    payment_id: &'a str,
    problem_code: &'a str,
    problem_message: &'a str,
    answer_queue: &'a str,
    answer_correlation_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    #[serde(borrow)]
    order_id: &'a str,
    amount: u64,
}

/// The body of any reply of the participant.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reply<'a> {
    #[serde(borrow)]
    reservation_id: &'a str,
    payment_id: &'a str,
    tracking_id: &'a str,
    code: &'a str,
    message: &'a str,
}

/// The command that follows a start. Replies go to `reply_queue`.
pub fn first_command(start: &Incoming<'_>, reply_queue: &str) -> anyhow::Result<Publication> {
    let Input { order_id, amount } = serde_json::from_slice(start.body).context("an order")?;
    let amount = amount.to_string();
    let known = Known {
        order_id,
        amount: &amount,
        answer_queue: start.reply_to,
        answer_correlation_id: start.correlation_id,
        ..Known::default()
    };
    Ok(command(Reserve, &known, reply_queue))
}

/// The message that follows a reply: the next command, the compensation of what was done, or the outcome.
pub fn follow_up(reply: &Incoming<'_>, reply_queue: &str) -> anyhow::Result<Publication> {
    let (replied, known) = parse_token(reply.correlation_id).context("a correlation id of ours")?;
    let body: Reply<'_> = serde_json::from_slice(reply.body).context("a reply")?;
    let next = |next, known| Ok(command(next, &known, reply_queue));
    match (replied, reply.kind) {
        (Reserve, "success") => next(Charge, Known { reservation_id: body.reservation_id, ..known }),
        (Charge, "success") => next(Ship, Known { payment_id: body.payment_id, ..known }),
        (Ship, "success") => Ok(outcome("completed", &known, body.tracking_id)),
        (Ship, "failure") => {
            next(Refund, Known { problem_code: body.code, problem_message: body.message, ..known })
        }
        (Refund, "success") => next(Release, known),
        (Release, "success") => Ok(outcome("compensated", &known, "")),
        (command, kind) => bail!("the participant answers {kind} to {command:?}"),
    }
}

fn token(command: Command, known: &Known<'_>) -> String {
    let letter = match command {
        Reserve => "r",
        Charge => "c",
        Ship => "s",
        Refund => "C",
        Release => "R",
    };
    let fields = [
        letter,
        known.order_id,
        known.amount,
        known.reservation_id,
        known.payment_id,
        known.problem_code,
        known.problem_message,
        known.answer_queue,
        known.answer_correlation_id,
    ];
    let mut token = String::with_capacity(128);
    for field in fields {
        token.push_str(field);
        token.push(SEPARATOR);
    }
    token
}

fn parse_token(token: &str) -> Option<(Command, Known<'_>)> {
    let mut fields = token.split(SEPARATOR);
    let command = match fields.next()? {
        "r" => Reserve,
        "c" => Charge,
        "s" => Ship,
        "C" => Refund,
        "R" => Release,
        _ => return None,
    };
    let known = Known {
        order_id: fields.next()?,
        amount: fields.next()?,
        reservation_id: fields.next()?,
        payment_id: fields.next()?,
        problem_code: fields.next()?,
        problem_message: fields.next()?,
        answer_queue: fields.next()?,
        answer_correlation_id: fields.next()?,
    };
    Some((command, known))
}

fn command(command: Command, known: &Known<'_>, reply_queue: &str) -> Publication {
    let (name, step, direction) = command.names();
    let saga = SagaId::of_key(DEFINITION, known.order_id).0;
    let message_id = Uuid::new_v5(&saga, format!("{step}/{direction}").as_bytes());
    let now = SystemClock.now().0;
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let trace = format!("00-{}-{}-01", saga.simple(), &message_id.simple().to_string()[..16]);
    let headers = BTreeMap::from([
        (header::SAGA.to_owned(), HeaderValue::Text(saga.to_string())),
        (header::DEFINITION.to_owned(), text(DEFINITION)),
        (header::STEP.to_owned(), text(step)),
        (header::DIRECTION.to_owned(), text(direction)),
        (header::ATTEMPT.to_owned(), HeaderValue::Integer(1)),
        (header::DEADLINE.to_owned(), HeaderValue::Integer(now + i64::from(TIMEOUT_MS))),
        (header::TRACEPARENT.to_owned(), HeaderValue::Text(trace)),
    ]);
    Publication {
        exchange: EXCHANGE.to_owned(),
        routing_key: name.to_owned(),
        properties: Properties {
            kind: Some(name.to_owned()),
            message_id: Some(message_id.to_string()),
            correlation_id: Some(token(command, known)),
            reply_to: Some(reply_queue.to_owned()),
            content_type: Some(CONTENT_TYPE.to_owned()),
            content_encoding: None,
            app_id: Some(APP_ID.to_owned()),
            timestamp: u64::try_from(now / 1_000).ok(),
            expiration: (direction == "forward").then_some(Duration::from_millis(TIMEOUT_MS.into())),
            headers,
        },
        body: payload(command, known).into_bytes(),
    }
}

fn payload(command: Command, known: &Known<'_>) -> String {
    let Known { order_id, amount, reservation_id, payment_id, .. } = known;
    match command {
        Reserve => format!(r#"{{"orderId":"{order_id}"}}"#),
        Charge => format!(r#"{{"amount":{amount},"orderId":"{order_id}"}}"#),
        Refund => format!(r#"{{"amount":{amount},"orderId":"{order_id}","paymentId":"{payment_id}"}}"#),
        Ship | Release => format!(r#"{{"orderId":"{order_id}","reservationId":"{reservation_id}"}}"#),
    }
}

fn outcome(status: &str, known: &Known<'_>, tracking_id: &str) -> Publication {
    let saga = SagaId::of_key(DEFINITION, known.order_id).0;
    let is_done = status == "completed";
    let problem = json!({"code": known.problem_code, "message": known.problem_message});
    let body = json!({
        "saga": saga,
        "definition": DEFINITION,
        "version": 1,
        "key": known.order_id,
        "status": status,
        "output": is_done.then(|| json!({"trackingId": tracking_id})),
        "problem": (!is_done).then_some(problem),
    });
    Publication {
        exchange: String::new(),
        routing_key: known.answer_queue.to_owned(),
        properties: Properties {
            kind: Some(status.to_owned()),
            message_id: Some(Uuid::new_v5(&saga, b"outcome").to_string()),
            correlation_id: Some(known.answer_correlation_id.to_owned()),
            reply_to: None,
            content_type: Some(CONTENT_TYPE.to_owned()),
            content_encoding: None,
            app_id: Some(APP_ID.to_owned()),
            timestamp: u64::try_from(SystemClock.now().0 / 1_000).ok(),
            expiration: None,
            headers: BTreeMap::from([
                (header::SAGA.to_owned(), HeaderValue::Text(saga.to_string())),
                (header::DEFINITION.to_owned(), HeaderValue::Text(DEFINITION.to_owned())),
            ]),
        },
        body: body.to_string().into_bytes(),
    }
}
