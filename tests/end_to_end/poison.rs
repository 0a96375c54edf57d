//! Messages that a client of the broker may choke on: anybody may put anything into the headers of a message.

use tokio::process::Command;

use super::*;

/// Publishes to a queue of the orchestrator.
async fn publish(world: &World, queue: &str, kind: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/poison.py");
    let queue = format!("{}.{queue}", world.plan.prefix);
    let published =
        Command::new("/usr/bin/python3").args([script, &world.plan.amqp_url, &queue, kind]).status().await;
    assert!(published.expect("python3 with pika").success(), "not published");
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
    let letters = until(Duration::from_secs(30), "four dead letters", async || {
        let (status, answer) = world.orchestrator.api.get("/v1/dead-letters").await;
        assert_eq!(status, 200, "{answer}");
        let letters = answer["dead_letters"].as_array().expect("a list").clone();
        (letters.len() == 4).then_some(letters)
    });
    for letter in letters.await {
        let is_reply = letter["queue"] == format!("{}.replies", world.plan.prefix);
        let code = if is_reply { "undecodable" } else { "definition_not_found" };
        assert_eq!(letter["code"], code, "{letter}");
    }
    run(&world, &["completed"]).await;
}
