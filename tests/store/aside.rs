//! Dead letters, the audit, and the runs of schedules.

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;
use snorri_core::Time;
use snorri_ports::store::{
    AuditEntry, AuditFilter, Batch, DeadLetter, Error, LetterFilter, ScheduleRun, Secret, Store, TokenKey,
};
use uuid::Uuid;

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{AWKWARD, appended, audit, first, numbered, saga_id};

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
            saga: Some(saga),
            step: Some("ship[3]".to_owned()),
            properties: json!({"type": AWKWARD}),
            body: (0..=u8::MAX).collect(),
            resolved_at: None,
        };
        let (one, other, lost) = (letter(1), letter(2), letter(3));
        store.commit(Batch { dead_letters: vec![one.clone()], ..first(saga, 10) }).await.expect("a commit");
        let alone = Batch { dead_letters: vec![other.clone()], ..Batch::default() };
        store.commit(alone).await.expect("a commit");
        let entries = vec![appended(saga, 1, numbered(1))];
        let conflict = store.commit(Batch { entries, dead_letters: vec![lost], ..Batch::default() }).await;
        assert!(matches!(conflict, Err(Error::Conflict)), "{conflict:?}");
        assert_eq!(letters(store, LetterFilter::default()).await, [other.clone(), one.clone()]);
        assert_eq!(store.dead_letter(one.id).await.expect("a dead letter"), Some(one));
        assert_eq!(store.dead_letter(saga_id().0).await.expect("a dead letter"), None);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn dead_letters_are_listed_until_they_are_resolved(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga) = (&test.store, saga_id());
        let letter = |number: i64| DeadLetter {
            id: Uuid::now_v7(),
            at: Time(number / 3),
            queue: format!("queue {}", number % 2),
            code: format!("code {}", number % 3),
            reason: String::new(),
            saga: (number % 4 == 0).then_some(saga),
            step: None,
            properties: json!(null),
            body: Vec::new(),
            resolved_at: None,
        };
        let mut all: Vec<DeadLetter> = (0..24).map(letter).collect();
        store.commit(Batch { dead_letters: all.clone(), ..Batch::default() }).await.expect("a commit");
        for (number, at) in [(0, 50), (5, 50), (0, 60)] {
            let letters_resolved = vec![(all[number].id, Time(at)), (Uuid::now_v7(), Time(at))];
            store.commit(Batch { letters_resolved, ..Batch::default() }).await.expect("a commit");
            all[number].resolved_at = Some(Time(50));
        }
        all.reverse();
        let (queue, code) = (Some("queue 1".to_owned()), Some("code 2".to_owned()));
        for saga in [None, Some(saga), Some(saga_id())] {
            for (queue, code) in [
                (None, None),
                (queue.clone(), None),
                (None, code.clone()),
                (queue.clone(), code.clone()),
                (Some("none".to_owned()), None),
            ] {
                for resolved in [false, true] {
                    let filter = LetterFilter {
                        saga,
                        queue: queue.clone(),
                        code: code.clone(),
                        resolved,
                        after: None,
                    };
                    let is_wanted = |letter: &&DeadLetter| {
                        (saga.is_none() || letter.saga == saga)
                            && queue.as_ref().is_none_or(|queue| *queue == letter.queue)
                            && code.as_ref().is_none_or(|code| *code == letter.code)
                            && (resolved || letter.resolved_at.is_none())
                    };
                    let expected: Vec<_> = all.iter().filter(is_wanted).cloned().collect();
                    assert_eq!(letters(store, filter.clone()).await, expected, "{filter:?}");
                }
            }
        }
    })
    .await;
}

/// All that match, read in pages of 4.
async fn letters(store: &Arc<dyn Store>, mut filter: LetterFilter) -> Vec<DeadLetter> {
    let mut listed: Vec<DeadLetter> = Vec::new();
    loop {
        let page = store.dead_letters(&filter, 4).await.expect("a page");
        let Some(last) = page.last() else { return listed };
        filter.after = Some((last.at, last.id));
        listed.extend(page);
    }
}

