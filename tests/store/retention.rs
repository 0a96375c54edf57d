//! Deletion of ended sagas: completely, and nothing else.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::json;
use snorri_core::{Status, Time};
use snorri_ports::store::{
    Attributes, AuditEntry, AuditFilter, Batch, ChangedSaga, DeadLetter, Filter, LetterFilter, OpenIncidents,
    SagaRow,
};
use uuid::Uuid;

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{audit, first, row, saga_id, timed, without_timer};
use crate::{claim_due, list};

#[rstest]
#[tokio::test]
async fn what_ended_long_ago_is_found(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let ended = |started_at: i64, changed_at: i64, status| SagaRow {
            status,
            changed_at: Time(changed_at),
            version: 1 + started_at as u32 % 2,
            ..row(saga_id(), started_at)
        };
        let rows = [
            ended(5, 40, Status::Completed),
            ended(4, 50, Status::Completed),
            ended(3, 30, Status::Compensated),
            ended(2, 20, Status::Stuck),
            ended(1, 49, Status::Abandoned),
            SagaRow { definition: "trip".into(), ..ended(0, 10, Status::Completed) },
        ];
        let sagas = rows.iter().cloned().map(without_timer).collect();
        test.store.commit(Batch { sagas, ..Batch::default() }).await.expect("a commit");
        for (definition, before, limit, expected) in [
            ("order", 50, 10, vec![4, 2, 0]),
            ("order", 50, 2, vec![4, 2]),
            ("order", 49, 10, vec![2, 0]),
            ("order", 4, 10, vec![]),
            ("trip", 50, 10, vec![5]),
            ("nothing", 50, 10, vec![]),
        ] {
            let found =
                test.store.finished_before(definition, Time(before), None, limit).await.expect("sagas");
            let expected: Vec<_> = expected.into_iter().map(|number: usize| rows[number].id).collect();
            let found: Vec<_> = found.into_iter().map(|(_, saga)| saga).collect();
            assert_eq!(found, expected, "{definition} before {before}");
        }
        let after = |number: usize| Some((rows[number].started_at, rows[number].id));
        for (number, expected) in [(4, vec![2, 0]), (0, vec![])] {
            let found =
                test.store.finished_before("order", Time(50), after(number), 10).await.expect("sagas");
            let expected: Vec<_> = expected
                .into_iter()
                .map(|number: usize| (rows[number].started_at, rows[number].id))
                .collect();
            assert_eq!(found, expected, "after {number}");
        }
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn only_final_sagas_are_deleted(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let [over, running] = [Status::Completed, Status::Running].map(|status| {
            let saga = saga_id();
            let letter = DeadLetter {
                id: Uuid::now_v7(),
                at: Time(10),
                queue: String::new(),
                code: String::new(),
                reason: String::new(),
                saga: Some(saga),
                step: None,
                properties: json!(null),
                body: Vec::new(),
                resolved_at: None,
            };
            let values = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
            let started_at = Time(10);
            let codes = vec!["timeout".to_owned()];
            let batch = Batch {
                sagas: vec![ChangedSaga {
                    row: SagaRow { status, ..row(saga, 10) },
                    ..timed(saga, Some(10))
                }],
                incidents: vec![OpenIncidents { saga, started_at, codes }],
                attributes: vec![Attributes { saga, started_at, values }],
                dead_letters: vec![letter],
                audit: vec![AuditEntry { saga: Some(saga), ..audit(10, "cancel") }],
                outbox: Vec::new(),
                ..first(saga, 10)
            };
            (saga, batch)
        });
        let ids = [over.0, running.0, saga_id()];
        for (_, batch) in [over, running] {
            store.commit(batch).await.expect("a commit");
        }
        assert_eq!(store.delete_sagas(&ids).await.expect("a count"), 1);
        assert_eq!(store.delete_sagas(&ids).await.expect("a count"), 0);
        assert_eq!(store.delete_sagas(&[]).await.expect("a count"), 0);

        let left = [row(ids[1], 10)];
        assert_eq!(list(store, Filter::default()).await, left);
        assert_eq!(store.load(&ids).await.expect("journals").journals.keys().collect::<Vec<_>>(), [&ids[1]]);
        let since = store.appended_since(Time(0), 10).await.expect("entries");
        assert_eq!(since.iter().map(|appended| appended.saga).collect::<Vec<_>>(), [ids[1]]);
        assert_eq!(claim_due(store, 10).await, [ids[1]]);
        let incident = Some("timeout".to_owned());
        assert_eq!(list(store, Filter { incident, ..Filter::default() }).await, left);
        let attribute = Some(("region".to_owned(), "eu".to_owned()));
        assert_eq!(list(store, Filter { attribute, ..Filter::default() }).await, left);
        let letters = store.dead_letters(&LetterFilter::default(), 10).await.expect("dead letters");
        assert_eq!(letters.iter().map(|letter| letter.saga).collect::<Vec<_>>(), [Some(ids[1])]);
        assert_eq!(store.audit(&AuditFilter::default(), 10).await.expect("the audit").len(), 2);
    })
    .await;
}
