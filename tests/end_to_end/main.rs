//! The whole path on a real RabbitMQ and a real PostgreSQL: a `snorri serve` process, participants that behave and misbehave,
//! and the resulting journals.

mod bad_items;
mod broker;
mod commands;
mod definitions;
mod early;
mod order;
mod process;
mod python;
mod replies;
mod second_start;
#[path = "../support/mod.rs"]
mod support;
mod values;
#[path = "../topology/vhost.rs"]
mod vhost;

use std::time::Duration;

use serde_json::{Value, json};
use snorri_ports::broker::{Properties, Publication, Published, QueueDeclaration, Topology};
use support::orchestrator::{Plan, story};
use support::participants::{Manner, collect};
use support::until;
use support::world::{COMMANDS, World};
use tokio::time::Instant;

fn order(id: &str) -> Value {
    json!({"orderId": id, "amount": 100})
}

/// Starts one order and waits until it is in one of these states.
async fn run(world: &World, statuses: &[&str]) -> Value {
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    world.orchestrator.api.wait_for(&id, statuses).await
}

fn id(saga: &Value) -> &str {
    saga["id"].as_str().expect("an id")
}

#[tokio::test]
async fn garbage_goes_to_the_dead_letters_with_the_reason() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Garbage);
    let saga = run(&world, &["completed"]).await;
    let expected = "retry_scheduled charge (unreadable_reply)".to_owned();
    assert!(story(&saga).contains(&expected), "what cannot be read is an error: {:#?}", story(&saga));
    assert_eq!(story(&saga).len(), 9, "{:#?}", story(&saga));

    let api = &world.orchestrator.api;
    let letters = letters(&world, 2).await;
    for letter in &letters {
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.len() > 20), "{letter}");
        assert_eq!(letter["queue"], format!("{}.replies", world.plan.prefix), "{letter}");
    }
    let of_saga = letters.iter().find(|letter| letter["step"] == "charge").expect("one names its step");
    assert_eq!((&of_saga["saga"], &of_saga["code"]), (&saga["id"], &json!("unreadable_reply")), "{of_saga}");
    assert_eq!(saga["dead_letters"][0]["id"], of_saga["id"], "the saga names it");
    assert!(letters.iter().any(|letter| letter["code"] == "undecodable"), "the one that names no saga");

    let by = json!({"reason": "a test"});
    let path = |letter: &Value| format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
    let (status, discarded) = api.post(&format!("{}/discard", path(&letters[0])), &by).await;
    assert_eq!((status, discarded["resolved_at"].is_string()), (200, true), "{discarded}");
    let (status, replayed) = api.post(&format!("{}/replay", path(&letters[1])), &by).await;
    assert_eq!(status, 200, "{replayed}");
    let again = self::letters(&world, 1).await;
    assert_ne!(again[0]["id"], letters[1]["id"], "it is as unreadable as it was, and another letter");
    assert_eq!((&again[0]["body"], &again[0]["reason"]), (&letters[1]["body"], &letters[1]["reason"]));
    let (status, problem) = api.post(&format!("{}/replay", path(&letters[1])), &by).await;
    assert_eq!((status, &problem["code"]), (409, &json!("dead_letter_resolved")), "{problem}");
    let (_, audit) = api.get("/v1/audit").await;
    let actions: Vec<_> =
        audit["entries"].as_array().expect("entries").iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["replay_dead_letter", "discard_dead_letter"]);
}

/// The unresolved dead letters, once there are so many.
async fn letters(world: &World, count: usize) -> Vec<Value> {
    until(Duration::from_secs(10), "dead letters", async || {
        let (_, page) = world.orchestrator.api.get("/v1/dead-letters").await;
        let letters = page["dead_letters"].as_array().expect("letters").clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

#[tokio::test]
async fn an_unroutable_command_waits_for_a_route_and_is_then_stuck() {
    let without_payment: Vec<_> =
        COMMANDS.into_iter().filter(|command| *command != "payment.charge").collect();
    let world = World::with(&without_payment, support::world::order).await;
    let saga = run(&world, &["stuck"]).await;
    let story = story(&saga);
    assert_eq!(story[..4], ["started", "sent reserve #1", "completed reserve", "sent charge #1"]);
    let (last, tried) = story[4..].split_last().expect("what follows");
    assert_eq!(last, "held charge (unroutable)");
    assert!(!tried.is_empty(), "held at once");
    for (nth, line) in tried.iter().enumerate() {
        let expected = ["waiting_for_route charge (unroutable)", "sent charge #1"][nth % 2];
        assert_eq!(line, expected, "{story:#?}");
    }
    assert_eq!(saga["incidents"][0]["code"], "unroutable");
    let message = saga["incidents"][0]["message"].as_str().expect("a message");
    assert!(message.contains("payment.charge") && message.contains(&world.exchange), "{message}");
}

#[tokio::test]
async fn input_that_breaks_the_schema_is_refused_with_its_path() {
    let world = World::new().await;
    let api = &world.orchestrator.api;
    let start = |input: Value| json!({"definition": "order", "input": input});
    let (status, body) = api.post("/v1/sagas", &start(json!({"orderId": "o-1", "amount": "ten"}))).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("invalid_input")), "{body}");
    assert_eq!(body["errors"][0]["pointer"], "/input/amount");

    let (status, body) = api.post("/v1/sagas", &json!({"definition": "ordr", "input": {}})).await;
    assert_eq!((status, body["code"].as_str()), (404, Some("definition_not_found")), "{body}");
    let (status, body) = api.post("/v1/sagas", &json!({"definition": "order", "inptu": {}})).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("invalid_body")), "{body}");
    let (status, body) = api.get("/v1/sagas/00000000-0000-0000-0000-000000000000").await;
    assert_eq!((status, body["code"].as_str()), (404, Some("saga_not_found")), "{body}");
    let (_, body) = api.get("/v1/sagas").await;
    assert_eq!(body["sagas"], json!([]), "nothing was started");
}

