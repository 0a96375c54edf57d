//! Messages that may crash a client of the broker: publishers may put anything into the headers of a message.

use tokio::process::Command;

use crate::support::faults::publish_poison;
use crate::*;

/// The hash of the body that `poison.py` makes for `large`.
const SHA256_OF_LARGE: &str = "c05d47344f4b704a1ef4725f9af24e32208321bbfd96bd4be6d5f343c1880374";

/// Publishes to a queue of the orchestrator.
async fn publish(world: &World, queue: &str, kind: &str) {
    publish_poison(&world.plan.amqp_url, &format!("{}.{queue}", world.plan.prefix), kind).await;
}

/// Waits for this many dead letters.
async fn dead_letters(world: &World, count: usize) -> Vec<Value> {
    until(Duration::from_secs(30), &format!("{count} dead letters"), async || {
        let (status, answer) = world.orchestrator.api.get("/v1/dead-letters").await;
        assert_eq!(status, 200, "{answer}");
        let letters = answer["dead_letters"].as_array().expect("a list").clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

#[tokio::test]
async fn headers_that_fill_a_frame_become_dead_letters() {
    let world = World::new().await;
    let queues = ["replies", "starts"];
    for kind in ["nested", "long"] {
        for queue in queues {
            publish(&world, queue, kind).await;
        }
    }
    for letter in dead_letters(&world, 4).await {
        let is_reply = letter["queue"] == format!("{}.replies", world.plan.prefix);
        let code = if is_reply { "undecodable" } else { "definition_not_found" };
        assert_eq!(letter["code"], code, "{letter}");
    }
    run(&world, &["completed"]).await;
}

#[tokio::test]
async fn a_property_that_is_not_utf_8_makes_a_dead_letter() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for queue in ["starts", "replies", "signals", "events"] {
        for kind in ["message_id", "type", "correlation_id", "app_id", "headers", "routing_key"] {
            publish(&world, queue, kind).await;
            expected.push((format!("{}.{queue}", world.plan.prefix), kind));
        }
    }
    let letters = dead_letters(&world, expected.len()).await;
    for (queue, kind) in expected {
        let of_queue = letters.iter().filter(|letter| letter["queue"] == queue);
        // The first error is reported: a reply without a good `correlation_id`, a signal without an addressee.
        let names_it = |letter: &&Value| letter["reason"].as_str().is_some_and(|why| why.contains(kind));
        let found = of_queue.clone().filter(names_it).count();
        assert!(
            of_queue.count() == 6 && (found > 0 || !queue.ends_with("events")),
            "{queue} {kind}: {letters:#?}"
        );
    }
    run(&world, &["completed"]).await;
    assert!(world.orchestrator.api.is_ready().await);
}

#[tokio::test]
async fn the_dead_letter_queue_may_hold_what_is_not_utf_8() {
    let world = World::new().await;
    publish(&world, "dead-letters", "message_id").await;
    let letters = dead_letters(&world, 1).await;
    assert_eq!(letters[0]["properties"]["message_id"], "Müller", "{letters:#?}");
    run(&world, &["completed"]).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_kept_in_part() {
    let world = World::new().await;
    for queue in ["starts", "signals", "replies"] {
        publish(&world, queue, "large").await;
    }
    for letter in dead_letters(&world, 3).await {
        let headers = &letter["properties"]["headers"];
        assert_eq!(headers["snorri-body-bytes"], "20000000", "{}", letter["reason"]);
        assert_eq!(headers["snorri-body-sha256"], SHA256_OF_LARGE);
    }
    run(&world, &["completed"]).await;
}

#[tokio::test]
async fn what_is_parked_is_listed_and_stays() {
    let Ok(management) = std::env::var("SNORRI_TEST_MANAGEMENT_URL") else {
        return eprintln!("skipped: SNORRI_TEST_MANAGEMENT_URL is not set");
    };
    let world = World::new().await;
    publish(&world, "parked", "message_id").await;
    let list = async |format: &str| {
        let listed = Command::new(env!("CARGO_BIN_EXE_snorri"))
            .args(["dead-letters", "--parked", "--output", format])
            .env("SNORRI__BROKER__URL", &world.plan.amqp_url)
            .env("SNORRI__BROKER__PREFIX", &world.plan.prefix)
            .env("SNORRI_MANAGEMENT_URL", &management)
            .output()
            .await
            .expect("it runs");
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).expect("UTF-8")
    };
    let listed: Value = serde_json::from_str(&list("json").await).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["properties"]["type"], "success");
    assert_eq!((&listed[0]["payload"], &listed[0]["payload_bytes"]), (&json!("{}"), &json!(2)));
    assert!(list("table").await.contains("success"));
    let parked = format!("{}.parked", world.plan.prefix);
    // The broker returns a listed message to its queue after the answer.
    until(Duration::from_secs(30), "the message", async || {
        (world.broker.depth(&parked).await.expect("a depth") == 1).then_some(())
    })
    .await;
    until(Duration::from_secs(30), "the metric", async || {
        let metrics = world.orchestrator.api.text("/metrics").await;
        metrics.lines().any(|line| line == "snorri_messages_parked 1").then_some(())
    })
    .await;
}
