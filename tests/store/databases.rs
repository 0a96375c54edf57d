//! Tests of databases only.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use snorri_core::Time;
use snorri_ports::store::{Batch, BufferLimits, Buffered, Error};
use snorri_store::SqlStore;
use snorri_store::{ConnectError, Options};

use crate::buffered::event;
use crate::database::On::{Postgres, Sqlite};
use crate::database::{On, run};
use crate::samples::{appended, numbered, saga_id, unsent};
use crate::{claim_unsent, commit};

/// Unreadable journals, or those of a newer version, hide no others.
#[rstest]
#[tokio::test]
async fn a_journal_that_cannot_be_read_hides_no_other(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let [gap, spoiled, newer, sound] = std::array::from_fn(|_| saga_id());
        let first = [spoiled, newer, sound].map(|saga| appended(saga, 1, numbered(1)));
        commit(&test.store, first).await;
        commit(&test.store, [appended(gap, 2, numbered(1))]).await;
        let database = test.database().await.expect("a database");
        for (saga, entry) in [(spoiled, "nonsense"), (newer, r#"{"format":2,"facts":"of another kind"}"#)] {
            let update = Statement::from_sql_and_values(
                database.get_database_backend(),
                "UPDATE journal SET entry = $1 WHERE saga = $2",
                [entry.into(), saga.0.into()],
            );
            assert_eq!(database.execute_raw(update).await.expect("an update").rows_affected(), 1);
        }
        database.close().await.expect("an end");

        let loaded = test.store.load(&[gap, spoiled, newer, sound]).await.expect("an answer");
        assert_eq!(loaded.journals.keys().collect::<Vec<_>>(), [&sound]);
        for saga in [gap, spoiled] {
            assert!(matches!(loaded.unreadable[&saga], Error::Corrupt(_)), "{loaded:?}");
        }
        assert!(matches!(loaded.unreadable[&newer], Error::Newer(_)), "{loaded:?}");
        let since = test.store.appended_since(Time(0), 10).await.expect("an answer");
        assert_eq!(
            since.iter().map(|appended| appended.saga).collect::<BTreeSet<_>>(),
            BTreeSet::from([gap, sound])
        );
    })
    .await;
}

/// A statement that PostgreSQL gives up on differs from an unavailable database.
#[tokio::test]
async fn a_statement_that_is_given_up_on_is_exhausted() {
    run(Postgres, async |test| {
        let database = test.database().await.expect("a database");
        for sql in [
            "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'too slow' USING ERRCODE = '57014'; END $$",
            "CREATE TRIGGER give_up BEFORE INSERT ON journal EXECUTE FUNCTION give_up()",
        ] {
            database.execute_unprepared(sql).await.expect("a trigger");
        }
        database.close().await.expect("an end");
        let batch = Batch { entries: vec![appended(saga_id(), 1, numbered(1))], ..Batch::default() };
        assert!(matches!(test.store.commit(batch).await, Err(Error::Exhausted(_))));
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_locked_against_writes_is_noticed_at_once() {
    run(Postgres, async |test| {
        for mode in ["SHARE", "ACCESS EXCLUSIVE"] {
            test.store.check().await.expect("no lock");
            let other = test.database().await.expect("a database");
            let transaction = other.begin().await.expect("a transaction");
            let lock = format!("LOCK TABLE journal IN {mode} MODE");
            transaction.execute_unprepared(&lock).await.expect("a lock");
            let error = test.store.check().await.expect_err("it is locked");
            assert!(
                matches!(&error, Error::Unavailable(why) if why.to_string().contains("`journal`")),
                "{error:?}"
            );
            transaction.rollback().await.expect("an end");
            other.close().await.expect("an end");
        }
    })
    .await;
}

/// Concurrent first callers create one identity, which all get from then on.
#[rstest]
#[tokio::test]
async fn a_database_has_one_identity(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let asked = join_all((0..8).map(|_| test.store.identity())).await;
        let first = asked[0].as_ref().expect("an identity");
        assert!(asked.iter().all(|identity| identity.as_ref().is_ok_and(|identity| identity == first)));
        assert!(!first.is_nil());
    })
    .await;
}

/// One row of the outbox that is damaged hides no message of another saga, and no event that is buffered.
#[rstest]
#[tokio::test]
async fn a_row_that_cannot_be_read_hides_no_other(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (spoiled, sound) = (saga_id(), saga_id());
        let outbox = vec![unsent(spoiled), unsent(sound)];
        let readable = outbox[1..].to_vec();
        test.store.commit(Batch { outbox, ..Batch::default() }).await.expect("a commit");
        let events = [event(spoiled, 3), event(spoiled, 4)];
        for event in &events {
            let buffered = test.store.buffer_event(event, BufferLimits { per_saga: 9, total: 9 }).await;
            assert_eq!(buffered.expect("an answer"), Buffered::New);
        }
        let database = test.database().await.expect("a database");
        for spoil in [
            "UPDATE outbox SET messages = substr(messages, 2) WHERE id = (SELECT id FROM outbox ORDER BY id LIMIT 1)",
            "UPDATE buffered_event SET event = 'nonsense' WHERE expires_at = 3",
        ] {
            assert_eq!(database.execute_unprepared(spoil).await.expect("an update").rows_affected(), 1);
        }
        database.close().await.expect("an end");

        let found = test.store.unsent_of(&[spoiled, sound]).await.expect("messages");
        assert_eq!((found, claim_unsent(&test.store, 9).await), (readable.clone(), readable));
        assert_eq!(test.store.buffered_events(spoiled, 10).await.expect("events"), events[1..]);
        assert_eq!(test.store.expired_buffered_events(Time(9), 10).await.expect("events"), events[1..]);
    })
    .await;
}

