//! Dead letters and the messages that they are made of.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::{MAX_PAYLOAD_BYTES, SagaId, Time};
use snorri_ports::broker::{Cut, Delivery, HeaderValue, Properties, Publication};
use snorri_ports::store::{BufferedEvent, DeadLetter};
use snorri_wire::envelope::{self, Keyring, Wire};
use snorri_wire::header;

/// The broker's reason for a message that it has dead-lettered automatically.
const BROKERS_REASON: &str = "x-first-death-reason";
const BROKERS_QUEUE: &str = "x-first-death-queue";

/// The headers with the exchange and routing key that a message was published to.
const ORIGIN: [&str; 3] = [header::EXCHANGE, header::ROUTING_KEY, header::ORIGIN];

/// A received message to be kept. If its body exceeds the largest usable one, only the beginning is kept.
#[derive(Debug, Clone)]
pub struct Received {
    pub queue: String,
    /// AMQP properties, as JSON.
    pub properties: Value,
    pub body: Vec<u8>,
}

impl Received {
    pub(crate) fn new(queue: String, delivery: &Delivery) -> Self {
        let (body, cut) = delivery.beginning(MAX_PAYLOAD_BYTES);
        let mut properties = delivery.properties.clone();
        add_headers(&mut properties, cut.iter().flat_map(Cut::headers));
        Self { queue, properties: to_json(&properties), body: body.to_vec() }
    }
}

/// A dead letter of a delivery of `queue` that cannot be handled.
pub(crate) fn of_refused(
    wire: &Wire,
    queue: &str,
    delivery: &Delivery,
    (code, reason): (&str, String),
    at: Time,
) -> DeadLetter {
    let Delivery { properties, body, exchange, routing_key, .. } = delivery;
    // A replayed message has headers with the exchange and routing key that it was first published to.
    let (exchange, routing_key) =
        envelope::origin(properties, body, &wire.keys).unwrap_or((exchange, routing_key));
    let mut properties = properties.clone();
    let origin = [(header::EXCHANGE, exchange.to_owned()), (header::ROUTING_KEY, routing_key.to_owned())];
    properties.headers.remove(header::ORIGIN);
    let (body, cut) = delivery.beginning(MAX_PAYLOAD_BYTES);
    add_headers(&mut properties, origin.into_iter().chain(cut.iter().flat_map(Cut::headers)));
    dead_letter(wire, (queue.to_owned(), code.to_owned(), reason), &properties, body.to_vec(), at)
}

