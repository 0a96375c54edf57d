//! A commit is complete, and happens once.

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;
use snorri_core::journal::Fact;
use snorri_core::{SagaId, Status, Time};
use snorri_ports::store::{Appended, Batch, ChangedSaga, Error, Filter, SagaRow};

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{
    STARTED_AT, all_kinds, appended, entry, first, numbered, row, saga_id, timed, unsent, without_timer,
};
use crate::{LEASE, claim_due, claim_unsent, commit, list};

#[rstest]
#[tokio::test]
async fn what_was_committed_is_loaded(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (one, other, never) = (saga_id(), saga_id(), saga_id());
        let entries = all_kinds();
        for (seq, entry) in (1..).zip(&entries) {
            commit(&test.store, [appended(one, seq, entry.clone())]).await;
        }
        let at_once: Vec<_> =
            (1..).zip(&entries).map(|(seq, entry)| appended(other, seq, entry.clone())).collect();
        // A batch may hold its entries in any order.
        commit(&test.store, at_once.into_iter().rev()).await;

        let loaded = test.store.load(&[one, never, other]).await.expect("journals").journals;
        assert_eq!(loaded, HashMap::from([(one, entries.clone()), (other, entries)]));
        assert!(test.store.load(&[]).await.expect("journals").journals.is_empty());
        let count = u32::try_from(all_kinds().len()).expect("few");
        let heads = test.store.heads(&[one, never, other]).await.expect("heads");
        assert_eq!(heads, HashMap::from([(one, count), (other, count)]));
        assert!(test.store.heads(&[]).await.expect("heads").is_empty());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_conflict_writes_nothing_of_its_batch(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let (old, new) = (saga_id(), saga_id());
        store.commit(first(old, 10)).await.expect("a commit");
        let queued = store.claim_unsent(Time(10), LEASE, 10).await.expect("messages");

        let mut batch = first(new, 20);
        batch.entries.push(appended(old, 1, numbered(20)));
        batch.sagas.push(without_timer(SagaRow { status: Status::Stuck, ..row(old, 20) }));
        batch.sent.push(queued[0].id);
        assert!(matches!(store.commit(batch).await, Err(Error::Conflict)));

        let loaded = store.load(&[old, new]).await.expect("journals").journals;
        assert_eq!(loaded, HashMap::from([(old, vec![numbered(10)])]));
        assert_eq!(list(store, Filter::default()).await, [row(old, 10)]);
        assert_eq!(store.claim_unsent(Time(1_000), LEASE, 10).await.expect("messages"), queued);
        assert_eq!(store.claim_due(Time(1_000), LEASE, 10).await.expect("wake-ups"), [old]);
    })
    .await;
}

