//! The retention of dead letters by age and number.

use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{Call, Fault, Observer, Planned};

use super::early::{TestClock, until};
use super::renewed::observed;
use super::*;

fn letter(at: Time) -> snorri_ports::store::DeadLetter {
    snorri_ports::store::DeadLetter {
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
    engine.dead_letters.discard(ids[599], &by).await.expect("discarded");
    clock.advance(hour + Duration::from_millis(1));
    until("what was resolved goes first", async || left().await.len() < 250).await;
    assert_eq!(left().await, ids[350..599]);
    clock.advance(2 * hour);
    until("all go by age", async || left().await.is_empty()).await;
    running.shut_down().await;
}

/// Counts the transactions.
#[derive(Debug, Default)]
struct Commits(AtomicUsize);

impl Observer for Commits {
    fn called(&self, call: &Call<'_>, _: Fault) {
        if call.method == "commit" {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A reply to nothing, which names a saga.
fn reply_about(id: SagaId) -> Delivery {
    let headers = [("snorri-saga".to_owned(), HeaderValue::Text(id.to_string()))];
    let properties = Properties { headers: headers.into(), ..Properties::default() };
    Delivery { properties, ..Delivery::default() }
}

/// Replies to nothing. The database hangs when the first is stored, and refuses one.
#[tokio::test(start_paused = true)]
async fn dead_letters_share_transactions_and_one_that_is_refused_takes_no_other_along() {
    let hang = Planned { method: "commit", number: 1, fault: Fault::Hang(Duration::from_secs(1)) };
    let commits = Arc::new(Commits::default());
    let (engine, running, poisoned) = observed(vec![hang], Arc::clone(&commits) as _).await;
    let options = options();
    let sagas: Vec<_> = (0..100).map(|_| SagaId(uuid::Uuid::now_v7())).collect();
    poisoned.insert(sagas[50]);
    let replies = handler("replies", &engine, &options);
    let verdicts = sagas.iter().map(|saga| give(replies.clone(), reply_about(*saga)));
    let verdicts = futures_util::future::join_all(verdicts).await;
    let count = |verdict| verdicts.iter().filter(|other| **other == verdict).count();
    assert_eq!(count(Verdict::Requeue), 1, "its transaction was given up");
    assert!(matches!(verdicts[50], Verdict::DeadLetter { code: "undecodable", .. }), "{:?}", verdicts[50]);
    assert_eq!(count(Verdict::Ack), 98);
    let letters = engine.queries.dead_letters(&LetterFilter::default(), 1_000).await.expect("dead letters");
    assert_eq!(letters.len(), 98);
    let made = commits.0.load(Ordering::SeqCst);
    assert!(made <= 20, "{made} transactions for 100 letters, one of which had to be found");
    running.shut_down().await;
}

/// A message longer than the largest usable one, with a publisher's false claim about its origin.
#[tokio::test]
async fn a_dead_letter_has_the_beginning_of_its_body_and_where_it_was_published() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    let options = options();
    let claimed = ("snorri-exchange".to_owned(), HeaderValue::Text("elsewhere".to_owned()));
    let delivery = Delivery {
        exchange: "shop.events".to_owned(),
        routing_key: "order.placed".to_owned(),
        properties: Properties { headers: [claimed].into(), ..Properties::default() },
        body: vec![0xff; 300_000],
        ..Delivery::default()
    };
    assert_eq!(give(handler("events", &engine, &options), delivery).await, Verdict::Ack);
    let letters = store.dead_letters(&LetterFilter::default(), 10).await.expect("dead letters");
    assert_eq!(
        (letters.len(), letters[0].queue.as_str(), letters[0].body.len()),
        (1, "snorri.events", 262_144)
    );
    let headers = &letters[0].properties["headers"];
    assert_eq!(
        (&headers["snorri-exchange"], &headers["snorri-routing-key"]),
        (&json!("shop.events"), &json!("order.placed"))
    );
    assert_eq!(headers["snorri-body-bytes"], "300000");
    // `head -c 300000 /dev/zero | tr '\000' '\377' | sha256sum`
    assert_eq!(
        headers["snorri-body-sha256"],
        "76b0aeaa517d0aafaa054a563434429a184a7f7e10c6403136c9daf1ed281024"
    );
    running.shut_down().await;
}
