//! Lists and definitions.

use std::collections::BTreeMap;

use rstest::rstest;
use snorri_core::{Status, Time};
use snorri_ports::store::{
    AuditFilter, Batch, ChangedSaga, Count, Filter, Registered, SagaRow, StoredDefinition,
};

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{AWKWARD, appended, audit, numbered, row, saga_id, with_key, without_timer};
use crate::{claim_due, commit, list};

#[rstest]
#[tokio::test]
async fn a_saga_row_keeps_what_it_was_started_as(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let key = Some(AWKWARD.to_owned());
        let keyed = SagaRow { key, version: u32::MAX, definition: AWKWARD.into(), ..row(saga_id(), 10) };
        let unkeyed = row(saga_id(), 20);
        let empty = SagaRow { key: Some(String::new()), ..row(saga_id(), 30) };
        let batch = Batch {
            sagas: [&keyed, &unkeyed, &empty].map(|row| without_timer(row.clone())).into(),
            ..Batch::default()
        };
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.saga(keyed.id).await.expect("a saga"), Some(keyed.clone()));
        assert_eq!(store.saga(unkeyed.id).await.expect("a saga"), Some(unkeyed));
        assert_eq!(store.saga(empty.id).await.expect("a saga"), Some(empty));
        assert_eq!(store.saga(saga_id()).await.expect("a saga"), None);

        let changed =
            SagaRow { status: Status::Stuck, changed_at: Time(40), version: 7, paused: true, ..keyed };
        let other =
            SagaRow { key: None, definition: "other".into(), started_at: Time(50), ..changed.clone() };
        let batch = Batch { sagas: vec![without_timer(other)], ..Batch::default() };
        store.commit(batch).await.expect("a commit");
        assert_eq!(store.saga(changed.id).await.expect("a saga"), Some(changed.clone()));

        let row = SagaRow { changed_at: Time(60), ..changed.clone() };
        let sagas = vec![ChangedSaga { row, is_new: false, timer: Some(Time(70)) }];
        store.commit(Batch { sagas, ..Batch::default() }).await.expect("a commit");
        assert_eq!(claim_due(store, 70).await, [changed.id]);
        assert_eq!(
            store.saga(changed.id).await.expect("a saga"),
            Some(changed),
            "only its timer has changed"
        );
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
            *row = with_key(row.clone(), &format!("key {}", number / 2));
        }
        let batch = Batch { sagas: rows.iter().cloned().map(without_timer).collect(), ..Batch::default() };
        test.store.commit(batch).await.expect("a commit");
        rows.sort_by_key(|row| std::cmp::Reverse((row.started_at, row.id)));

        let (definition, key) = (Some("order".to_owned()), Some("key 2".to_owned()));
        let status = Some(Status::Stuck);
        for filter in [
            Filter::default(),
            Filter { definition: definition.clone(), ..Filter::default() },
            Filter { status, ..Filter::default() },
            Filter { key: key.clone(), ..Filter::default() },
            Filter { definition, status, key, ..Filter::default() },
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
        let mut expected = Vec::new();
        for (definition, status, count) in [
            ("order", Status::Completed, 5),
            ("order", Status::Running, 5),
            ("order", Status::Stuck, 5),
            ("trip", Status::Completed, 5),
            ("trip", Status::Running, 5),
            ("trip", Status::Stuck, 5),
        ] {
            expected.push(Count { definition: definition.to_owned(), version: 1, status, count });
        }
        assert_eq!(test.store.counts().await.expect("counts"), expected);
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
            files: BTreeMap::from([("schemas/order.json".to_owned(), AWKWARD.to_owned())]),
            registered_at: Time(10),
            active: true,
        };
        let (ten, two) = (definition("order", 10, "a"), definition("order", 2, "a"));
        let trip = definition("a trip", 1, "b");
        for wanted in [&ten, &two, &trip] {
            assert_eq!(
                store.register(wanted, Some(&audit(1, "register"))).await.expect("an answer"),
                Registered::New
            );
        }
        let again = StoredDefinition { registered_at: Time(20), ..ten.clone() };
        assert_eq!(
            store.register(&again, Some(&audit(2, "register"))).await.expect("an answer"),
            Registered::Same
        );
        let other = StoredDefinition { digest: "c".to_owned(), source: String::new(), ..ten.clone() };
        let conflict = Registered::Conflict { digest: "a".to_owned() };
        assert_eq!(store.register(&other, None).await.expect("an answer"), conflict);

        assert_eq!(store.definition("order", 10).await.expect("an answer"), Some(ten.clone()));
        assert_eq!(store.definition("order", 3).await.expect("an answer"), None);
        assert_eq!(store.definitions().await.expect("definitions"), [trip, two, ten]);
        let audited = store.audit(&AuditFilter::default(), 10).await.expect("the audit");
        assert_eq!(audited.iter().map(|entry| entry.at).collect::<Vec<_>>(), [Time(1); 3]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_definition_is_deactivated_once(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let definition = StoredDefinition {
            name: "order".to_owned(),
            version: 1,
            digest: "a".to_owned(),
            source: String::new(),
            files: BTreeMap::new(),
            registered_at: Time(10),
            active: true,
        };
        store.register(&definition, None).await.expect("an answer");
        let (off, on) = (audit(1, "deactivate"), audit(2, "activate"));
        for (version, active, entry, has_changed) in [
            (2, false, &off, false),
            (1, true, &on, false),
            (1, false, &off, true),
            (1, false, &off, false),
            (1, true, &on, true),
            (1, false, &audit(3, "deactivate"), true),
        ] {
            let answer = store.set_active("order", version, active, entry).await.expect("an answer");
            assert_eq!(answer, has_changed, "{version} {active}");
        }
        assert!(!store.definition("order", 1).await.expect("an answer").expect("a definition").active);
        let audited = store.audit(&AuditFilter::default(), 10).await.expect("the audit");
        assert_eq!(audited.len(), 3);
        assert_eq!(audited[1..], [on, off]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_journal_is_read_page_by_page(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga, other) = (&test.store, saga_id(), saga_id());
        for seq in 1..=5 {
            commit(store, [appended(saga, seq, numbered(i64::from(seq))), appended(other, seq, numbered(9))])
                .await;
        }
        for (after, limit, expected) in
            [(0, 2, 1..3), (2, 2, 3..5), (4, 2, 5..6), (5, 2, 6..6), (u32::MAX, 9, 6..6)]
        {
            let page = store.journal(saga, after, limit).await.expect("a page");
            assert!(page.iter().all(|appended| appended.saga == saga));
            let page = page.into_iter().map(|appended| (appended.seq, appended.entry)).collect::<Vec<_>>();
            let expected = expected.map(|seq| (seq, numbered(i64::from(seq)))).collect::<Vec<_>>();
            assert_eq!(page, expected, "after {after}");
        }
        assert!(store.journal(saga_id(), 0, 10).await.expect("a page").is_empty());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn changes_since_a_time_are_in_order(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let mut sagas = [saga_id(), saga_id()];
        sagas.sort_unstable();
        let [one, other] = sagas;
        // Two processes' clocks differ: they are not committed in the order of their times.
        for (saga, seq, at) in [
            (one, 1, 100_000),
            (other, 1, 30),
            (other, 2, 20),
            (one, 2, 20),
            (one, 3, 200_000),
            (other, 3, 199_000),
        ] {
            commit(store, [appended(saga, seq, numbered(at))]).await;
        }
        for (at, limit, expected) in [
            (20, 3, vec![(one, 2), (other, 2), (other, 1)]),
            (199_000, 10, vec![(other, 3), (one, 3)]),
            (199_001, 10, vec![(one, 3)]),
            (200_001, 10, vec![]),
        ] {
            let since = store.appended_since(Time(at), limit).await.expect("entries");
            let since = since.iter().map(|appended| (appended.saga, appended.seq)).collect::<Vec<_>>();
            assert_eq!(since, expected, "since {at}");
        }
    })
    .await;
}
