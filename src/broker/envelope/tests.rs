//! Messages as they look on the wire, there and back.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::saga::input::{Attempt, Reply, ReplyResult};
use crate::saga::journal::{AnswerTo, Problem, Reason};
use crate::saga::{Direction, MAX_PAYLOAD_BYTES, Status, StepPath};

fn saga() -> SagaId {
    "018f3c9e-1111-7222-8333-444455556666".parse().expect("a saga's id")
}

fn sent_as(message: &Message) -> Publication {
    publication(message, &Names::new("snorri")).expect("it leaves")
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

fn reply(kind: &str, body: &str) -> Delivery {
    let sent = sent_as(&Message::Command(command()));
    let properties = Properties {
        kind: Some(kind.to_owned()),
        correlation_id: sent.properties.correlation_id,
        ..Properties::default()
    };
    Delivery { properties, body: body.as_bytes().to_vec(), ..Delivery::default() }
}

fn result(kind: &str, body: &str) -> ReplyResult {
    let (id, Reply { attempt, result }) = decode_reply(&reply(kind, body)).expect("a reply");
    assert_eq!(id, saga());
    let step: StepPath = "pack[2]".parse().expect("a path");
    assert_eq!(attempt, Attempt { step, direction: Direction::Compensate, number: 3 });
    result
}

fn problem(code: &str, message: &str, details: Option<Value>) -> Problem {
    Problem { details, ..Problem::of_participant(code, message) }
}

#[test]
fn a_command_has_all_that_the_contract_says() {
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
            correlation_id: Some("018f3c9e-1111-7222-8333-444455556666:c:3:pack[2]".to_owned()),
            reply_to: Some("snorri.replies".to_owned()),
            content_type: Some("application/json".to_owned()),
            app_id: Some("snorri".to_owned()),
            timestamp: Some(1_700_000_000),
            expiration: None,
            headers,
        }
    );
}

#[test]
fn a_command_goes_on_with_the_trace_of_whoever_started_the_saga() {
    let trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    let sent = sent_as(&Message::Command(Command { trace_id, ..command() }));
    let Some(HeaderValue::Text(traceparent)) = sent.properties.headers.get("traceparent") else {
        panic!("no traceparent");
    };
    assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{traceparent}");
}

#[test]
fn an_outcome_goes_straight_to_the_queue_of_whoever_wants_it() {
    let to = AnswerTo { queue: "shop.outcomes".to_owned(), correlation_id: Some("4711".to_owned()) };
    let body = RawValue::from_string("{}".to_owned()).expect("JSON");
    let (definition, status) = ("order".into(), Status::Compensated);
    let outcome = Outcome { saga: saga(), definition, to, status, sent_at: Time(5_000), body };
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
fn a_success_has_its_body_as_output() {
    assert_eq!(result("success", r#"{"id": 7}"#), ReplyResult::Success(Arc::new(json!({ "id": 7 }))));
    assert_eq!(result("success", ""), ReplyResult::Success(Arc::new(Value::Null)));
}

#[test]
fn a_refusal_counts_however_it_is_explained() {
    let cases = [
        (r#"{"code": "sold_out", "message": "none left"}"#, problem("sold_out", "none left", None)),
        (r#"{"code": "x", "details": {"n": 1}}"#, problem("x", "", Some(json!({ "n": 1 })))),
        (r#"{"code": "x", "details": 1, "at": 2}"#, problem("x", "", Some(json!({ "details": 1, "at": 2 })))),
        (r#"{"code": 42}"#, problem("unspecified", "", Some(json!({ "code": 42 })))),
        (r#"{"code": "", "message": "m"}"#, problem("unspecified", "m", None)),
        (r#"{"error": "boom"}"#, problem("unspecified", "", Some(json!({ "error": "boom" })))),
        (r#""sold out""#, problem("unspecified", "sold out", None)),
        ("[1]", problem("unspecified", "", Some(json!([1])))),
        ("", problem("unspecified", "the participant gave no reason", None)),
    ];
    for (body, problem) in cases {
        assert_eq!(result("failure", body), ReplyResult::Failure(problem.clone()), "{body}");
        assert_eq!(result("error", body), ReplyResult::Error(problem), "{body}");
    }
}

#[test]
fn an_oversized_reply_is_an_error() {
    let fits = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES - 2));
    assert!(matches!(result("success", &fits), ReplyResult::Success(_)));
    let ReplyResult::Error(problem) = result("success", &format!("{fits} ")) else {
        panic!("not an error");
    };
    assert!(problem.is(Reason::PayloadTooLarge));
}

#[test]
fn what_is_no_reply_says_what_to_send_instead() {
    let without_type = Delivery {
        properties: Properties { kind: None, ..reply("success", "").properties },
        ..Delivery::default()
    };
    let correlated_with = |correlation_id: Option<&str>| Delivery {
        properties: Properties {
            kind: Some("success".to_owned()),
            correlation_id: correlation_id.map(str::to_owned),
            ..Properties::default()
        },
        ..Delivery::default()
    };
    let not_utf8 = Delivery { body: b"\"\xff\"".to_vec(), ..reply("success", "") };
    let cases = [
        (without_type, "no `type`: set it to `success`, `failure` or `error`"),
        (reply("done", "{}"), "`done` is not the `type` of a reply: set it to `success`"),
        (correlated_with(None), "no `correlation_id`: echo the `correlation_id` of the command"),
        (correlated_with(Some("4711")), "not one that Snorri sent with a command: echo"),
        (reply("success", "{]"), "not JSON (line 1, column 2): send UTF-8 encoded JSON"),
        (not_utf8, "send UTF-8 encoded JSON"),
    ];
    for (delivery, reason) in cases {
        let error = decode_reply(&delivery).expect_err("no reply");
        assert!(error.reason.contains(reason), "{error}");
    }
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
fn a_start_says_who_asks_and_in_which_trace() {
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
fn whoever_wants_an_answer_hears_of_a_refusal() {
    let mut start = start("order", "{}").properties;
    assert_eq!(
        answer_refused(&start, "unknown_definition", "there is no definition `order`", Time(9_000)),
        None
    );
    start.reply_to = Some("shop.outcomes".to_owned());
    start.correlation_id = Some("4711".to_owned());
    let answer = answer_refused(&start, "unknown_definition", "there is no definition `order`", Time(9_000))
        .expect("an answer");
    assert_eq!((answer.exchange.as_str(), answer.routing_key.as_str()), ("", "shop.outcomes"));
    assert_eq!(answer.properties.kind.as_deref(), Some("rejected"));
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("4711"));
    assert_eq!(answer.properties.timestamp, Some(9));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body, json!({ "code": "unknown_definition", "message": "there is no definition `order`" }));
}
