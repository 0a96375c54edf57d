//! Messages encoded and decoded.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::topology::Names;
use snorri_core::journal::AnswerTo;
use snorri_core::{Direction, MAX_PAYLOAD_BYTES, Status};

pub(super) fn wire() -> Wire {
    Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()))
}

fn saga() -> SagaId {
    "018f3c9e-1111-7222-8333-444455556666".parse().expect("a saga's id")
}

fn sent_as(message: &Message) -> Publication {
    wire().publication(message).expect("it leaves")
}

fn command() -> Command {
    Command {
        saga: saga(),
        definition: "order".into(),
        step: "pack[2]".parse().expect("a path"),
        direction: Direction::Compensate,
        attempt: 3,
        exchange: "shop.commands".into(),
        name: "warehouse.unpack".into(),
        deadline: Time(1_700_000_010_500),
        trace_id: None,
        sent_at: Time(1_700_000_000_999),
        payload: RawValue::from_string(r#"{"a": 1}"#.to_owned()).expect("JSON"),
    }
}

#[test]
fn a_command_has_all_properties_of_the_contract() {
    let sent = sent_as(&Message::Command(command()));
    assert_eq!((sent.exchange.as_str(), sent.routing_key.as_str()), ("shop.commands", "warehouse.unpack"));
    assert_eq!(sent.body, br#"{"a": 1}"#);
    let key = command().idempotency_key();
    let span = &key.simple().to_string()[..16];
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let headers = BTreeMap::from([
        ("snorri-saga".to_owned(), text("018f3c9e-1111-7222-8333-444455556666")),
        ("snorri-definition".to_owned(), text("order")),
        ("snorri-step".to_owned(), text("pack[2]")),
        ("snorri-direction".to_owned(), text("compensate")),
        ("snorri-attempt".to_owned(), HeaderValue::Integer(3)),
        ("snorri-deadline".to_owned(), HeaderValue::Integer(1_700_000_010_500)),
        ("traceparent".to_owned(), text(&format!("00-018f3c9e111172228333444455556666-{span}-01"))),
    ]);
    assert_eq!(
        sent.properties,
        Properties {
            kind: Some("warehouse.unpack".to_owned()),
            message_id: Some(key.to_string()),
            correlation_id: Some(wire().correlation_id(saga(), &command().attempt())),
            reply_to: Some("snorri.replies".to_owned()),
            content_type: Some("application/json".to_owned()),
            content_encoding: None,
            app_id: Some("snorri".to_owned()),
            timestamp: Some(1_700_000_000),
            expiration: None,
            headers,
        }
    );
}

#[test]
fn a_command_continues_the_trace_of_the_start() {
    let trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    let sent = sent_as(&Message::Command(Command { trace_id, ..command() }));
    let Some(HeaderValue::Text(traceparent)) = sent.properties.headers.get("traceparent") else {
        panic!("no traceparent");
    };
    assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{traceparent}");
}

#[test]
fn an_outcome_is_sent_to_its_reply_queue() {
    let to = AnswerTo { queue: "shop.outcomes".to_owned(), correlation_id: Some("4711".to_owned()) };
    let body = RawValue::from_string("{}".to_owned()).expect("JSON");
    let (definition, status) = ("order".into(), Status::Compensated);
    let outcome = SagaOutcome { saga: saga(), definition, to, status, sent_at: Time(5_000), body };
    let sent = sent_as(&Message::Outcome(outcome.clone()));
    assert_eq!((sent.exchange.as_str(), sent.routing_key.as_str()), ("", "shop.outcomes"));
    assert_eq!(sent.properties.kind.as_deref(), Some("compensated"));
    assert_eq!(sent.properties.correlation_id.as_deref(), Some("4711"));
    assert_eq!(sent.properties.reply_to, None);
    let names: Vec<&str> = sent.properties.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["snorri-definition", "snorri-saga"]);
    let again = sent_as(&Message::Outcome(outcome));
    assert_eq!(sent.properties.message_id, again.properties.message_id);
}

#[test]
fn a_command_names_the_exchange_for_replies() {
    let wire = Wire { reply_exchange: Some("snorri.reply".to_owned()), ..wire() };
    let sent = wire.publication(&Message::Command(command())).expect("it leaves");
    let named = sent.properties.headers.get("snorri-reply-exchange");
    assert_eq!(named, Some(&HeaderValue::Text("snorri.reply".to_owned())));
    assert_eq!(sent.properties.reply_to.as_deref(), Some("snorri.replies"));
}

fn event(exchange: &str, headers: &[(&str, &str)]) -> Delivery {
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    Delivery {
        exchange: exchange.to_owned(),
        routing_key: "snorri.events".to_owned(),
        properties: Properties { headers, ..Properties::default() },
        body: b"{}".to_vec(),
        ..Delivery::default()
    }
}

#[test]
fn the_origin_of_an_event_is_its_queue_without_a_mac() {
    let published = |delivery: &Delivery| match wire().decode_event(delivery).expect("an event").source {
        snorri_core::journal::EventSource::Event { exchange, event } => {
            (exchange.to_string(), event.to_string())
        }
        other => panic!("{other:?}"),
    };
    let own = (String::new(), "snorri.events".to_owned());
    let code = sign_origin(&wire().keys, "bank.events", "payment.received", b"{}");
    let (exchange, key) = (("snorri-exchange", "bank.events"), ("snorri-routing-key", "payment.received"));
    let headers = [exchange, key, ("snorri-origin", code.as_str())];
    let claimed = ("bank.events".to_owned(), "payment.received".to_owned());
    assert_eq!(published(&event("", &headers)), claimed);
    assert_eq!(published(&event("", &headers[..2])), own, "no MAC");
    assert_eq!(published(&event("shop", &headers)).0, "shop", "it was published to an exchange");
    let other_body = Delivery { body: b"{\"a\":1}".to_vec(), ..event("", &headers) };
    assert_eq!(published(&other_body), own, "the MAC of another body");
    let other_key = [headers[0], ("snorri-routing-key", "payment.refused"), headers[2]];
    assert_eq!(published(&event("", &other_key)), own, "the MAC of another routing key");
}

#[test]
fn a_message_is_about_the_saga_that_it_names_credibly() {
    let named = |correlation_id: Option<String>| {
        let header = ("snorri-saga".to_owned(), HeaderValue::Text(saga().to_string()));
        let properties = Properties { correlation_id, headers: [header].into(), ..Properties::default() };
        wire().addressee(&properties)
    };
    let attempt = command().attempt();
    let signed = wire().correlation_id(saga(), &attempt);
    assert_eq!(named(Some(signed.clone())), Some((saga(), Some(attempt.step))));
    assert_eq!(named(None), Some((saga(), None)));
    assert_eq!(named(Some("4711".to_owned())), Some((saga(), None)));
    assert_eq!(named(Some(signed.replace(":c:3:", ":c:4:"))), None, "a forged reply is about nothing");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(
        decode_start(&start("order", "\u{feff}{\"a\": 1}")).expect("a start").input,
        json!({ "a": 1 })
    );
    let event = Delivery { body: "\u{feff}[1]".into(), ..event("shop", &[]) };
    assert_eq!(wire().decode_event(&event).expect("an event").body, json!([1]));
    assert_eq!(decode_start(&start("order", "\u{feff}")).expect("a start").input, Value::Null);
}

fn start(kind: &str, body: &str) -> Delivery {
    let properties = Properties { kind: Some(kind.to_owned()), ..Properties::default() };
    Delivery { properties, body: body.as_bytes().to_vec(), ..Delivery::default() }
}

#[test]
fn a_start_names_the_definition_and_perhaps_the_version() {
    for (kind, definition, version) in [("order", "order", None), ("order@2", "order", Some(2))] {
        let request = decode_start(&start(kind, r#"{"orderId": "1"}"#)).expect("a start");
        assert_eq!((request.definition.as_str(), request.version), (definition, version));
        assert_eq!(request.input, json!({ "orderId": "1" }));
        assert_eq!((request.answer, request.trace_id), (None, None));
    }
    for kind in ["", "@1", "order@", "order@0", "order@x", "order@1@2"] {
        let error = decode_start(&start(kind, "{}")).expect_err("no start");
        assert!(error.reason.contains("as in `order@2`"), "{error}");
    }
    let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
    assert!(decode_start(&start("order", &large)).expect_err("too large").reason.contains("at most 262144"));
}

#[test]
fn a_start_has_a_reply_address_and_a_trace() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = |traceparent: &str| {
        let mut delivery = start("order", "{}");
        let value = HeaderValue::Text(traceparent.to_owned());
        delivery.properties.headers.insert("traceparent".to_owned(), value);
        decode_start(&delivery).expect("a start").trace_id
    };
    assert_eq!(traced(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
    assert_eq!(traced(&format!("01-{trace}-00f067aa0ba902b7-01-more")).as_deref(), Some(trace));
    for wrong in [
        format!("00-{trace}-00f067aa0ba902b7-01-more"),
        format!("ff-{trace}-00f067aa0ba902b7-01"),
        format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        format!("00-{trace}-0000000000000000-01"),
        format!("00-{trace}-00f067aa0ba902b7"),
    ] {
        assert_eq!(traced(&wrong), None, "{wrong}");
    }

    let mut delivery = start("order", "{}");
    delivery.properties.reply_to = Some("shop.outcomes".to_owned());
    delivery.properties.correlation_id = Some("4711".to_owned());
    delivery.properties.message_id = Some("m-1".to_owned());
    let request = decode_start(&delivery).expect("a start");
    let answer = AnswerTo { queue: "shop.outcomes".to_owned(), correlation_id: Some("4711".to_owned()) };
    assert_eq!(request.answer, Some(answer));
    assert_eq!(request.message_id.as_deref(), Some("m-1"));
}

#[test]
fn a_refusal_is_sent_to_the_reply_queue() {
    let mut start = start("order", "{}").properties;
    assert_eq!(
        answer_refused(&start, "unknown_definition", "there is no definition `order`", None, Time(9_000)),
        None
    );
    start.reply_to = Some("shop.outcomes".to_owned());
    start.correlation_id = Some("4711".to_owned());
    let answer =
        answer_refused(&start, "unknown_definition", "there is no definition `order`", None, Time(9_000))
            .expect("an answer");
    assert_eq!((answer.exchange.as_str(), answer.routing_key.as_str()), ("", "shop.outcomes"));
    assert_eq!(answer.properties.kind.as_deref(), Some("rejected"));
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("4711"));
    assert_eq!(answer.properties.timestamp, Some(9));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body, json!({ "code": "unknown_definition", "message": "there is no definition `order`" }));
}