/// A dead letter of a delivery that the broker has dead-lettered.
pub(crate) fn of_brokers(wire: &Wire, delivery: &Delivery, at: Time) -> DeadLetter {
    let (mut properties, body) = (delivery.properties.clone(), delivery.body.clone());
    if envelope::origin(&properties, &body, &wire.keys).is_none() {
        // A message that was published directly to the dead letters could claim any exchange.
        for name in ORIGIN {
            properties.headers.remove(name);
        }
    }
    let text = |name: &str| match properties.headers.get(name) {
        Some(HeaderValue::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let code = text(header::CODE).or_else(|| text(BROKERS_REASON)).unwrap_or_else(|| "unknown".to_owned());
    let reason = text(header::REASON).unwrap_or_else(|| format!("the broker gave up delivering it ({code})"));
    let queue = text(header::QUEUE).or_else(|| text(BROKERS_QUEUE)).unwrap_or_default();
    dead_letter(wire, (queue, code, reason), &properties, body, at)
}

fn dead_letter(
    wire: &Wire,
    (queue, code, reason): (String, String, String),
    properties: &Properties,
    body: Vec<u8>,
    at: Time,
) -> DeadLetter {
    let (saga, step) = match wire.addressee(properties) {
        Some((saga, step)) => (Some(saga), step.map(|step| step.to_string())),
        None => (None, None),
    };
    DeadLetter {
        id: Uuid::now_v7(),
        at,
        queue: wire.names.common(&queue).to_owned(),
        code,
        reason,
        saga,
        step,
        properties: to_json(properties),
        body,
        resolved_at: None,
    }
}

fn add_headers(properties: &mut Properties, headers: impl IntoIterator<Item = (&'static str, String)>) {
    let headers = headers.into_iter().map(|(name, text)| (name.to_owned(), HeaderValue::Text(text)));
    properties.headers.extend(headers);
}

/// The message that puts a dead letter back into its queue.
pub(crate) fn publication(letter: &DeadLetter, keys: &Keyring) -> Publication {
    let mut properties = from_json(&letter.properties);
    // The stored reply was verified on arrival, and the key that signed it may be gone by now.
    if let (Some(HeaderValue::Text(exchange)), Some(HeaderValue::Text(routing_key))) =
        (properties.headers.get(header::EXCHANGE), properties.headers.get(header::ROUTING_KEY))
    {
        let code = envelope::sign_origin(keys, exchange, routing_key, &letter.body);
        properties.headers.insert(header::ORIGIN.to_owned(), HeaderValue::Text(code));
    }
    Publication {
        exchange: String::new(),
        routing_key: letter.queue.clone(),
        properties,
        body: letter.body.clone(),
    }
}

/// The message properties of an event or signal, so that a dead letter of it can be replayed.
pub(crate) fn properties_of(saga: SagaId, arrival: &ReceivedEvent) -> Value {
    let (name, headers) = match &arrival.source {
        EventSource::Event { exchange, event } => {
            (event, json!({ header::EXCHANGE: exchange, header::ROUTING_KEY: event }))
        }
        EventSource::Signal(name) => (name, json!({ header::SAGA: saga })),
    };
    json!({ "type": name, "message_id": arrival.id, "headers": headers })
}

/// A dead letter of an event or signal that was buffered. It has the event's id, so that it is written once.
pub(crate) fn of_buffered(event: &BufferedEvent, at: Time, code: &str, reason: String) -> DeadLetter {
    DeadLetter {
        id: event.id,
        at,
        queue: event.queue.clone(),
        code: code.to_owned(),
        reason,
        saga: Some(event.saga),
        step: None,
        properties: properties_of(event.saga, &event.arrival),
        body: event.arrival.body.to_string().into_bytes(),
        resolved_at: None,
    }
}

/// Properties in the form that people and [`from_json`] read.
fn to_json(properties: &Properties) -> Value {
    let Properties {
        kind,
        message_id,
        correlation_id,
        reply_to,
        content_type,
        content_encoding,
        app_id,
        timestamp,
        headers,
        ..
    } = properties;
    let texts = [
        ("type", kind),
        ("message_id", message_id),
        ("correlation_id", correlation_id),
        ("reply_to", reply_to),
        ("content_type", content_type),
        ("content_encoding", content_encoding),
        ("app_id", app_id),
    ];
    let mut json: Map<String, Value> =
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))).collect();
    if let Some(timestamp) = timestamp {
        json.insert("timestamp".to_owned(), (*timestamp).into());
    }
    let header = |(name, value): (&String, &HeaderValue)| {
        let value = match value {
            HeaderValue::Text(text) => text.as_str().into(),
            HeaderValue::Integer(number) => (*number).into(),
        };
        (name.clone(), value)
    };
    if !headers.is_empty() {
        json.insert("headers".to_owned(), Value::Object(headers.iter().map(header).collect()));
    }
    json.into()
}

/// The properties that the message had on first arrival: the broker's records of its death are removed, but not those of where
/// it was published to.
fn from_json(json: &Value) -> Properties {
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_kept = |name: &str| {
        ![header::CODE, header::REASON, header::QUEUE].contains(&name) && !name.starts_with("x-")
    };
    let header = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Number(number) => HeaderValue::Integer(number.as_i64()?),
            value => HeaderValue::Text(value.as_str()?.to_owned()),
        };
        is_kept(name).then(|| (name.clone(), value))
    };
    let headers = json.get("headers").and_then(Value::as_object);
    Properties {
        kind: text("type"),
        message_id: text("message_id"),
        correlation_id: text("correlation_id"),
        reply_to: text("reply_to"),
        content_type: text("content_type"),
        content_encoding: text("content_encoding"),
        app_id: text("app_id"),
        timestamp: json.get("timestamp").and_then(Value::as_u64),
        expiration: None,
        headers: headers.map(|all| all.iter().filter_map(header).collect()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_message_has_the_properties_that_it_came_with() {
        let header = |name: &str, value| (name.to_owned(), value);
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let before = Properties {
            kind: Some("success".to_owned()),
            timestamp: Some(7),
            headers: [
                header("tenant", text("a")),
                header("tries", HeaderValue::Integer(-3)),
                header(header::EXCHANGE, text("shop.events")),
            ]
            .into(),
            ..Properties::default()
        };
        let mut dead = before.clone();
        dead.headers.extend([
            header(header::REASON, text("not JSON")),
            header(BROKERS_QUEUE, text("snorri.replies")),
        ]);
        assert_eq!(from_json(&to_json(&dead)), before);
    }
}