#[rstest]
#[tokio::test]
async fn an_audit_entry_is_committed_with_its_change(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (store, saga) = (&test.store, saga_id());
        let full = AuditEntry {
            saga: Some(saga),
            seq: Some(7),
            step: Some(AWKWARD.to_owned()),
            definition: Some("order@1".to_owned()),
            reason: AWKWARD.to_owned(),
            before: json!([AWKWARD, "\0"]),
            ..audit(2, "cancel")
        };
        let (bare, other) = (audit(1, "retry"), AuditEntry { actor: "ann".to_owned(), ..audit(3, "cancel") });
        let entries = vec![full.clone(), bare.clone(), other.clone()];
        store.commit(Batch { audit: entries, ..first(saga, 10) }).await.expect("a commit");
        let entries = vec![appended(saga, 1, numbered(1))];
        let lost = store.commit(Batch { entries, audit: vec![audit(9, "skip")], ..Batch::default() }).await;
        assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");

        let (actor, action) = (Some("ann".to_owned()), Some("cancel".to_owned()));
        for (filter, expected) in [
            (AuditFilter::default(), vec![&other, &full, &bare]),
            (AuditFilter { action: action.clone(), ..AuditFilter::default() }, vec![&other, &full]),
            (AuditFilter { actor: actor.clone(), ..AuditFilter::default() }, vec![&other]),
            (AuditFilter { saga: Some(saga), ..AuditFilter::default() }, vec![&full]),
            (AuditFilter { saga: Some(saga), actor, action, after: None }, vec![]),
            (AuditFilter { after: Some((full.at, full.id)), ..AuditFilter::default() }, vec![&bare]),
        ] {
            let listed = store.audit(&filter, 10).await.expect("the audit");
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        }
        assert_eq!(store.audit(&AuditFilter::default(), 1).await.expect("the audit"), [other]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_schedule_keeps_the_latest_time_it_ran(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let run = |definition: &str, schedule: &str, at| ScheduleRun {
            definition: definition.to_owned(),
            schedule: schedule.to_owned(),
            at: Time(at),
        };
        for (schedule, at) in [("* * * * *", 5), ("0 3 * * *", 10), ("0 3 * * *", 30), ("0 3 * * *", 20)] {
            store.schedule_ran("a", schedule, Time(at), Time(100)).await.expect("noted");
        }
        store.schedule_ran("b", "* * * * *", Time(7), Time(100)).await.expect("noted");
        let expected = [run("a", "* * * * *", 5), run("a", "0 3 * * *", 30), run("b", "* * * * *", 7)];
        assert_eq!(store.schedules().await.expect("schedules"), expected);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn the_newest_token_keys_are_kept(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        let key = |number: u32| TokenKey {
            number,
            secret: Secret([u8::try_from(number).expect("small"); 32]),
            created_at: Time(i64::from(number)),
            signs_from: Time(i64::from(number) + 60_000),
        };
        assert_eq!(store.token_keys().await.expect("keys"), []);
        assert!(store.add_token_key(&key(1), None).await.expect("added"));
        let another = TokenKey { secret: Secret([9; 32]), ..key(1) };
        let entry = audit(5, "rotate_token_keys");
        assert!(!store.add_token_key(&another, Some(&entry)).await.expect("refused"));
        assert_eq!(store.token_keys().await.expect("keys"), [key(1)]);
        assert_eq!(store.audit(&AuditFilter::default(), 10).await.expect("an audit"), []);

        assert!(store.add_token_key(&key(2), Some(&entry)).await.expect("added"));
        assert_eq!(store.audit(&AuditFilter::default(), 10).await.expect("an audit"), [entry]);
        for number in [3, 4] {
            assert!(store.add_token_key(&key(number), None).await.expect("added"));
        }
        assert_eq!(store.token_keys().await.expect("keys"), [key(4), key(3), key(2)]);
        assert!(!format!("{:?}", key(7)).contains("7, 7"), "a secret is not shown");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_run_in_the_future_is_replaced(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let store = &test.store;
        for (at, valid_until, expected) in [(900, 1_000, 900), (20, 900, 900), (20, 30, 20), (10, 30, 20)] {
            store.schedule_ran("a", "* * * * *", Time(at), Time(valid_until)).await.expect("noted");
            let ran = store.schedules().await.expect("schedules");
            assert_eq!(ran.iter().map(|run| run.at).collect::<Vec<_>>(), [Time(expected)], "{at}");
        }
    })
    .await;
}
