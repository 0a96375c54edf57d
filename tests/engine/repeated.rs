//! Starts that come again.

use super::*;

/// A start that is taken for the first one of its saga, and is not, costs the whole batch a second commit.
#[tokio::test]
async fn the_start_of_a_saga_that_has_ended_conflicts_with_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    for number in 0..20 {
        let order = format!("o-{number}");
        let id = engine.start(start(&order)).await.expect("started").id;
        for step in ["reserve", "charge", "ship"] {
            engine.submit(id, success(step)).await.expect("accepted");
        }
        assert_eq!(status(&engine, id).await, Status::Completed);
        let again = engine.start(start(&order)).await.expect("started");
        assert!(!again.is_new && again.same_input);
    }
    assert_eq!(engine.metrics().conflicts.get(), 0);
    running.shut_down().await;
}

/// Another process has started the saga: this one learns that by the conflict, and only by that.
#[tokio::test]
async fn the_start_of_a_saga_that_another_engine_has_ended_is_recognized() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let ((one, one_running), (other, other_running)) = (engine(&store).await, engine(&store).await);
    let id = one.start(start("o-1")).await.expect("started").id;
    for step in ["reserve", "charge", "ship"] {
        one.submit(id, success(step)).await.expect("accepted");
    }
    assert!(!other.start(start("o-1")).await.expect("started").is_new);
    assert_eq!(other.metrics().conflicts.get(), 1);
    one_running.shut_down().await;
    other_running.shut_down().await;
}