/// The state after a failover (case 15): sessions that are alive and cannot write.
#[tokio::test]
async fn sessions_that_cannot_write_are_not_used_again() {
    run(Postgres, async |test| {
        let database = test.database().await.expect("a database");
        let set = async |setting: &str| {
            let set = format!("EXECUTE 'ALTER DATABASE ' || current_database() || ' {setting}'");
            database.execute_unprepared(&format!("DO $$ BEGIN {set}; END $$")).await.expect("a setting");
        };
        let commit =
            async || test.store.commit(Batch { outbox: vec![unsent(saga_id())], ..Batch::default() }).await;
        set("SET default_transaction_read_only = on").await;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.execute_unprepared(others).await.expect("an end of the sessions");
        while !format!("{:?}", commit().await.expect_err("only reads")).contains("read-only") {}
        set("RESET default_transaction_read_only").await;
        commit().await.expect("a commit, on another session");
        database.close().await.expect("an end");
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

/// Processes that start together: one migrates, the others wait for it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_migrated_once(#[values(Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let database = test.database().await.expect("a database");
        for table in [
            "definition",
            "saga",
            "journal",
            "outbox",
            "schedule",
            "dead_letter",
            "audit",
            "incident",
            "attribute",
            "token_key",
            "buffered_event",
            "process",
            "identity",
            "seaql_migrations",
        ] {
            database.execute_unprepared(&format!("DROP TABLE {table}")).await.expect("a drop");
        }
        database.close().await.expect("an end");
        let url = test.url().expect("a URL");
        let starts = (0..4).map(|_| {
            let options = Options::new(url.clone());
            tokio::spawn(async move { SqlStore::connect(&options).await })
        });
        for start in join_all(starts).await {
            start.expect("a start").expect("a store").close().await;
        }
        test.store.check().await.expect("a sound database");
    })
    .await;
}

#[rstest]
#[case::other_database("mysql://snorri:hush@127.0.0.1/snorri")]
#[case::wrong_port("postgres://snorri:hush@127.0.0.1:1/snorri")]
#[case::malformed("postgresql://snorri:hush@127.0.0.1:port/snorri")]
#[tokio::test]
async fn an_error_does_not_show_the_password(#[case] url: &str) {
    let options = Options { acquire_timeout: Duration::from_millis(100), ..Options::new(url) };
    let error = SqlStore::connect(&options).await.expect_err("an error");
    assert_eq!(matches!(error, ConnectError::Unavailable(_)), url.contains(":1/"), "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}
