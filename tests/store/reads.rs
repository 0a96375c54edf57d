//! Lists and definitions.

use std::collections::BTreeMap;

use rstest::rstest;
use snorri::saga::{Status, Time};
use snorri::store::{Batch, Filter, Registered, SagaRow, StoredDefinition};

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::list;
use crate::samples::{AWKWARD, row, saga_id};

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