/// Two processes have not the same time.
#[rstest]
#[tokio::test]
async fn a_saga_starts_once_at_whatever_times(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga, other) = (&test.store, saga_id(), saga_id());
        store.commit(first(saga, 10)).await.expect("a commit");
        let mut again = first(other, 10);
        let started_at = Time(STARTED_AT + 5);
        again.entries.push(Appended { started_at, ..appended(saga, 1, numbered(15)) });
        let row = SagaRow { started_at, ..row(saga, 15) };
        again.sagas.push(ChangedSaga { row, is_new: true, timer: None });
        assert!(matches!(store.commit(again).await, Err(Error::Conflict)));
        let loaded = store.load(&[saga, other]).await.expect("journals").journals;
        assert_eq!(loaded, HashMap::from([(saga, vec![numbered(10)])]));
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_batch_that_contradicts_itself_conflicts(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let saga = saga_id();
        let entries = vec![appended(saga, 1, numbered(1)), appended(saga, 1, numbered(2))];
        let twice = test.store.commit(Batch { entries, ..Batch::default() }).await;
        assert!(matches!(twice, Err(Error::Conflict)));
        assert!(test.store.load(&[saga]).await.expect("journals").journals.is_empty());
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_writers_one_wins(#[values(Memory, Sqlite, Postgres)] on: On) {
    const WRITERS: i64 = 6;
    const ROUNDS: u32 = 20;
    run(on, async |test| {
        // Each writer names the sagas in another order: they must not wait for each other in a circle.
        let sagas: Vec<SagaId> = (0..4).map(|_| saga_id()).collect();
        let mut winners = Vec::new();
        for seq in 1..=ROUNDS {
            let attempts = (0..WRITERS).map(|writer| {
                let (store, mut sagas) = (Arc::clone(&test.store), sagas.clone());
                sagas.rotate_left(writer as usize % 4);
                let entries = sagas.iter().map(|saga| appended(*saga, seq, numbered(writer))).collect();
                let row = |saga| ChangedSaga { is_new: seq == 1, ..timed(saga, None) };
                let sagas = sagas.iter().map(|saga| row(*saga)).collect();
                tokio::spawn(async move {
                    (writer, store.commit(Batch { entries, sagas, ..Batch::default() }).await)
                })
            });
            let mut won = Vec::new();
            for attempt in join_all(attempts).await {
                match attempt.expect("a writer") {
                    (writer, Ok(())) => won.push(writer),
                    (_, Err(Error::Conflict)) => {}
                    (writer, Err(error)) => panic!("writer {writer}: {error:?}"),
                }
            }
            assert_eq!(won.len(), 1, "winners of round {seq}: {won:?}");
            winners.push(numbered(won[0]));
        }
        let loaded = test.store.load(&sagas).await.expect("journals").journals;
        assert_eq!(loaded, sagas.into_iter().map(|saga| (saga, winners.clone())).collect());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn large_batches_and_payloads_fit(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let sagas: Vec<SagaId> = (0..2_000).map(|_| saga_id()).collect();
        let many = |at: i64, seq: u32| Batch {
            entries: sagas.iter().map(|saga| appended(*saga, seq, numbered(at))).collect(),
            sagas: sagas.iter().map(|saga| timed(*saga, Some(at))).collect(),
            outbox: sagas.iter().map(|saga| unsent(*saga)).collect(),
            outbox_reserved_until: Time(at),
            ..Batch::default()
        };
        store.commit(many(10, 1)).await.expect("a commit");
        let queued = store.claim_unsent(Time(10), LEASE, 5_000).await.expect("messages");
        assert_eq!(queued.len(), 2_000);
        let mut second = many(20, 2);
        second.sent = queued.iter().map(|row| row.id).collect();
        store.commit(second).await.expect("a commit");
        assert_eq!(store.count_unsent(1_000_000).await.expect("a count"), 2_000);
        let loaded = store.load(&sagas).await.expect("journals").journals;
        assert!(sagas.iter().all(|saga| loaded[saga] == [numbered(10), numbered(20)]));
        assert_eq!(store.claim_due(Time(20), LEASE, 5_000).await.expect("wake-ups").len(), 2_000);

        let saga = saga_id();
        let payload = "ü\"\\".repeat(snorri_core::MAX_PAYLOAD_BYTES / 6);
        let output = Arc::new(json!(payload));
        let step = "charge".parse().expect("a path");
        let large = entry(30, vec![Fact::Completed { step, output: Arc::clone(&output) }]);
        let mut batch = first(saga, 30);
        batch.entries = vec![appended(saga, 1, large.clone())];
        let outbox = batch.outbox.clone();
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.load(&[saga]).await.expect("journals").journals[&saga], [large]);
        let queued = store.claim_unsent(Time(30), LEASE, 5_000).await.expect("messages");
        assert_eq!(queued[2_000..], outbox);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn everything_is_there_after_reopening(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let saga = saga_id();
        test.store.commit(first(saga, 10)).await.expect("a commit");
        test.reopen().await;
        let store = &test.store;
        store.check().await.expect("a sound database");
        assert_eq!(store.load(&[saga]).await.expect("journals").journals[&saga], [numbered(10)]);
        assert_eq!(store.saga(saga).await.expect("a saga"), Some(row(saga, 10)));
        assert_eq!(claim_unsent(store, 10).await.len(), 1);
        assert_eq!(claim_due(store, 10).await, [saga]);
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_commit_happens_as_a_whole_or_not_at_all(#[values(Memory, Sqlite, Postgres)] on: On) {
    const COMMITS: usize = 200;
    const SAGAS_EACH: usize = 20;
    run(on, async |test| {
        let batches: Vec<Vec<SagaId>> =
            (0..COMMITS).map(|_| (0..SAGAS_EACH).map(|_| saga_id()).collect()).collect();
        for (round, concurrent) in batches.chunks(10).enumerate() {
            let commits = concurrent.iter().enumerate().map(|(number, sagas)| {
                let (store, batch) = (Arc::clone(&test.store), whole(sagas));
                // Each poll gets it one await further. One in seven is left to complete.
                let polls = (round + number) % 7;
                tokio::spawn(async move {
                    dropped_after(if polls == 6 { usize::MAX } else { polls }, store.commit(batch)).await
                })
            });
            for commit in join_all(commits).await {
                assert!(!matches!(commit.expect("a commit"), Some(Err(_))));
            }
        }
        let after = saga_id();
        test.store.commit(first(after, 10)).await.expect("a usable store");
        test.reopen().await;

        let store = &test.store;
        let queued = store.claim_unsent(Time(10), LEASE, 10_000).await.expect("messages");
        let queued: HashSet<SagaId> = queued.iter().map(|row| row.messages[0].saga).collect();
        let due: HashSet<SagaId> =
            store.claim_due(Time(10), LEASE, 10_000).await.expect("wake-ups").into_iter().collect();
        let listed: HashSet<SagaId> =
            list(store, Filter::default()).await.into_iter().map(|row| row.id).collect();
        let mut happened = 0;
        for sagas in &batches {
            let journals = store.load(sagas).await.expect("journals").journals.len();
            let count = |table: &HashSet<SagaId>| sagas.iter().filter(|saga| table.contains(saga)).count();
            let counts = [journals, count(&queued), count(&due), count(&listed)];
            assert!(counts == [0; 4] || counts == [SAGAS_EACH; 4], "a part of a batch: {counts:?}");
            happened += usize::from(journals > 0);
        }
        assert!(happened >= COMMITS / 7, "only {happened} commits happened");
        assert!(queued.contains(&after));
    })
    .await;
}

fn whole(sagas: &[SagaId]) -> Batch {
    let parts = sagas.iter().map(|saga| first(*saga, 10));
    parts.fold(Batch { outbox_reserved_until: Time(10), ..Batch::default() }, |mut whole, part| {
        whole.entries.extend(part.entries);
        whole.sagas.extend(part.sagas);
        whole.outbox.extend(part.outbox);
        whole
    })
}

/// The result of `work`, or nothing if it is not finished after so many polls, when it is dropped.
async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
