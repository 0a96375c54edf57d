//! The identity of messages and journal entries, for observers.

use snorri_core::input::Attempt;
use snorri_core::journal::Fact;
use snorri_core::{Direction, SagaId, Time};
use snorri_ports::broker::{Delivery, HeaderValue, Properties, Publication};
use snorri_ports::store::DeadLetter;

/// The identity of a command on the wire.
pub struct OnTheWire {
    pub saga: SagaId,
    pub attempt: Attempt,
    pub deadline: Time,
}

/// A fact in short, without the parts that depend on the wall clock.
pub fn format_fact(fact: &Fact) -> String {
    match fact {
        Fact::Sent { step, direction, attempt, .. } => format!("sent {direction} {step} {attempt}"),
        Fact::Completed { step, .. } => format!("completed {step}"),
        Fact::Compensated { step } => format!("compensated {step}"),
        Fact::Ended { status, .. } => format!("ended {}", status.as_str()),
        other => {
            let debug = format!("{other:?}");
            debug.chars().take(90).collect()
        }
    }
}

/// The deposit that an event is about.
pub fn deposit_of(delivery: &Delivery) -> SagaId {
    let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
    SagaId::of_key("deposit", body["id"].as_str().unwrap_or_default())
}

/// The message of a dead letter, as far as it identifies itself.
pub fn delivery_of(letter: &DeadLetter) -> Delivery {
    let text = |name: &str| letter.properties[name].as_str().map(str::to_owned);
    let headers = letter.properties["headers"].as_object().into_iter().flatten();
    let header = |(name, value): (&String, &serde_json::Value)| {
        Some((name.clone(), HeaderValue::Text(value.as_str()?.to_owned())))
    };
    let properties = Properties {
        kind: text("type"),
        message_id: text("message_id"),
        correlation_id: text("correlation_id"),
        headers: headers.filter_map(header).collect(),
        ..Properties::default()
    };
    Delivery { properties, body: letter.body.clone(), ..Delivery::default() }
}

/// Names a message: the same name each time that it is sent.
pub fn key_of(publication: &Publication) -> String {
    let Publication { exchange, routing_key, properties, .. } = publication;
    let attempt = properties.headers.get("snorri-attempt");
    let id = properties.message_id.as_deref().unwrap_or_default();
    let attempt = match attempt {
        Some(HeaderValue::Integer(attempt)) => *attempt,
        _ => 0,
    };
    format!("{exchange} {routing_key} {id} {attempt}")
}

pub fn on_the_wire(publication: &Publication) -> Option<OnTheWire> {
    let headers = &publication.properties.headers;
    let text = |name: &str| match headers.get(name) {
        Some(HeaderValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let number = |name: &str| match headers.get(name) {
        Some(HeaderValue::Integer(number)) => Some(*number),
        _ => None,
    };
    let direction = match text("snorri-direction")? {
        "forward" => Direction::Forward,
        _ => Direction::Compensate,
    };
    let attempt = Attempt {
        step: text("snorri-step")?.parse().ok()?,
        direction,
        number: u32::try_from(number("snorri-attempt")?).ok()?,
    };
    Some(OnTheWire {
        saga: text("snorri-saga")?.parse().ok()?,
        attempt,
        deadline: Time(number("snorri-deadline")?),
    })
}
