//! The processes that are alive, and the rows that they have reserved.

use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::sql_store::{Dialect, SqlStore};

use crate::session::error::SqlError;
use snorri_core::Time;
use snorri_ports::store::ProcessRow;

const POSTGRES_NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const SEEN: &str = "\
INSERT INTO process (id, seen_at) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, ended_at = NULL";

const ALL: &str = "SELECT id, seen_at, ended_at FROM process ORDER BY id";

/// Each is a statement of its own: if the process dies in between, another executes them all again.
const RELEASE: [&str; 3] = [
    "UPDATE outbox SET reserved_until = $2, holder = NULL WHERE holder = $1",
    "UPDATE saga SET due = $2, holder = NULL WHERE due IS NOT NULL AND holder = $1",
    "UPDATE process SET ended_at = $2 WHERE id = $1 AND seen_at <= $2 AND ended_at IS NULL",
];

const FORGET: &str = "DELETE FROM process WHERE id = $1 AND ended_at IS NOT NULL";

pub(super) async fn now(store: &SqlStore) -> Result<Option<Time>, SqlError> {
    match store.dialect {
        Dialect::Sqlite(_) => Ok(None),
        Dialect::Postgres => {
            let rows = store.query(store.statement(POSTGRES_NOW, [])).await?;
            rows.first().map(|row| Ok(Time(row.try_get_by_index(0)?))).transpose()
        }
    }
}

pub(super) async fn seen(store: &SqlStore, process: Uuid, now: Time) -> Result<(), SqlError> {
    execute(store, SEEN, [process.into(), now.0.into()]).await
}

pub(super) async fn all(store: &SqlStore) -> Result<Vec<ProcessRow>, SqlError> {
    let rows = store.query(store.statement(ALL, [])).await?;
    let process = |row: &QueryResult| {
        let ended_at: Option<i64> = row.try_get_by_index(2)?;
        let (id, seen_at) = (row.try_get_by_index(0)?, Time(row.try_get_by_index(1)?));
        Ok(ProcessRow { id, seen_at, ended_at: ended_at.map(Time) })
    };
    rows.iter().map(process).collect()
}

pub(super) async fn release(store: &SqlStore, process: Uuid, now: Time) -> Result<(), SqlError> {
    for sql in RELEASE {
        execute(store, sql, [process.into(), now.0.into()]).await?;
    }
    Ok(())
}

pub(super) async fn forget(store: &SqlStore, process: Uuid) -> Result<(), SqlError> {
    execute(store, FORGET, [process.into()]).await
}

async fn execute(
    store: &SqlStore,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<(), SqlError> {
    let _alone = store.alone().await;
    store.execute(store.statement(sql, values)).await?;
    Ok(())
}
