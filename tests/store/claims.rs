//! Timers and messages are claimed by one process at a time.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use rstest::rstest;
use snorri_core::{SagaId, Status, Time};
use snorri_ports::store::{Batch, Lease, MessageRef, OutboxRow, ProcessRow, SagaRow};
use uuid::Uuid;

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{row, saga_id, timed, unsent, without_timer};
use crate::{LEASE, claim_due, claim_unsent};

#[rstest]
#[tokio::test]
async fn wake_ups_are_claimed_the_longest_due_first(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let sagas: Vec<SagaId> = (0..5).map(|_| saga_id()).collect();
        let due = [40, 10, 30, 20, 50];
        let timers = sagas.iter().zip(due).map(|(saga, due)| timed(*saga, Some(due))).collect();
        store.commit(Batch { sagas: timers, ..Batch::default() }).await.expect("a commit");

        assert!(claim_due(store, 9).await.is_empty());
        assert_eq!(store.claim_due(Time(40), LEASE, 2).await.expect("wake-ups"), [sagas[1], sagas[3]]);
        assert_eq!(claim_due(store, 40).await, [sagas[2], sagas[0]]);
        assert!(claim_due(store, 49).await.is_empty());
        assert_eq!(claim_due(store, 50).await, [sagas[4]]);
        // All leases are over, each at its own time.
        assert!(claim_due(store, 139).await.is_empty());
        assert_eq!(claim_due(store, 150).await.len(), 5);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_commit_overrides_a_lease(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let (sooner, later, never) = (saga_id(), saga_id(), saga_id());
        let timers = [sooner, later, never].map(|saga| timed(saga, Some(10))).to_vec();
        store.commit(Batch { sagas: timers, ..Batch::default() }).await.expect("a commit");
        assert_eq!(claim_due(store, 10).await.len(), 3);

        let timers = vec![timed(sooner, Some(20)), timed(later, Some(500)), timed(never, None)];
        store.commit(Batch { sagas: timers, ..Batch::default() }).await.expect("a commit");
        assert_eq!(claim_due(store, 20).await, [sooner]);
        assert_eq!(claim_due(store, 499).await, [sooner]);
        assert_eq!(claim_due(store, 500).await, [later]);
        assert_eq!(claim_due(store, 10_000).await, [sooner, later]);
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_claim_goes_to_one_asker(#[values(Memory, Sqlite, Postgres)] on: On) {
    const ROWS: usize = 300;
    run(on, async |test| {
        let sagas: Vec<SagaId> = (0..ROWS).map(|_| saga_id()).collect();
        let timers = sagas.iter().map(|saga| timed(*saga, Some(10))).collect();
        let outbox = sagas.iter().map(|saga| unsent(*saga)).collect();
        let batch = Batch { sagas: timers, outbox, outbox_reserved_until: Time(10), ..Batch::default() };
        test.store.commit(batch).await.expect("a commit");

        let askers = (0..6).map(|_| {
            let store = Arc::clone(&test.store);
            tokio::spawn(async move {
                let (mut due, mut messages) = (Vec::new(), Vec::new());
                loop {
                    let some_due = store.claim_due(Time(10), LEASE, 7).await.expect("wake-ups");
                    let some_messages = store.claim_unsent(Time(10), LEASE, 7).await.expect("messages");
                    if some_due.is_empty() && some_messages.is_empty() {
                        return (due, messages);
                    }
                    due.extend(some_due);
                    messages.extend(some_messages.iter().map(|row| row.messages[0].saga));
                }
            })
        });
        let (mut due, mut messages) = (Vec::new(), Vec::new());
        for asker in join_all(askers).await {
            let (some_due, some_messages) = asker.expect("an asker");
            due.extend(some_due);
            messages.extend(some_messages);
        }
        let all: HashSet<SagaId> = sagas.into_iter().collect();
        assert_eq!((due.len(), due.into_iter().collect()), (ROWS, all.clone()));
        assert_eq!((messages.len(), messages.into_iter().collect()), (ROWS, all));
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn messages_wait_in_the_outbox_until_sent(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let saga = saga_id();
        let long = (0..64).map(|index| MessageRef { saga, seq: u32::MAX, index }).collect();
        let queued = [unsent(saga), OutboxRow::new(long), unsent(saga_id())];
        for (row, reserved_until) in queued.iter().zip([30, 20, 10]) {
            let outbox_reserved_until = Time(reserved_until);
            let batch = Batch { outbox: vec![row.clone()], outbox_reserved_until, ..Batch::default() };
            store.commit(batch).await.expect("a commit");
        }
        assert_eq!(store.count_unsent(1_000_000).await.expect("a count"), 66);
        assert_eq!(store.count_unsent(50).await.expect("a count"), 50);
        assert_eq!(claim_unsent(store, 9).await, []);
        assert_eq!(claim_unsent(store, 10).await, queued[2..]);
        assert_eq!(claim_unsent(store, 30).await, queued[..2]);
        assert_eq!(claim_unsent(store, 109).await, []);
        // The oldest first, whatever they were reserved until.
        assert_eq!(store.claim_unsent(Time(200), LEASE, 2).await.expect("messages"), queued[..2]);

        // Confirmed: reserved or not, and whether or not another has confirmed it already.
        for _ in 0..2 {
            let sent = queued[1..].iter().map(|row| row.id).collect();
            store.commit(Batch { sent, ..Batch::default() }).await.expect("a commit");
            assert_eq!(store.count_unsent(1_000_000).await.expect("a count"), 1);
        }
        assert_eq!(claim_unsent(store, 1_000).await, queued[..1]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn messages_are_found_by_their_sagas(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let (one, other, none) = (saga_id(), saga_id(), saga_id());
        let [of_one, of_other] = [one, other].map(|saga| unsent(saga).messages[0]);
        let outbox = vec![OutboxRow::new(vec![of_other, of_one]), unsent(other), unsent(one)];
        let batch = Batch { outbox: outbox.clone(), outbox_reserved_until: Time(100), ..Batch::default() };
        store.commit(batch).await.expect("a commit");
        let found = store.unsent_of(&[one, none]).await.expect("messages");
        let expected = [OutboxRow { id: outbox[0].id, messages: vec![of_one] }, outbox[2].clone()];
        assert_eq!(found, expected, "reserved or not, and of no other saga");
        assert_eq!(store.unsent_of(&[]).await.expect("messages"), []);
        store.commit(Batch { sent: vec![outbox[0].id], ..Batch::default() }).await.expect("a commit");
        assert_eq!(store.unsent_of(&[one]).await.expect("messages"), expected[1..]);
    })
    .await;
}

/// A message of which only the journal is left could not be made again.
#[rstest]
#[tokio::test]
async fn a_saga_stays_as_long_as_its_messages_are_not_sent(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let sagas = [saga_id(), saga_id()];
        let rows = sagas.map(|saga| SagaRow { status: Status::Completed, ..row(saga, 10) });
        let outbox = unsent(sagas[0]);
        let batch = Batch {
            sagas: rows.clone().map(without_timer).into(),
            outbox: vec![outbox.clone()],
            ..Batch::default()
        };
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.delete_sagas(&sagas).await.expect("a number"), 1);
        assert_eq!(store.saga(sagas[0]).await.expect("an answer"), Some(rows[0].clone()));
        store.commit(Batch { sent: vec![outbox.id], ..Batch::default() }).await.expect("a commit");
        assert_eq!(store.delete_sagas(&sagas).await.expect("a number"), 1);
    })
    .await;
}

/// The rows of a process are free as soon as they are released, and those of others are not.
#[rstest]
#[tokio::test]
async fn what_a_process_has_reserved_can_be_released(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let [one, other] = std::array::from_fn(|_| Uuid::now_v7());
        let lease = |holder| Lease { holder, ..LEASE };
        let timers = [saga_id(), saga_id(), saga_id()].map(|saga| timed(saga, Some(10))).into();
        let queued: Vec<_> = (0..3).map(|_| unsent(saga_id())).collect();
        let outbox = queued.clone();
        let held = Batch { outbox_holder: one, outbox_reserved_until: Time(500), ..Batch::default() };
        store.commit(Batch { sagas: timers, outbox, ..held }).await.expect("a commit");
        let due = store.claim_due(Time(10), lease(one), 2).await.expect("wake-ups");
        assert_eq!(store.claim_due(Time(10), lease(other), 9).await.expect("wake-ups").len(), 1);
        for (process, at) in [(one, 10), (other, 20)] {
            store.process_seen(process, Time(at)).await.expect("a write");
        }
        let row = |id, seen_at, ended_at| ProcessRow { id, seen_at: Time(seen_at), ended_at };
        let rows = [row(one, 10, None), row(other, 20, None)];
        assert_eq!(store.processes().await.expect("processes"), rows);
        store.forget_process(one).await.expect("nothing to do");
        assert_eq!(store.processes().await.expect("processes"), rows, "it has not ended");

        store.release(one, Time(40)).await.expect("a release");
        store.release(one, Time(45)).await.expect("a release");
        let ended = row(one, 10, Some(Time(40)));
        assert_eq!(store.processes().await.expect("processes"), [ended, row(other, 20, None)]);
        let mut again = store.claim_due(Time(40), lease(other), 9).await.expect("wake-ups");
        again.sort_unstable();
        assert_eq!(again, BTreeSet::from_iter(due).into_iter().collect::<Vec<_>>());
        assert_eq!(store.claim_unsent(Time(40), lease(other), 9).await.expect("messages"), queued);

        let given_back = OutboxRow::of(&queued[0].messages);
        store.give_back(&given_back, Time(60)).await.expect("a commit");
        store.commit(Batch { sent: vec![queued[0].id], ..Batch::default() }).await.expect("a commit");
        assert_eq!(store.claim_unsent(Time(59), lease(one), 9).await.expect("messages"), []);
        assert_eq!(store.claim_unsent(Time(60), lease(one), 9).await.expect("messages"), given_back);
        store.release(other, Time(15)).await.expect("a release");
        assert_eq!(
            store.processes().await.expect("processes"),
            [ended, row(other, 20, None)],
            "it wrote again"
        );
        store.process_seen(one, Time(50)).await.expect("a write");
        let back = row(one, 50, None);
        assert_eq!(
            store.processes().await.expect("processes"),
            [back, row(other, 20, None)],
            "it has not ended"
        );
        store.release(one, Time(50)).await.expect("a release");
        store.forget_process(one).await.expect("a deletion");
        assert_eq!(store.processes().await.expect("processes"), [row(other, 20, None)]);
        // A decided timer belongs to no process.
        store
            .commit(Batch { sagas: vec![timed(again[0], Some(900))], ..Batch::default() })
            .await
            .expect("a commit");
        store.release(other, Time(61)).await.expect("a release");
        assert!(!store.claim_due(Time(61), lease(one), 9).await.expect("wake-ups").contains(&again[0]));
    })
    .await;
}
