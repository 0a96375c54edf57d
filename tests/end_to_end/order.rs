//! One order: what completes, what is compensated, and in which order.

use super::*;

#[tokio::test]
async fn a_happy_order_completes() {
    let world = World::new().await;
    let saga = run(&world, &["completed"]).await;
    let expected = [
        "started",
        "sent reserve #1",
        "completed reserve",
        "sent charge #1",
        "completed charge",
        "sent ship #1",
        "completed ship",
        "ended completed",
    ];
    assert_eq!(story(&saga), expected);
    assert_eq!(saga["output"], json!({"shipped": "ship"}));
    assert_eq!(world.effects(id(&saga)), [(1, 0), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn a_refused_first_step_ends_the_saga_at_once() {
    let world = World::new().await;
    world.take("inventory.reserve", Manner::Refuse("sold_out"));
    let saga = run(&world, &["compensated"]).await;
    let expected = [
        "started",
        "sent reserve #1",
        "failed reserve (sold_out)",
        "stopping (sold_out)",
        "rollback_began",
        "ended compensated",
    ];
    assert_eq!(story(&saga), expected);
}

#[tokio::test]
async fn a_refused_second_step_compensates_the_first() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Refuse("card_declined"));
    let saga = run(&world, &["compensated"]).await;
    let expected = [
        "started",
        "sent reserve #1",
        "completed reserve",
        "sent charge #1",
        "failed charge (card_declined)",
        "stopping (card_declined)",
        "rollback_began",
        "sent compensation reserve #1",
        "compensated reserve",
        "ended compensated",
    ];
    assert_eq!(story(&saga), expected);
    assert_eq!(world.effects(id(&saga)), [(1, 1), (0, 0), (0, 0)]);
}

#[tokio::test]
async fn a_refused_pivot_compensates_all_in_reverse_order() {
    let world = World::new().await;
    world.take("shipping.book", Manner::Refuse("no_carrier"));
    let saga = run(&world, &["compensated"]).await;
    let expected = [
        "started",
        "sent reserve #1",
        "completed reserve",
        "sent charge #1",
        "completed charge",
        "sent ship #1",
        "failed ship (no_carrier)",
        "stopping (no_carrier)",
        "rollback_began",
        "sent compensation charge #1",
        "compensated charge",
        "sent compensation reserve #1",
        "compensated reserve",
        "ended compensated",
    ];
    assert_eq!(story(&saga), expected);
    assert_eq!(world.effects(id(&saga)), [(1, 1), (1, 1), (0, 0)]);
}

#[tokio::test]
async fn a_first_step_that_never_replies_is_compensated_itself() {
    let world = World::new().await;
    world.take("inventory.reserve", Manner::Silent);
    let saga = run(&world, &["compensated"]).await;
    let expected = [
        "started",
        "sent reserve #1",
        "retry_scheduled reserve (timeout)",
        "sent reserve #2",
        "unknown reserve (timeout)",
        "stopping (timeout)",
        "rollback_began",
        "sent compensation reserve #1",
        "compensated reserve",
        "ended compensated",
    ];
    assert_eq!(story(&saga), expected);
    assert_eq!(world.effects(id(&saga)), [(1, 1), (0, 0), (0, 0)]);
}

#[tokio::test]
async fn a_second_step_that_never_replies_is_compensated_first() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Silent);
    let saga = run(&world, &["compensated"]).await;
    let tail = [
        "unknown charge (timeout)",
        "stopping (timeout)",
        "rollback_began",
        "sent compensation charge #1",
        "compensated charge",
        "sent compensation reserve #1",
        "compensated reserve",
        "ended compensated",
    ];
    let story = story(&saga);
    assert_eq!(story[story.len() - tail.len()..], tail);
    assert_eq!(world.effects(id(&saga)), [(1, 1), (1, 1), (0, 0)]);
}

#[tokio::test]
async fn a_pivot_that_never_replies_is_stuck_and_never_compensated() {
    let world = World::new().await;
    world.take("shipping.book", Manner::Silent);
    let saga = run(&world, &["stuck"]).await;
    let tail = ["sent ship #1", "retry_scheduled ship (timeout)", "sent ship #2", "held ship (timeout)"];
    let story = story(&saga);
    assert_eq!(story[story.len() - tail.len()..], tail);
    assert_eq!(saga["incidents"][0]["code"], "timeout");
    assert_eq!(world.effects(id(&saga)), [(1, 0), (1, 0), (1, 0)]);

    let cancel = json!({"actor": "ann", "reason": "too slow"});
    let (status, body) =
        world.orchestrator.api.post(&format!("/v1/sagas/{}/cancel", id(&saga)), &cancel).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("pivot_unknown")), "{body}");
}

#[tokio::test]
async fn an_error_is_tried_again() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Fail(1));
    let saga = run(&world, &["completed"]).await;
    assert!(story(&saga).contains(&"retry_scheduled charge (busy)".to_owned()));
    assert!(story(&saga).contains(&"sent charge #2".to_owned()));
    assert_eq!(world.effects(id(&saga)), [(1, 0), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn a_repeated_reply_changes_nothing() {
    let world = World::new().await;
    for command in COMMANDS {
        world.take(command, Manner::Twice);
    }
    let saga = run(&world, &["completed"]).await;
    assert_eq!(story(&saga).len(), 8, "{:#?}", story(&saga));
    assert_eq!(world.effects(id(&saga)), [(1, 0), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn a_reply_after_the_first_deadline_is_accepted() {
    fn slow(exchange: &str) -> String {
        support::world::order(exchange).replace("timeout: 500ms\n", "timeout: 2s\n")
    }
    let world = World::with(&COMMANDS, slow).await;
    world.take("payment.charge", Manner::Late(Duration::from_millis(3_200)));
    let saga = run(&world, &["completed"]).await;
    assert!(story(&saga).contains(&"sent charge #2".to_owned()), "{:#?}", story(&saga));
    assert_eq!(world.effects(id(&saga)), [(1, 0), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn a_reply_after_the_compensation_is_journaled_as_late() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Late(Duration::from_millis(2_500)));
    let saga = run(&world, &["compensated"]).await;
    let id = id(&saga).to_owned();
    let saga = until(Duration::from_secs(10), "a late reply", async || {
        let saga = world.orchestrator.api.saga(&id).await;
        story(&saga).contains(&"late_reply charge".to_owned()).then_some(saga)
    })
    .await;
    assert_eq!(saga["status"], "compensated");
    assert_eq!(world.effects(&id), [(1, 1), (1, 1), (0, 0)]);
}
