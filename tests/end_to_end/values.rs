//! Values on the real stack: numbers, invisible characters, and depth arrive unchanged or are refused.

use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{Delivery, Properties, Publication, Published, QueueDeclaration, Topology};

use crate::support::participants::collect;
use crate::support::until;
use crate::support::world::World;

/// A world, and the queue of all commands of its exchange.
async fn world(definition: fn(&str) -> String) -> (World, String) {
    let world = World::with(&[], definition).await;
    let queue = format!("{}.values", world.exchange);
    let bindings = vec![(world.exchange.clone(), "#".to_owned())];
    let queues = vec![QueueDeclaration { name: queue.clone(), bindings, dead_letters: None }];
    world.broker.declare(&Topology { exchanges: Vec::new(), queues }).await.expect("declared");
    (world, queue)
}

/// Takes the next command, and answers it.
async fn answer(world: &World, queue: &str, kind: &str, body: &[u8]) -> Delivery {
    let command = collect(&world.broker, queue, 1).await.remove(0);
    let properties = Properties {
        kind: Some(kind.to_owned()),
        correlation_id: command.properties.correlation_id.clone(),
        ..Properties::default()
    };
    let routing_key = command.properties.reply_to.clone().expect("a reply queue");
    publish(world, &routing_key, properties, body).await;
    command
}

async fn publish(world: &World, queue: &str, properties: Properties, body: &[u8]) {
    let message = Publication {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        properties,
        body: body.to_vec(),
    };
    assert_eq!(world.broker.publish(vec![message]).await, [Published::Confirmed]);
}

async fn publish_start(world: &World, kind: &str, body: &str) {
    let properties = Properties { kind: Some(kind.to_owned()), ..Properties::default() };
    publish(world, &format!("{}.starts", world.plan.prefix), properties, body.as_bytes()).await;
}

/// Waits for so many dead letters, and gives their reasons.
async fn dead_letters(world: &World, count: usize) -> Vec<String> {
    until(Duration::from_secs(20), "dead letters", async || {
        let (status, page) = world.orchestrator.api.get("/v1/dead-letters").await;
        assert_eq!(status, 200, "{page}");
        let letters = page["dead_letters"].as_array().expect("a list");
        let reasons = letters.iter().map(|letter| letter["reason"].as_str().expect("a text").to_owned());
        (letters.len() >= count).then(|| reasons.collect())
    })
    .await
}

fn ledger(exchange: &str) -> String {
    r#"
saga: ledger
version: 1
input:
  type: object
  required: [transferId, amount]
  properties: { transferId: { type: integer }, amount: { type: number } }
key: ${ input.transferId }
defaults: { exchange: EXCHANGE, timeout: 20s, retry: { attempts: 2, backoff: 100ms } }
steps:
  - name: book
    command: bank.book
    payload: { transferId: "${ input.transferId }", amount: "${ input.amount }", note: "transfer ${ input.transferId }" }
    compensate: none
output: { reference: "${ book.output.reference }" }
"#
    .replace("EXCHANGE", exchange)
}

