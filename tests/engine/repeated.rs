//! Repeated starts.

use testkit::{Fault, Planned};

use super::*;

/// A start that is wrongly taken for the first one of its saga costs the whole batch a second commit.
#[tokio::test]
async fn the_start_of_a_saga_that_has_ended_conflicts_with_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    for number in 0..20 {
        let order = format!("o-{number}");
        let id = engine.starter.start(start(&order)).await.expect("started").id;
        for step in ["reserve", "charge", "ship"] {
            engine.submitter.submit(id, success(step)).await.expect("accepted");
        }
        assert_eq!(status(&engine, id).await, Status::Completed);
        let again = engine.starter.start(start(&order)).await.expect("started");
        assert!(!again.is_new && again.same_input);
    }
    assert_eq!(engine.parts.metrics.conflicts.get(), 0);
    running.shut_down().await;
}

/// Another process has started the saga: this one learns that only by the conflict.
#[tokio::test]
async fn the_start_of_a_saga_that_another_engine_has_ended_is_recognized() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let ((one, one_running), (other, other_running)) = (engine(&store).await, engine(&store).await);
    let id = one.starter.start(start("o-1")).await.expect("started").id;
    for step in ["reserve", "charge", "ship"] {
        one.submitter.submit(id, success(step)).await.expect("accepted");
    }
    assert!(!other.starter.start(start("o-1")).await.expect("started").is_new);
    assert_eq!(other.parts.metrics.conflicts.get(), 1);
    one_running.shut_down().await;
    other_running.shut_down().await;
}

/// The lane waits for the database meanwhile, with the first start of another saga.
#[tokio::test(start_paused = true)]
async fn the_start_of_a_saga_that_has_ended_waits_for_no_batch() {
    let slow = Fault::Hang(Duration::from_secs(3));
    let (engine, running, _) =
        renewed::scripted(vec![Planned { method: "commit", number: 5, fault: slow }]).await;
    let id = engine.starter.start(start("o-1")).await.expect("started").id;
    for step in ["reserve", "charge", "ship"] {
        engine.submitter.submit(id, success(step)).await.expect("accepted");
    }
    let lane = |key: &str| SagaId::of_key("order", key).0.as_u64_pair().1 % 2;
    let keys = (2..100).map(|number| format!("o-{number}"));
    let neighbour = keys.into_iter().find(|key| lane(key) == lane("o-1")).expect("a key of the same lane");
    let other = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.starter.start(start(&neighbour)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked_at = tokio::time::Instant::now();
    assert!(!engine.starter.start(start("o-1")).await.expect("started").is_new);
    assert!(asked_at.elapsed() < Duration::from_secs(1), "{:?}", asked_at.elapsed());
    assert!(other.await.expect("no panic").expect("started").is_new);
    running.shut_down().await;
}