#[tokio::test]
async fn a_business_key_has_one_saga() {
    let world = World::new().await;
    let api = &world.orchestrator.api;
    let body = json!({"definition": "order", "input": order("o-1")});
    let starts = futures_util::future::join_all((0..200).map(|_| api.post("/v1/sagas", &body))).await;
    let created = starts.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(created, 1, "one of 200 starts made the saga");
    assert!(starts.iter().all(|(status, _)| [200, 201].contains(status)), "the others learned of it");

    let other = json!({"definition": "order", "input": {"orderId": "o-1", "amount": 7}});
    let (status, body) = api.post("/v1/sagas", &other).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("key_in_use")), "{body}");
    let (_, body) = api.get("/v1/sagas?key=o-1").await;
    assert_eq!(body["sagas"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_start_over_amqp_is_answered_with_the_outcome() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Refuse("card_declined"));
    let answers = format!("{}.answers", world.plan.prefix);
    let queue = QueueDeclaration { name: answers.clone(), bindings: Vec::new(), dead_letters: None };
    world.broker.declare(&Topology { exchanges: Vec::new(), queues: vec![queue] }).await.expect("declared");
    let start = |correlation: &str, input: &Value| Publication {
        exchange: String::new(),
        routing_key: format!("{}.starts", world.plan.prefix),
        properties: Properties {
            kind: Some("order".to_owned()),
            correlation_id: Some(correlation.to_owned()),
            reply_to: Some(answers.clone()),
            ..Properties::default()
        },
        body: serde_json::to_vec(input).expect("JSON"),
    };
    let starts = vec![start("good", &order("o-1")), start("bad", &json!({"orderId": 1}))];
    assert_eq!(world.broker.publish(starts).await, [Published::Confirmed, Published::Confirmed]);
    let heard = collect(&world.broker, &answers, 2).await;
    let kind_of = |correlation: &str| {
        let answer =
            heard.iter().find(|answer| answer.properties.correlation_id.as_deref() == Some(correlation));
        answer.and_then(|answer| answer.properties.kind.clone())
    };
    assert_eq!(kind_of("good").as_deref(), Some("compensated"));
    assert_eq!(kind_of("bad").as_deref(), Some("rejected"));
}

#[tokio::test]
async fn a_cancel_rolls_back() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Late(Duration::from_millis(300)));
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    until(Duration::from_secs(5), "charging", async || {
        let saga = world.orchestrator.api.saga(&id).await;
        story(&saga).contains(&"sent charge #1".to_owned()).then_some(())
    })
    .await;
    let cancel = json!({"actor": "ann", "reason": "changed my mind"});
    let (status, body) = world.orchestrator.api.post(&format!("/v1/sagas/{id}/cancel"), &cancel).await;
    assert_eq!(status, 200, "{body}");
    let saga = world.orchestrator.api.wait_for(&id, &["compensated"]).await;
    assert!(story(&saga).contains(&"stopping (cancelled)".to_owned()));
    assert_eq!(world.effects(&id), [(1, 1), (1, 1), (0, 0)]);
}

#[tokio::test]
async fn a_saga_keeps_its_version_when_its_file_is_gone() {
    let mut world = World::new().await;
    world.take("payment.charge", Manner::Silent);
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    until(Duration::from_secs(5), "charging", async || {
        let saga = world.orchestrator.api.saga(&id).await;
        story(&saga).contains(&"sent charge #1".to_owned()).then_some(())
    })
    .await;
    assert_eq!(world.orchestrator.terminate().await, Some(0), "SIGTERM ends it in order");

    std::fs::remove_file(world.definitions.path().join("order.yaml")).expect("removed");
    world.participants.take("payment.charge", Manner::Succeed);
    world.orchestrator = world.plan.start().await;
    world.orchestrator.api.wait_for(&id, &["completed"]).await;
}

#[tokio::test]
async fn a_closed_terminal_does_not_end_the_process() {
    let world = World::new().await;
    world.orchestrator.signal("-HUP").await;
    run(&world, &["completed"]).await;
    assert_eq!(world.orchestrator.terminate().await, Some(0));
}

