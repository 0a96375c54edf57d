//! What is beside the sagas themselves: dead letters, and when schedules ran.

use rstest::rstest;
use serde_json::json;
use snorri::saga::Time;
use snorri::store::{Batch, DeadLetter, Error, ScheduleRun};
use uuid::Uuid;

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{AWKWARD, appended, first, numbered, saga_id};

#[rstest]
#[tokio::test]
async fn a_dead_letter_is_committed_with_its_batch(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga) = (&test.store, saga_id());
        let letter = |at| DeadLetter {
            id: Uuid::now_v7(),
            at: Time(at),
            queue: "snorri.replies".to_owned(),
            code: "schema".to_owned(),
            reason: AWKWARD.to_owned(),
            saga,
            step: "ship[3]".parse().expect("a path"),
            properties: json!({"type": AWKWARD}),
            body: (0..=u8::MAX).collect(),
        };
        let (one, other, lost) = (letter(1), letter(2), letter(3));
        store.commit(Batch { dead_letters: vec![one.clone()], ..first(saga, 10) }).await.expect("a commit");
        let alone = Batch { dead_letters: vec![other.clone()], ..Batch::default() };
        store.commit(alone).await.expect("a commit");
        let entries = vec![appended(saga, 1, numbered(1))];
        let conflict = store.commit(Batch { entries, dead_letters: vec![lost], ..Batch::default() }).await;
        assert!(matches!(conflict, Err(Error::Conflict)), "{conflict:?}");
        assert_eq!(store.dead_letters(saga).await.expect("dead letters"), [one, other]);
        assert_eq!(store.dead_letters(saga_id()).await.expect("dead letters"), []);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_schedule_keeps_the_latest_time_it_ran(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        for (definition, cron, at) in
            [("b", "* * * * *", 5), ("a", "0 3 * * *", 10), ("a", "0 3 * * *", 30), ("a", "0 3 * * *", 20)]
        {
            store.schedule_ran(definition, cron, Time(at)).await.expect("noted");
        }
        let ran = |definition: &str, cron: &str, at| ScheduleRun {
            definition: definition.to_owned(),
            cron: cron.to_owned(),
            at: Time(at),
        };
        let expected = [ran("a", "0 3 * * *", 30), ran("b", "* * * * *", 5)];
        assert_eq!(store.schedules().await.expect("schedules"), expected);
    })
    .await;
}
