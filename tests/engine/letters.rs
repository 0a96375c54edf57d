//! How long and how many dead letters are kept.

use super::early::{TestClock, until};
use super::*;

fn letter(at: Time) -> snorri::store::DeadLetter {
    snorri::store::DeadLetter {
        id: uuid::Uuid::now_v7(),
        at,
        queue: "snorri.replies".to_owned(),
        code: "undecodable".to_owned(),
        reason: "a test".to_owned(),
        saga: None,
        step: None,
        properties: json!({}),
        body: Vec::new(),
        resolved_at: None,
    }
}

#[tokio::test]
async fn dead_letters_are_bounded_in_age_and_number() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let hour = Duration::from_secs(3_600);
    let retention = retention::Options {
        dead_letters: retention::Keep::of(3 * hour),
        resolved_dead_letters: retention::Keep::of(hour),
        max_dead_letters: 250,
        interval: Duration::from_millis(10),
        ..options().retention
    };
    let letters: Vec<_> = (0..600).map(|number| letter(Time(clock.now().0 - 600 + number))).collect();
    let ids: Vec<_> = letters.iter().map(|letter| letter.id).collect();
    store.commit(Batch { dead_letters: letters, ..Batch::default() }).await.expect("a commit");
    let (engine, running) = engine_at(&store, &Options { retention, ..options() }, clock.clone()).await;
    let all = LetterFilter { resolved: true, ..LetterFilter::default() };
    let left = async || {
        let letters = store.dead_letters(&all, 1_000).await.expect("dead letters");
        letters.into_iter().map(|letter| letter.id).rev().collect::<Vec<_>>()
    };
    until("the oldest go", async || left().await.len() <= 250).await;
    assert_eq!(left().await, ids[350..], "the newest stay");

    let by = By { actor: "ann".to_owned(), reason: "a test".to_owned() };
    engine.discard_letter(ids[599], &by).await.expect("discarded");
    clock.advance(hour + Duration::from_millis(1));
    until("what was resolved goes first", async || left().await.len() < 250).await;
    assert_eq!(left().await, ids[350..599]);
    clock.advance(2 * hour);
    until("all go by age", async || left().await.is_empty()).await;
    running.shut_down().await;
}