#[tokio::test]
async fn a_registered_version_never_changes() {
    let mut world = World::new().await;
    assert_eq!(world.orchestrator.terminate().await, Some(0));
    let path = world.definitions.path().join("order.yaml");
    let source = std::fs::read_to_string(&path).expect("the definition");
    std::fs::write(&path, source.replace("500ms", "600ms")).expect("written");
    world.orchestrator = world.plan.start().await;
    let body = json!({"definition": "order", "input": order("o-0")});
    let (status, problem) = world.orchestrator.api.post("/v1/sagas", &body).await;
    assert_eq!((status, &problem["code"]), (409, &json!("definition_changed")), "{problem}");
    assert_eq!(world.orchestrator.terminate().await, Some(0));

    std::fs::write(&path, source.replace("500ms", "600ms").replace("version: 1", "version: 2"))
        .expect("written");
    world.orchestrator = world.plan.start().await;
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    let saga = world.orchestrator.api.wait_for(&id, &["completed"]).await;
    assert_eq!(saga["version"], 2);
}

#[tokio::test]
async fn a_deadline_survives_a_restart_is_never_early_and_fires_within_a_second() {
    fn slow(exchange: &str) -> String {
        support::world::order(exchange)
            .replace("timeout: 500ms\n  unroutable", "timeout: 3s\n  unroutable")
            .replace("retry: { attempts: 2", "retry: { attempts: 1")
    }
    let mut world = World::with(&COMMANDS, slow).await;
    world.take("inventory.reserve", Manner::Silent);
    let began = Instant::now();
    let id = world.orchestrator.api.start("order", &order("o-1")).await;
    world.orchestrator.kill().await;
    world.orchestrator = world.plan.start().await;
    let saga = world.orchestrator.api.wait_for(&id, &["compensated"]).await;
    let waited = began.elapsed();
    let entries = saga["journal"].as_array().expect("a journal");
    let at = |entry: &Value| {
        let time = entry["at"].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(time).expect("RFC 3339").timestamp_millis()
    };
    let timeout = entries.iter().position(|entry| entry["facts"].to_string().contains("\"unknown\""));
    let (before, timeout) = entries.split_at(timeout.expect("a timeout"));
    // The clock of the attempt starts again if the command was left in the outbox.
    let facts = before.iter().flat_map(|entry| entry["facts"].as_array().expect("facts"));
    let deadline =
        |fact: &Value| ["sent", "clock_started"].iter().find_map(|kind| fact[*kind]["deadline"].as_i64());
    let deadline = facts.filter_map(deadline).next_back().expect("a deadline");
    assert!(deadline - at(&before[0]) >= 3_000, "{entries:#?}");
    let late = at(&timeout[0]) - deadline;
    assert!((0..1_000).contains(&late), "{late} ms after the deadline ({waited:?} in all): {entries:#?}");
}

#[tokio::test]
async fn two_orchestrators_share_the_work_and_one_takes_over() {
    let world = World::with(&COMMANDS, |exchange| {
        support::world::order(exchange).replace("timeout: 500ms\n", "timeout: 10s\n")
    })
    .await;
    let other = Plan::new(
        &world.plan.amqp_url,
        &world.plan.database_url,
        &world.plan.prefix,
        world.definitions.path(),
    );
    let other = other.start().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        let api = if number % 2 == 0 { &world.orchestrator.api } else { &other.api };
        ids.push(api.start("order", &order(&format!("o-{number}"))).await);
    }
    other.kill().await;
    for id in ids {
        let saga = world.orchestrator.api.wait_for(&id, &["completed"]).await;
        assert_eq!(story(&saga).len(), 8, "{:#?}", story(&saga));
        assert_eq!(world.effects(&id), [(1, 0), (1, 0), (1, 0)]);
    }
}

fn approved(_: &str) -> String {
    r#"
saga: order
version: 1
steps:
  - name: approval
    wait: { signal: approved }
    timeout: 1h
output: { by: "${ approval.output.by }" }
"#
    .to_owned()
}

#[tokio::test]
async fn a_signal_goes_in_by_http() {
    let world = World::with(&[], approved).await;
    let api = &world.orchestrator.api;
    let id = api.start("order", &json!({})).await;
    let send = async |id: &str, name: &str| {
        api.post(&format!("/v1/sagas/{id}/signals/{name}"), &json!({"by": "ann"})).await
    };
    let (status, problem) = send(&id, "other").await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_awaited")), "{problem}");
    let (status, body) = send(&id, "approved").await;
    assert_eq!((status, &body["status"]), (202, &json!("completed")), "{body}");
    let (status, problem) = send("018f3c9e-1111-7222-8333-444455556666", "approved").await;
    assert_eq!((status, &problem["code"]), (404, &json!("saga_not_found")), "{problem}");
    assert_eq!(api.saga(&id).await["output"], json!({"by": "ann"}));
}