#[tokio::test]
async fn numbers_arrive_as_they_were_sent_or_are_refused() {
    let (world, queue) = world(ledger).await;
    let api = &world.orchestrator.api;
    let start = async |input: &str| {
        api.post_text("/v1/sagas", &format!(r#"{{"definition":"ledger","input":{input}}}"#)).await
    };
    let refused = [
        (r#"{"transferId": 340282366920938463463, "amount": 12.50}"#, "/input/transferId"),
        (r#"{"transferId": 340282366920938463464, "amount": 12.50}"#, "/input/transferId"),
        (r#"{"transferId": 1, "amount": 90071992547409931.25}"#, "/input/amount"),
        (r#"{"transferId": 2, "amount": 18446744073709551616}"#, "/input/amount"),
        (r#"{"transferId": 3, "amount": 1e400}"#, "/input/amount"),
    ];
    for (input, pointer) in refused {
        let (status, problem) = start(input).await;
        assert_eq!((status, &problem["code"]), (422, &json!("inexact_number")), "{input}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let (status, started) = start(r#"{"transferId": 18446744073709551615, "amount": 100.00}"#).await;
    assert_eq!((status, &started["key"]), (201, &json!("18446744073709551615")), "{started}");
    let command = answer(&world, &queue, "success", br#"{"reference": 9007199254740993}"#).await;
    let expected = json!({
        "transferId": u64::MAX, "amount": 100.0, "note": "transfer 18446744073709551615",
    });
    assert_eq!(serde_json::from_slice::<Value>(&command.body).expect("JSON"), expected);
    let saga = api.wait_for(started["id"].as_str().expect("an id"), &["completed"]).await;
    assert_eq!(saga["output"], json!({"reference": 9_007_199_254_740_993_i64}));

    for id in ["340282366920938463465", "340282366920938463466"] {
        publish_start(&world, "ledger", &format!(r#"{{"transferId": {id}, "amount": 1}}"#)).await;
    }
    let reasons = dead_letters(&world, 2).await;
    assert!(reasons.iter().all(|reason| reason.contains("`/transferId`")), "{reasons:?}");
    let (_, sagas) = api.get("/v1/sagas").await;
    assert_eq!(sagas["sagas"].as_array().map(Vec::len), Some(1), "{sagas}");
}

/// `1`, `1.0` and `"1"` are one key: they all name the same saga.
#[tokio::test]
async fn two_inputs_never_share_a_saga() {
    fn any_id(exchange: &str) -> String {
        ledger(exchange).replace("transferId: { type: integer }", "transferId: {}")
    }
    let (world, _) = world(any_id).await;
    let api = &world.orchestrator.api;
    let start = async |id: &str| {
        let body = format!(r#"{{"definition":"ledger","input":{{"transferId":{id},"amount":1}}}}"#);
        let (status, answer) = api.post_text("/v1/sagas", &body).await;
        (status, answer["key"].as_str().unwrap_or_default().to_owned(), answer["code"].clone())
    };
    assert_eq!(start("1").await, (201, "1".to_owned(), Value::Null));
    assert_eq!(start("1.0").await.0, 409);
    assert_eq!(start("\"1\"").await, (409, String::new(), json!("key_in_use")));
    assert_eq!(start("9007199254740993").await.1, "9007199254740993");
    assert_eq!(start("9007199254740992.0").await, (201, "9007199254740992".to_owned(), Value::Null));
    assert_eq!(start("\"a\u{202e}b\"").await.2, "no_business_key");
}

fn notes(exchange: &str) -> String {
    r#"
saga: notes
version: 1
input: { type: object, required: [id], properties: { id: { type: string }, text: { type: string } } }
key: ${ input.id }
defaults: { exchange: EXCHANGE, timeout: 20s, retry: { attempts: 2, backoff: 100ms } }
steps:
  - name: scan
    command: notes.scan
    payload: { text: "${ input.text }" }
    compensate: { command: notes.unscan, payload: { ref: "${ scan.output.ref }" } }
  - name: approval
    wait: { signal: approved }
    timeout: 1h
    on_timeout: fail
output: { ref: "${ scan.output.ref }", by: "${ approval.output.by }" }
"#
    .replace("EXCHANGE", exchange)
}

#[tokio::test]
async fn a_nul_in_a_name_is_refused_and_in_a_payload_arrives() {
    let (world, queue) = world(notes).await;
    let api = &world.orchestrator.api;
    let started = api.start("notes", &json!({"id": "n-1", "text": "page 1\u{0}page 2"})).await;
    let command = answer(&world, &queue, "success", br#"{"ref": "r\u0000-1"}"#).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&command.body).expect("JSON"),
        json!({"text": "page 1\u{0}page 2"})
    );
    until(Duration::from_secs(10), "the signal is awaited", async || {
        let (status, _) =
            api.post(&format!("/v1/sagas/{started}/signals/approved"), &json!({"by": "a\u{0}b"})).await;
        (status == 202).then_some(())
    })
    .await;
    let saga = api.wait_for(&started, &["completed"]).await;
    assert_eq!(saga["output"], json!({"ref": "r\u{0}-1", "by": "a\u{0}b"}));

    for version in [json!(null), json!(1)] {
        let mut body = json!({"definition": "no\u{0}tes", "input": {"id": "x"}});
        if version.is_number() {
            body["version"] = version;
        }
        let (status, problem) = api.post("/v1/sagas", &body).await;
        assert_eq!((status, &problem["code"]), (404, &json!("definition_not_found")), "{problem}");
    }
    for (path, expected) in [
        ("/v1/sagas?key=a%00b", 400),
        ("/v1/sagas?definition=a%00b", 400),
        ("/v1/sagas?attribute=a%00b%3Dc", 400),
        ("/v1/sagas?incident=a%E2%80%AEb", 400),
        ("/v1/dead-letters?queue=a%00b", 400),
        ("/v1/audit?actor=a%00b", 400),
        ("/v1/definitions/a%00b/versions/1", 400),
    ] {
        let (status, problem) = api.get(path).await;
        assert_eq!(status, expected, "{path}: {problem}");
    }
    publish_start(&world, "no\u{0}tes@1", r#"{"id": "z"}"#).await;
    publish_start(&world, "notes@1", r#"{"id": "z2"}"#).await;
    let reasons = dead_letters(&world, 1).await;
    assert!(reasons[0].contains("U+0000"), "{reasons:?}");
    until(Duration::from_secs(10), "the good start", async || {
        let (_, found) = api.get("/v1/sagas?key=z2").await;
        (found["sagas"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn texts_of_participants_may_hold_any_character() {
    let (world, queue) = world(notes).await;
    let api = &world.orchestrator.api;
    let started = api.start("notes", &json!({"id": "n-2", "text": "x"})).await;
    let problem = json!({"code": "no\u{0}\u{202e}", "message": "a\u{0}\u{1b}[2J", "details": {"x": "\u{0}"}});
    answer(&world, &queue, "failure", problem.to_string().as_bytes()).await;
    let saga = api.wait_for(&started, &["compensated"]).await;
    // A code is stored and looked up as it is, and so has no such characters; the rest is the participant's own.
    let expected = json!({"code": r"no\u{0}\u{202e}", "owner": "participant", "message": problem["message"], "details": problem["details"]});
    assert_eq!(saga["problem"], expected);

    for reason in ["a\u{0}b", "a\u{200b}b", "a\u{2028}b", "a\u{feff}b", "a\u{85}b", "a\u{2066}b"] {
        let path = format!("/v1/sagas/{started}/cancel");
        let (status, refused) = api.post(&path, &json!({"reason": reason})).await;
        assert_eq!((status, &refused["code"]), (422, &json!("invalid_body")), "{reason:?}: {refused}");
    }
    let (status, _) = api.post(&format!("/v1/sagas/{started}/signals/a%E2%80%AEb"), &json!({})).await;
    assert_eq!(status, 400);
    let attributes = json!({"definition": "notes", "input": {"id": "n-3"}, "attributes": {"a": "b\u{2066}"}});
    let (status, refused) = api.post("/v1/sagas", &attributes).await;
    assert_eq!((status, &refused["code"]), (422, &json!("invalid_attributes")), "{refused}");
}

fn documents(exchange: &str) -> String {
    r#"
saga: doc
version: 1
input: { type: object, required: [id], properties: { id: { type: string }, tree: {} } }
key: ${ input.id }
defaults: { exchange: EXCHANGE, timeout: 20s, retry: { attempts: 2, backoff: 100ms } }
steps:
  - name: store
    command: doc.store
    payload: { tree: "${ input.tree }" }
    compensate: { command: doc.drop, payload: { ref: "${ store.output }" } }
  - name: approval
    wait: { signal: approved }
    timeout: 1h
    on_timeout: fail
"#
    .replace("EXCHANGE", exchange)
}

fn tree(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

#[tokio::test]
async fn documents_that_are_accepted_can_be_read_after_a_restart() {
    let (mut world, queue) = world(documents).await;
    let mut ids = Vec::new();
    // The input has the tree one level deeper.
    for (levels, expected) in [(60, 201), (63, 201), (64, 422), (110, 422), (123, 422), (140, 422)] {
        let input = format!(r#"{{"id":"d-{levels}","tree":{}}}"#, tree(levels));
        let body = format!(r#"{{"definition":"doc","input":{input}}}"#);
        let (status, answered) = world.orchestrator.api.post_text("/v1/sagas", &body).await;
        assert_eq!(status, expected, "{levels}: {answered}");
        if status == 422 {
            assert_eq!(answered["code"], "too_deep", "{answered}");
        } else {
            ids.push(answered["id"].as_str().expect("an id").to_owned());
            answer(&world, &queue, "success", tree(64).as_bytes()).await;
        }
    }
    for id in &ids {
        until(Duration::from_secs(10), "the reply is read", async || {
            let (status, saga) = world.orchestrator.api.get(&format!("/v1/sagas/{id}")).await;
            assert_eq!(status, 200, "{saga}");
            saga["waits_for"].as_str().is_some_and(|waits| waits.contains("approved")).then_some(())
        })
        .await;
    }
    world.orchestrator.kill().await;
    world.orchestrator = world.plan.start().await;
    for id in &ids {
        let path = format!("/v1/sagas/{id}/signals/approved");
        let (status, answered) = world.orchestrator.api.post_text(&path, &tree(65)).await;
        assert_eq!((status, &answered["code"]), (422, &json!("too_deep")), "{answered}");
        let (status, answered) = world.orchestrator.api.post_text(&path, &tree(64)).await;
        assert_eq!(status, 202, "{answered}");
        let saga = world.orchestrator.api.wait_for(id, &["completed"]).await;
        assert!(saga["journal"].to_string().contains(&tree(64)));
    }
}

/// A value that its definition wraps beyond the limit is a clear failure, and never an unreadable saga.
#[tokio::test]
async fn a_template_that_nests_too_deep_fails_clearly() {
    fn wrapping(exchange: &str) -> String {
        documents(exchange).replace(
            r#"payload: { tree: "${ input.tree }" }"#,
            r#"payload: { envelope: { body: { document: { part: "${ input.tree }" } } } }"#,
        )
    }
    let (world, _) = world(wrapping).await;
    let api = &world.orchestrator.api;
    let id = api
        .start("doc", &json!({"id": "d-1", "tree": serde_json::from_str::<Value>(&tree(62)).expect("JSON")}))
        .await;
    let saga = api.wait_for(&id, &["compensated"]).await;
    let message = saga["problem"]["message"].as_str().expect("a message");
    assert!(message.contains("nests deeper than 64 levels"), "{message}");
}
