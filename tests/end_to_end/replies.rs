//! Replies of real clients, right and wrong, and forged ones.

use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{HeaderValue, Properties, Publication, Published};

use crate::support::orchestrator::story;
use crate::support::participants::{Manner, Raw};
use crate::support::until;
use crate::support::world::{self, World};
use crate::{id, letters, order};

/// Long enough for a busy machine; the sagas themselves have an hour.
const PATIENCE: Duration = Duration::from_secs(20);

/// Case 04: refusals in plain text.
const PARCEL: &str = r#"
saga: parcel
version: 1
input: { type: object, required: [id], properties: { id: { type: string } } }
key: ${ input.id }
defaults: { exchange: parcel.commands, timeout: 1h, retry: { attempts: 2, backoff: 200ms..1s } }
steps:
  - name: label
    command: parcel.label
    payload: { id: "${ input.id }" }
    compensate: { command: parcel.unlabel, payload: { id: "${ input.id }" } }
  - name: pickup
    command: parcel.pickup
    payload: { id: "${ input.id }" }
    compensate: none
"#;

fn parcel(exchange: &str) -> String {
    PARCEL.replace("parcel.commands", exchange)
}

/// The order saga in which only replies have effects, and a failed attempt is not retried.
fn patient(exchange: &str) -> String {
    world::order(exchange).replace(
        "timeout: 500ms\n  retry: { attempts: 2, backoff: 50ms }",
        "timeout: 1h\n  retry: { attempts: 2, backoff: 1h }",
    )
}

async fn world_of_orders() -> World {
    World::with(&world::COMMANDS, patient).await
}

/// Waits for a fact of a saga's journal, and returns its problem.
async fn problem(world: &World, id: &str, fact: &str, step: &str) -> Value {
    until(PATIENCE, &format!("{fact} of {step}"), async || {
        let saga = world.orchestrator.api.saga(id).await;
        let entries = saga["journal"].as_array().expect("a journal");
        let facts = entries.iter().flat_map(|entry| entry["facts"].as_array().expect("facts"));
        let found = facts.map(|of| &of[fact]).find(|of| of["step"] == step)?;
        Some(found["problem"].clone())
    })
    .await
}

#[tokio::test]
async fn a_refusal_counts_in_plain_text() {
    let world = World::with(&["parcel.label", "parcel.unlabel", "parcel.pickup"], parcel).await;
    let latin = b"{\"code\": \"kein_guthaben\", \"message\": \"Kein Guthaben f\xfcr Z\xfcrich\"}".to_vec();
    let refusals: [(Vec<u8>, &str, &str); 4] = [
        (b"Insufficient funds on card".to_vec(), "unspecified", "Insufficient funds on card"),
        (latin, "kein_guthaben", "Kein Guthaben für Zürich"),
        (b"Kein Guthaben f\xfcr".to_vec(), "unspecified", "Kein Guthaben für"),
        (Vec::new(), "unspecified", "the participant gave no reason"),
    ];
    for (number, (body, code, message)) in refusals.into_iter().enumerate() {
        let raw = Raw { content_type: Some("text/plain"), ..Raw::new("failure", body) };
        world.take("parcel.pickup", Manner::Raw(raw));
        let id = world.orchestrator.api.start("parcel", &json!({"id": format!("p-{number}")})).await;
        let saga = world.orchestrator.api.wait_for(&id, &["compensated"]).await;
        let expected = [
            "started".to_owned(),
            "sent label #1".to_owned(),
            "completed label".to_owned(),
            "sent pickup #1".to_owned(),
            format!("failed pickup ({code})"),
            format!("stopping ({code})"),
            "rollback_began".to_owned(),
            "sent compensation label #1".to_owned(),
            "compensated label".to_owned(),
            "ended compensated".to_owned(),
        ];
        assert_eq!(story(&saga), expected);
        assert_eq!(problem(&world, &id, "failed", "pickup").await["message"], message);
        assert_eq!(saga["dead_letters"], json!([]), "it was understood");
    }
}

#[tokio::test]
async fn an_error_in_plain_text_is_an_error_with_that_text() {
    let world = world_of_orders().await;
    world.take("inventory.reserve", Manner::Raw(Raw::new("error", "the database is being restarted")));
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    let problem = problem(&world, &id, "retry_scheduled", "reserve").await;
    assert_eq!(problem["code"], "unspecified");
    assert_eq!(problem["message"], "the database is being restarted");
}

