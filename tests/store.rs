//! What every store must do: one suite, on memory, SQLite and PostgreSQL.

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use On::{Memory, Postgres, Sqlite};
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use snorri::saga::journal::Fact;
use snorri::saga::{SagaId, Status, Time};
use snorri::store::{Batch, Error, Filter, Registered, SagaRow, Store, StoredDefinition, Unsent};

#[path = "store/database.rs"]
mod database;
#[path = "store/samples.rs"]
mod samples;

use database::{On, run};
use samples::{AWKWARD, all_kinds, appended, entry, first, numbered, outcome, row, saga_id, unsent};

const LEASE: Duration = Duration::from_millis(100);

#[rstest]
#[tokio::test]
async fn what_was_committed_is_loaded(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (one, other, never) = (saga_id(), saga_id(), saga_id());
        let entries = all_kinds();
        for (seq, entry) in (1..).zip(&entries) {
            commit(&test.store, [appended(one, seq, entry.clone())]).await;
        }
        let at_once = (1..10).zip(&entries).map(|(seq, entry)| appended(other, seq, entry.clone()));
        // A batch may hold its entries in any order.
        commit(&test.store, at_once.rev()).await;

        let loaded = test.store.load(&[one, never, other]).await.expect("journals");
        assert_eq!(loaded, HashMap::from([(one, entries.clone()), (other, entries)]));
        assert!(test.store.load(&[]).await.expect("journals").is_empty());
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
        batch.sagas.push(SagaRow { status: Status::Stuck, ..row(old, 20) });
        batch.sent.push(queued[0].id);
        batch.wakes.push((old, None));
        assert!(matches!(store.commit(batch).await, Err(Error::Conflict)));

        let loaded = store.load(&[old, new]).await.expect("journals");
        assert_eq!(loaded, HashMap::from([(old, vec![numbered(10)])]));
        assert_eq!(list(store, Filter::default()).await, [row(old, 10)]);
        assert_eq!(ids(&store.claim_unsent(Time(1_000), LEASE, 10).await.expect("messages")), ids(&queued));
        assert_eq!(store.claim_due(Time(1_000), LEASE, 10).await.expect("wake-ups"), [old]);
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
        assert!(test.store.load(&[saga]).await.expect("journals").is_empty());
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
                let sagas = sagas.iter().map(|saga| row(*saga, writer)).collect();
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
        let loaded = test.store.load(&sagas).await.expect("journals");
        assert_eq!(loaded, sagas.into_iter().map(|saga| (saga, winners.clone())).collect());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_saga_row_keeps_all_but_its_status(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let key = Some(AWKWARD.to_owned());
        let keyed = SagaRow { key, version: u32::MAX, definition: AWKWARD.into(), ..row(saga_id(), 10) };
        let unkeyed = row(saga_id(), 20);
        let empty = SagaRow { key: Some(String::new()), ..row(saga_id(), 30) };
        let batch = Batch { sagas: vec![keyed.clone(), unkeyed.clone(), empty.clone()], ..Batch::default() };
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.saga(keyed.id).await.expect("a saga"), Some(keyed.clone()));
        assert_eq!(store.saga(unkeyed.id).await.expect("a saga"), Some(unkeyed));
        assert_eq!(store.saga(empty.id).await.expect("a saga"), Some(empty));
        assert_eq!(store.saga(saga_id()).await.expect("a saga"), None);

        let changed = SagaRow { status: Status::Stuck, changed_at: Time(40), ..keyed };
        let batch = Batch { sagas: vec![changed.clone()], ..Batch::default() };
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.saga(changed.id).await.expect("a saga"), Some(changed));
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn sagas_are_listed_newest_first_page_by_page(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        // Three sagas for each millisecond: a page may end among them.
        let statuses = [Status::Running, Status::Stuck, Status::Completed];
        let mut rows: Vec<SagaRow> = (0..30).map(|number| row(saga_id(), number / 3)).collect();
        for (number, row) in rows.iter_mut().enumerate() {
            row.status = statuses[number % 3];
            row.definition = if number % 2 == 0 { "order" } else { "trip" }.into();
            row.key = Some(format!("key {}", number % 5));
        }
        let batch = Batch { sagas: rows.clone(), ..Batch::default() };
        test.store.commit(batch).await.expect("a commit");
        rows.sort_by_key(|row| std::cmp::Reverse((row.started_at, row.id)));

        let (definition, key) = (Some("order".to_owned()), Some("key 2".to_owned()));
        let status = Some(Status::Stuck);
        for filter in [
            Filter::default(),
            Filter { definition: definition.clone(), ..Filter::default() },
            Filter { status, ..Filter::default() },
            Filter { key: key.clone(), ..Filter::default() },
            Filter { definition, status, key, after: None },
            Filter { definition: Some("nothing".to_owned()), ..Filter::default() },
        ] {
            let matches = |row: &&SagaRow| {
                filter.definition.as_deref().is_none_or(|name| *name == *row.definition)
                    && filter.status.is_none_or(|status| status == row.status)
                    && filter.key.as_ref().is_none_or(|key| Some(key) == row.key.as_ref())
            };
            let expected: Vec<SagaRow> = rows.iter().filter(matches).cloned().collect();
            assert_eq!(list(&test.store, filter.clone()).await, expected, "{filter:?}");
        }
        let counts = test.store.count_by_status().await.expect("counts");
        assert_eq!(counts, statuses.into_iter().map(|status| (status, 10)).collect());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn wake_ups_are_claimed_the_longest_due_first(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let sagas: Vec<SagaId> = (0..5).map(|_| saga_id()).collect();
        let due = [40, 10, 30, 20, 50];
        let wakes = sagas.iter().zip(due).map(|(saga, due)| (*saga, Some(Time(due)))).collect();
        store.commit(Batch { wakes, ..Batch::default() }).await.expect("a commit");

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
        let wakes = [sooner, later, never].map(|saga| (saga, Some(Time(10)))).to_vec();
        store.commit(Batch { wakes, ..Batch::default() }).await.expect("a commit");
        assert_eq!(claim_due(store, 10).await.len(), 3);

        let wakes = vec![(sooner, Some(Time(20))), (later, Some(Time(500))), (never, None)];
        store.commit(Batch { wakes, ..Batch::default() }).await.expect("a commit");
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
        let wakes = sagas.iter().map(|saga| (*saga, Some(Time(10)))).collect();
        let outbox = sagas.iter().map(|saga| unsent(*saga, "{}")).collect();
        let batch = Batch { wakes, outbox, outbox_reserved_until: Time(10), ..Batch::default() };
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
                    messages.extend(some_messages.iter().map(|unsent| unsent.message.saga()));
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
        let queued = [unsent(saga, r#"{ "amount":1.50, "quote":"'" }"#), outcome(saga), unsent(saga, "null")];
        for (unsent, reserved_until) in queued.iter().zip([30, 20, 10]) {
            let outbox_reserved_until = Time(reserved_until);
            let batch = Batch { outbox: vec![unsent.clone()], outbox_reserved_until, ..Batch::default() };
            store.commit(batch).await.expect("a commit");
        }
        assert_eq!(store.count_unsent().await.expect("a count"), 3);
        assert!(claim_unsent(store, 9).await.is_empty());
        assert_eq!(texts(&claim_unsent(store, 10).await), texts(&queued[2..]));
        assert_eq!(texts(&claim_unsent(store, 30).await), texts(&queued[..2]));
        assert!(claim_unsent(store, 109).await.is_empty());
        // The oldest first, whatever they were reserved until.
        assert_eq!(ids(&store.claim_unsent(Time(200), LEASE, 2).await.expect("messages")), ids(&queued[..2]));

        // Confirmed: reserved or not, and whether or not another has confirmed it already.
        for _ in 0..2 {
            let sent = queued[1..].iter().map(|unsent| unsent.id).collect();
            store.commit(Batch { sent, ..Batch::default() }).await.expect("a commit");
            assert_eq!(store.count_unsent().await.expect("a count"), 1);
        }
        assert_eq!(texts(&claim_unsent(store, 1_000).await), texts(&queued[..1]));
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_definition_is_registered_once(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let definition = |name: &str, version, digest: &str| StoredDefinition {
            name: name.to_owned(),
            version,
            digest: digest.to_owned(),
            source: format!("saga: {AWKWARD}"),
            registered_at: Time(10),
        };
        let (ten, two) = (definition("order", 10, "a"), definition("order", 2, "a"));
        let trip = definition("a trip", 1, "b");
        for wanted in [&ten, &two, &trip] {
            assert_eq!(store.register(wanted).await.expect("an answer"), Registered::New);
        }
        let again = StoredDefinition { registered_at: Time(20), ..ten.clone() };
        assert_eq!(store.register(&again).await.expect("an answer"), Registered::Same);
        let other = StoredDefinition { digest: "c".to_owned(), source: String::new(), ..ten.clone() };
        let conflict = Registered::Conflict { digest: "a".to_owned() };
        assert_eq!(store.register(&other).await.expect("an answer"), conflict);

        assert_eq!(store.definition("order", 10).await.expect("an answer"), Some(ten.clone()));
        assert_eq!(store.definition("order", 3).await.expect("an answer"), None);
        assert_eq!(store.definitions().await.expect("definitions"), [trip, two, ten]);
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
            sagas: sagas.iter().map(|saga| row(*saga, at)).collect(),
            outbox: sagas.iter().map(|saga| unsent(*saga, "{}")).collect(),
            outbox_reserved_until: Time(at),
            sent: Vec::new(),
            wakes: sagas.iter().map(|saga| (*saga, Some(Time(at)))).collect(),
        };
        store.commit(many(10, 1)).await.expect("a commit");
        let queued = store.claim_unsent(Time(10), LEASE, 5_000).await.expect("messages");
        assert_eq!(queued.len(), 2_000);
        let mut second = many(20, 2);
        second.sent = queued.iter().map(|unsent| unsent.id).collect();
        store.commit(second).await.expect("a commit");
        assert_eq!(store.count_unsent().await.expect("a count"), 2_000);
        let loaded = store.load(&sagas).await.expect("journals");
        assert!(sagas.iter().all(|saga| loaded[saga] == [numbered(10), numbered(20)]));
        assert_eq!(store.claim_due(Time(20), LEASE, 5_000).await.expect("wake-ups").len(), 2_000);

        let saga = saga_id();
        let payload = "ü\"\\".repeat(snorri::saga::MAX_PAYLOAD_BYTES / 6);
        let output = Arc::new(json!(payload));
        let step = "charge".parse().expect("a path");
        let large = entry(30, vec![Fact::Completed { step, output: Arc::clone(&output) }]);
        let mut batch = first(saga, 30);
        batch.entries = vec![appended(saga, 1, large.clone())];
        batch.outbox = vec![unsent(saga, &output.to_string())];
        let outbox = batch.outbox.clone();
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.load(&[saga]).await.expect("journals")[&saga], [large]);
        let queued = store.claim_unsent(Time(30), LEASE, 5_000).await.expect("messages");
        assert_eq!(texts(&queued[2_000..]), texts(&outbox));
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
        assert_eq!(store.load(&[saga]).await.expect("journals")[&saga], [numbered(10)]);
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
                // Each time it is polled it has come one await further. One in seven is let through.
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
        let queued: HashSet<SagaId> = queued.iter().map(|unsent| unsent.message.saga()).collect();
        let due: HashSet<SagaId> =
            store.claim_due(Time(10), LEASE, 10_000).await.expect("wake-ups").into_iter().collect();
        let listed: HashSet<SagaId> =
            list(store, Filter::default()).await.into_iter().map(|row| row.id).collect();
        let mut happened = 0;
        for sagas in &batches {
            let journals = store.load(sagas).await.expect("journals").len();
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

/// A journal that lacks an entry, and one that is not JSON, are told from a database that is away.
#[rstest]
#[tokio::test]
async fn what_cannot_be_read_is_corrupt(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (gap, unreadable) = (saga_id(), saga_id());
        commit(&test.store, [appended(gap, 2, numbered(1)), appended(unreadable, 1, numbered(1))]).await;
        let database = test.database().await.expect("a database");
        let spoil = "UPDATE journal SET entry = 'nonsense' WHERE seq = 1";
        database.execute_unprepared(spoil).await.expect("an update");
        database.close().await.expect("an end");
        for saga in [gap, unreadable] {
            assert!(matches!(test.store.load(&[saga]).await, Err(Error::Corrupt(_))));
        }
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_pending_migration_fails_the_check(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        test.store.check().await.expect("a sound database");
        let database = test.database().await.expect("a database");
        database
            .execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_newer', 0)")
            .await
            .expect("an insert");
        test.store.check().await.expect("a newer database is sound too");
        database.execute_unprepared("DELETE FROM seaql_migrations").await.expect("a delete");
        database.close().await.expect("an end");
        assert!(matches!(test.store.check().await, Err(Error::Unavailable(_))));
    })
    .await;
}

async fn commit(store: &Arc<dyn Store>, entries: impl IntoIterator<Item = snorri::store::Appended>) {
    let entries = entries.into_iter().collect();
    store.commit(Batch { entries, ..Batch::default() }).await.expect("a commit");
}

async fn claim_due(store: &Arc<dyn Store>, now: i64) -> Vec<SagaId> {
    store.claim_due(Time(now), LEASE, 100).await.expect("wake-ups")
}

async fn claim_unsent(store: &Arc<dyn Store>, now: i64) -> Vec<Unsent> {
    store.claim_unsent(Time(now), LEASE, 100).await.expect("messages")
}

/// All sagas that match, read in pages of 4.
async fn list(store: &Arc<dyn Store>, mut filter: Filter) -> Vec<SagaRow> {
    let mut listed: Vec<SagaRow> = Vec::new();
    loop {
        let page = store.sagas(&filter, 4).await.expect("a page");
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { return listed };
        filter.after = Some((last.started_at, last.id));
        listed.extend(page);
    }
}

fn ids(unsent: &[Unsent]) -> Vec<snorri::store::OutboxId> {
    unsent.iter().map(|unsent| unsent.id).collect()
}

/// The messages as they are stored, payloads byte for byte.
fn texts(unsent: &[Unsent]) -> Vec<String> {
    unsent.iter().map(|unsent| serde_json::to_string(&*unsent.message).expect("JSON")).collect()
}

fn whole(sagas: &[SagaId]) -> Batch {
    let parts = sagas.iter().map(|saga| first(*saga, 10));
    parts.fold(Batch { outbox_reserved_until: Time(10), ..Batch::default() }, |mut whole, part| {
        whole.entries.extend(part.entries);
        whole.sagas.extend(part.sagas);
        whole.outbox.extend(part.outbox);
        whole.wakes.extend(part.wakes);
        whole
    })
}

/// What `work` comes to, or nothing if it is still under way after so many polls, when it is dropped.
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
