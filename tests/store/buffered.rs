//! Events that arrived before their saga, and the age and number of dead letters.

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::{SagaId, Time};
use snorri_ports::store::{
    Batch, BufferLimits, Buffered, BufferedEvent, DeadLetter, ExpiredLetters, LetterFilter, Store,
};
use uuid::Uuid;

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{AWKWARD, first, saga_id};

const MANY: BufferLimits = BufferLimits { per_saga: 100, total: 1_000 };

pub fn event(saga: SagaId, expires_at: i64) -> BufferedEvent {
    let id = Uuid::now_v7();
    let source = EventSource::Event { exchange: AWKWARD.into(), event: "order.paid".into() };
    BufferedEvent {
        id,
        saga,
        identity: id,
        at: Time(5),
        expires_at: Time(expires_at),
        queue: AWKWARD.to_owned(),
        matched: expires_at % 2 == 1,
        arrival: ReceivedEvent::new(source, Some(AWKWARD.to_owned()), json!({AWKWARD: [1.5, null]})),
    }
}

async fn buffer(store: &Arc<dyn Store>, event: &BufferedEvent, limits: BufferLimits) -> Buffered {
    store.buffer_event(event, limits).await.expect("an answer")
}

#[rstest]
#[tokio::test]
async fn a_buffered_event_is_there_once_and_in_order(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga, other) = (&test.store, saga_id(), saga_id());
        let events = [event(saga, 10), event(saga, 9), event(other, 8)];
        for one in &events {
            assert_eq!(buffer(store, one, MANY).await, Buffered::New);
            let again = BufferedEvent { id: Uuid::now_v7(), expires_at: Time(99), ..one.clone() };
            assert_eq!(buffer(store, &again, MANY).await, Buffered::Duplicate);
        }
        assert_eq!(store.buffered_events(saga, 10).await.expect("events"), events[..2]);
        assert_eq!(store.buffered_events(saga, 1).await.expect("events"), events[..1]);
        assert_eq!(store.buffered_events(saga_id(), 10).await.expect("events"), []);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn the_buffer_is_bounded_for_a_saga_and_in_total(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga) = (&test.store, saga_id());
        let limits = BufferLimits { per_saga: 2, total: 3 };
        let of_saga = [event(saga, 10), event(saga, 10), event(saga, 10)];
        for (one, expected) in of_saga.iter().zip([Buffered::New, Buffered::New, Buffered::Full]) {
            assert_eq!(buffer(store, one, limits).await, expected);
        }
        assert_eq!(buffer(store, &of_saga[0], limits).await, Buffered::Duplicate, "it needs no room");
        assert_eq!(buffer(store, &event(saga_id(), 10), limits).await, Buffered::New);
        assert_eq!(buffer(store, &event(saga_id(), 10), limits).await, Buffered::Full);
        let gone = Batch { buffered_removed: vec![of_saga[0].id], ..Batch::default() };
        store.commit(gone).await.expect("a commit");
        assert_eq!(buffer(store, &of_saga[2], limits).await, Buffered::New, "there is room again");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn buffered_events_of_sagas_that_started_are_found(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let mut started = [saga_id(), saga_id(), saga_id()];
        started.sort();
        for saga in started.into_iter().chain([saga_id()]) {
            buffer(store, &event(saga, 10), MANY).await;
            buffer(store, &event(saga, 10), MANY).await;
        }
        assert_eq!(store.sagas_with_buffered_events(10).await.expect("sagas"), []);
        for saga in started {
            store.commit(first(saga, 10)).await.expect("a commit");
        }
        assert_eq!(store.sagas_with_buffered_events(10).await.expect("sagas"), started);
        assert_eq!(store.sagas_with_buffered_events(2).await.expect("sagas"), started[..2]);
    })
    .await;
}

/// Two processes may remove the same event at the same time: it becomes one dead letter.
#[rstest]
#[tokio::test]
async fn an_expired_event_becomes_one_dead_letter(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let events = [event(saga_id(), 30), event(saga_id(), 10), event(saga_id(), 20)];
        for one in &events {
            buffer(store, one, MANY).await;
        }
        let expired = store.expired_buffered_events(Time(20), 10).await.expect("events");
        assert_eq!(expired, [events[1].clone(), events[2].clone()], "the longest expired first");
        assert_eq!(store.expired_buffered_events(Time(30), 1).await.expect("events"), events[1..2]);
        assert_eq!(store.expired_buffered_events(Time(9), 10).await.expect("events"), []);
        for _ in 0..2 {
            let dead_letters = vec![letter(events[1].id, 20)];
            let batch = Batch { dead_letters, buffered_removed: vec![events[1].id], ..Batch::default() };
            store.commit(batch).await.expect("a commit");
        }
        assert_eq!(letters(store).await, [events[1].id]);
        assert_eq!(store.expired_buffered_events(Time(20), 10).await.expect("events"), events[2..]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn dead_letters_go_by_age_and_number(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let all: Vec<DeadLetter> = (0..10).map(|at| letter(Uuid::now_v7(), at)).collect();
        let ids = |numbers: &[usize]| numbers.iter().rev().map(|n| all[*n].id).collect::<Vec<_>>();
        let batch = Batch { dead_letters: all.clone(), ..Batch::default() };
        store.commit(batch).await.expect("a commit");
        let letters_resolved = vec![(all[8].id, Time(12)), (all[3].id, Time(20)), (all[7].id, Time(11))];
        store.commit(Batch { letters_resolved, ..Batch::default() }).await.expect("a commit");
        for (which, limit, expected, left) in [
            (ExpiredLetters::Before(Time(3)), 2, 2, &[2, 3, 4, 5, 6, 7, 8, 9][..]),
            (ExpiredLetters::Before(Time(3)), 2, 1, &[3, 4, 5, 6, 7, 8, 9]),
            (ExpiredLetters::Before(Time(3)), 2, 0, &[3, 4, 5, 6, 7, 8, 9]),
            (ExpiredLetters::ResolvedBefore(Time(11)), 9, 0, &[3, 4, 5, 6, 7, 8, 9]),
            (ExpiredLetters::ResolvedBefore(Time(13)), 1, 1, &[3, 4, 5, 6, 8, 9]),
            (ExpiredLetters::ResolvedBefore(Time(13)), 9, 1, &[3, 4, 5, 6, 9]),
            (ExpiredLetters::Beyond(5), 9, 0, &[3, 4, 5, 6, 9]),
            (ExpiredLetters::Beyond(3), 1, 1, &[4, 5, 6, 9]),
            (ExpiredLetters::Beyond(3), 9, 1, &[5, 6, 9]),
            (ExpiredLetters::Beyond(0), 9, 3, &[]),
        ] {
            let deleted = store.delete_dead_letters(which, limit).await.expect("a number");
            assert_eq!((deleted, letters(store).await), (expected, ids(left)), "{which:?} {limit}");
        }
    })
    .await;
}

fn letter(id: Uuid, at: i64) -> DeadLetter {
    DeadLetter {
        id,
        at: Time(at),
        queue: String::new(),
        code: String::new(),
        reason: String::new(),
        saga: None,
        step: None,
        properties: json!(null),
        body: Vec::new(),
        resolved_at: None,
    }
}

/// The ids of all dead letters, the newest first.
async fn letters(store: &Arc<dyn Store>) -> Vec<Uuid> {
    let all = LetterFilter { resolved: true, ..LetterFilter::default() };
    store.dead_letters(&all, 100).await.expect("dead letters").iter().map(|letter| letter.id).collect()
}