/// Replies with the defaults of published clients, and others that cannot be decoded: each is an error at once.
#[tokio::test]
async fn a_reply_that_cannot_be_read_is_an_error_that_show_explains() {
    let world = world_of_orders().await;
    let pojo = Raw {
        kind: None,
        body: br#"{"reservationId": 7}"#.to_vec(),
        content_type: Some("application/json"),
        content_encoding: Some("UTF-8"),
    };
    let exception = Raw {
        kind: None,
        body: b"\xac\xed\x00\x05sr\x00\x1fjava.lang.RuntimeException".to_vec(),
        content_type: Some("application/x-java-serialized-object"),
        content_encoding: None,
    };
    let zipped = Raw { content_encoding: Some("gzip"), ..Raw::new("success", b"\x1f\x8b\x08\x00".to_vec()) };
    let habits = [
        ("a Spring listener that returns a POJO", pojo, "the reply has no `type`"),
        ("a throwing listener", exception, "the reply has no `type`"),
        ("capitals", Raw::new("Success", "{}"), "write it in lower case"),
        ("an unknown type", Raw::new("done", "{}"), "`done` is not the `type` of a reply"),
        ("a compressed body", zipped, "send it uncompressed"),
        ("no JSON", Raw::new("success", "OK"), "it is not JSON"),
        (
            "too deep",
            Raw::new("success", "[".repeat(5_000) + &"]".repeat(5_000)),
            "nests deeper than 64 levels",
        ),
        ("too large", Raw::new("success", format!("\"{}\"", "x".repeat(300_000))), "send at most 262144"),
    ];
    for (number, (habit, raw, reason)) in habits.into_iter().enumerate() {
        let body = raw.body.clone();
        world.take("inventory.reserve", Manner::Raw(raw));
        let id = world.orchestrator.api.start("order", &order(&format!("o-{number}"))).await;
        let problem = problem(&world, &id, "retry_scheduled", "reserve").await;
        let message = problem["message"].as_str().expect("a message");
        assert!(message.contains(reason), "{habit}: {problem}");

        let shown = world.orchestrator.api.show(&id).await;
        assert!(shown.contains(reason), "{habit}: {shown}");
        let saga = world.orchestrator.api.saga(&id).await;
        let link = &saga["dead_letters"][0];
        assert_eq!((&link["step"], &link["code"]), (&json!("reserve"), &problem["code"]), "{habit}");
        let letter = link["id"].as_str().expect("an id");
        assert!(shown.contains(&format!("snorri dead-letters show {letter}")), "{habit}: {shown}");
        let (_, letter) = world.orchestrator.api.get(&format!("/v1/dead-letters/{letter}")).await;
        let kept = letter["body"].as_str().expect("a body");
        assert_eq!(kept.chars().next(), String::from_utf8_lossy(&body).chars().next(), "{habit}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let world = world_of_orders().await;
    world.take("inventory.reserve", Manner::Raw(Raw::new("success", "\u{feff}{\"step\": \"reserve\"}")));
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    let saga = world.orchestrator.api.wait_for(&id, &["completed"]).await;
    assert_eq!(story(&saga).len(), 8, "{:#?}", story(&saga));
}

fn to_own_queue(world: &World, queue: &str, properties: Properties, body: &str) -> Publication {
    let routing_key = format!("{}.{queue}", world.plan.prefix);
    Publication { exchange: String::new(), routing_key, properties, body: body.as_bytes().to_vec() }
}

#[tokio::test]
async fn a_forged_reply_changes_nothing() {
    let world = world_of_orders().await;
    world.take("inventory.reserve", Manner::Silent);
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    until(PATIENCE, "sent", async || {
        let saga = world.orchestrator.api.saga(&id).await;
        story(&saga).contains(&"sent reserve #1".to_owned()).then_some(())
    })
    .await;
    let computed = format!("{id}:f:1:reserve");
    let forged = [computed.clone(), format!("{}:{computed}", "0".repeat(32))];
    for correlation_id in &forged {
        let properties = Properties {
            kind: Some("success".to_owned()),
            correlation_id: Some(correlation_id.clone()),
            ..Properties::default()
        };
        let reply = to_own_queue(&world, "replies", properties, "{\"step\": \"reserve\"}");
        assert_eq!(world.broker.publish(vec![reply]).await, [Published::Confirmed]);
    }
    for letter in letters(&world, 2).await {
        assert_eq!((&letter["code"], &letter["saga"]), (&json!("forged"), &Value::Null), "{letter}");
    }
    let saga = world.orchestrator.api.saga(&id).await;
    assert_eq!(story(&saga), ["started", "sent reserve #1"]);
    let metrics = world.orchestrator.api.text("/metrics").await;
    assert!(metrics.contains("snorri_forged_replies_total 2"), "{metrics}");
}

#[tokio::test]
async fn a_key_is_replaced_without_loss() {
    let world = world_of_orders().await;
    world.take("inventory.reserve", Manner::Late(Duration::from_secs(1)));
    let api = &world.orchestrator.api;
    let id = api.start("order", &order("o-1")).await;
    let by = json!({"reason": "a test"});
    let (status, key) = api.post("/v1/token-keys", &by).await;
    assert_eq!((status, &key["number"]), (200, &json!(2)), "{key}");
    assert!(key.get("secret").is_none(), "{key}");
    let (status, problem) = api.post("/v1/token-keys", &by).await;
    assert_eq!((status, &problem["code"]), (409, &json!("rotation_pending")), "{problem}");
    let (_, audit) = api.get("/v1/audit").await;
    assert_eq!(audit["entries"][0]["action"], "rotate_token_keys", "{audit}");
    api.wait_for(&id, &["completed"]).await;
}

#[tokio::test]
async fn an_outcome_is_not_sent_to_snorris_own_queues() {
    let world = World::new().await;
    let properties = Properties {
        kind: Some("order".to_owned()),
        reply_to: Some(format!("{}.signals", world.plan.prefix)),
        ..Properties::default()
    };
    let start = to_own_queue(&world, "starts", properties, &order("o-1").to_string());
    assert_eq!(world.broker.publish(vec![start]).await, [Published::Confirmed]);
    assert_eq!(letters(&world, 1).await[0]["code"], "reply_to_refused");
    let (_, sagas) = world.orchestrator.api.get("/v1/sagas").await;
    assert_eq!(sagas["sagas"], json!([]), "nothing was started");
}

fn paid(exchange: &str) -> String {
    format!(
        r#"
saga: order
version: 1
input: {{ type: object, required: [orderId], properties: {{ orderId: {{ type: string }} }} }}
key: ${{ input.orderId }}
steps:
  - name: payment
    wait: {{ event: order.paid, exchange: {exchange}, correlate: "${{ event.order }}" }}
    timeout: 1h
"#
    )
}

#[tokio::test]
async fn an_event_cannot_claim_another_exchange() {
    let world = World::with(&[], paid).await;
    let api = &world.orchestrator.api;
    let id = api.start("order", &json!({"orderId": "o-1"})).await;
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let claims = [("snorri-exchange", world.exchange.as_str()), ("snorri-routing-key", "order.paid")];
    let claims = claims.map(|(name, value)| (name.to_owned(), text(value)));
    let properties = Properties { headers: claims.into(), ..Properties::default() };
    let body = "{\"order\": \"o-1\"}";
    let forged = to_own_queue(&world, "events", properties.clone(), body);
    assert_eq!(world.broker.publish(vec![forged]).await, [Published::Confirmed]);

    // The same in the dead letters, from where an operator might replay it.
    let mut dead = properties;
    dead.headers.insert("snorri-queue".to_owned(), text(&format!("{}.events", world.plan.prefix)));
    let forged = to_own_queue(&world, "dead-letters", dead.clone(), body);
    dead.headers.insert("snorri-queue".to_owned(), text("other.queue"));
    let foreign = to_own_queue(&world, "dead-letters", dead, body);
    world.broker.publish(vec![forged, foreign]).await;
    let mut codes = Vec::new();
    for letter in letters(&world, 2).await {
        let replay = format!("/v1/dead-letters/{}/replay", letter["id"].as_str().expect("an id"));
        let (status, problem) = api.post(&replay, &json!({"reason": "a test"})).await;
        assert_eq!(status, 409, "{problem}");
        codes.push(problem["code"].as_str().expect("a code").to_owned());
    }
    codes.sort();
    assert_eq!(codes, ["foreign_queue", "unknown_origin"]);
    assert_eq!(api.saga(&id).await["status"], "running", "it still waits");

    let genuine = Publication {
        exchange: world.exchange.clone(),
        routing_key: "order.paid".to_owned(),
        body: body.as_bytes().to_vec(),
        ..Publication::default()
    };
    assert_eq!(world.broker.publish(vec![genuine]).await, [Published::Confirmed]);
    let saga = api.wait_for(&id, &["completed"]).await;
    assert_eq!(self::id(&saga), id);
}

#[tokio::test]
async fn a_replayed_event_is_from_where_it_was_published() {
    let world = World::with(&[], paid).await;
    let api = &world.orchestrator.api;
    let broken = Publication {
        exchange: world.exchange.clone(),
        routing_key: "order.paid".to_owned(),
        body: b"{".to_vec(),
        ..Publication::default()
    };
    assert_eq!(world.broker.publish(vec![broken]).await, [Published::Confirmed]);
    let first = letters(&world, 1).await.remove(0);
    let replay = format!("/v1/dead-letters/{}/replay", first["id"].as_str().expect("an id"));
    let (status, answer) = api.post(&replay, &json!({"reason": "a test"})).await;
    assert_eq!(status, 200, "{answer}");
    let again = until(PATIENCE, "the same letter", async || {
        let letter = letters(&world, 1).await.remove(0);
        (letter["id"] != first["id"]).then_some(letter)
    })
    .await;
    let headers = &first["properties"]["headers"];
    assert_eq!(headers["snorri-exchange"], json!(world.exchange));
    assert_eq!(again["code"], "undecodable");
}
