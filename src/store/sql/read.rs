//! Reading journals: whole, by pages, and what was appended since a time.

use std::collections::HashMap;

use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use super::{Dialect, SqlStore, commit};
use crate::saga::{Entry, SagaId, Time};
use crate::store::{Appended, Error, journal};

const POSTGRES_LOAD: &str =
    "SELECT saga, seq, entry FROM journal WHERE saga = ANY($1::uuid[]) ORDER BY saga, seq";

const SQLITE_LOAD: &str = "\
SELECT saga, seq, entry FROM journal WHERE saga IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY saga, seq";

const PAGE: &str = "SELECT saga, seq, entry FROM journal WHERE saga = $1 AND seq > $2 ORDER BY seq LIMIT $3";

const POSTGRES_SINCE: &str =
    "SELECT saga, seq, entry FROM journal WHERE at >= $1 ORDER BY at, saga, seq LIMIT $2";

/// Rows are appended in about the order of their times. So this reads backwards, up to a row that is much too old.
const SQLITE_SINCE: &str = "\
SELECT saga, seq, entry FROM journal
WHERE at >= ?1 AND rowid > coalesce((SELECT rowid FROM journal WHERE at < ?1 - 60000 ORDER BY rowid DESC LIMIT 1), 0)
ORDER BY at, saga, seq LIMIT ?2";

const COUNT_UNSENT: &str = "SELECT count(*) FROM outbox";

pub(super) async fn load(store: &SqlStore, sagas: &[SagaId]) -> Result<HashMap<SagaId, Vec<Entry>>, Error> {
    let (sql, keys): (_, Value) = match store.dialect {
        Dialect::Postgres => (POSTGRES_LOAD, commit::uuids(sagas.iter().map(|saga| saga.0))),
        Dialect::Sqlite(_) => (SQLITE_LOAD, commit::json_keys(sagas.iter().map(|saga| &saga.0)).into()),
    };
    let rows = store.query(store.statement(sql, [keys])).await?;
    let rows = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let mut rows = rows.into_iter().peekable();
    let mut loaded = HashMap::with_capacity(sagas.len());
    while let Some((saga, _, _)) = rows.peek() {
        let saga = *saga;
        let of_saga =
            std::iter::from_fn(|| rows.next_if(|row| row.0 == saga)).map(|(_, seq, entry)| (seq, entry));
        loaded.insert(saga, journal(saga, of_saga)?);
    }
    Ok(loaded)
}

fn entry(row: &QueryResult) -> Result<(SagaId, u32, Entry), Error> {
    let saga = SagaId(row.try_get_by_index::<Uuid>(0)?);
    let seq: i32 = row.try_get_by_index(1)?;
    let text: String = row.try_get_by_index(2)?;
    let corrupt = |why: String| Error::Corrupt(format!("entry {seq} of saga {saga}: {why}"));
    let entry = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    Ok((saga, u32::try_from(seq).map_err(|error| corrupt(error.to_string()))?, entry))
}

pub(super) async fn count_unsent(store: &SqlStore) -> Result<u64, Error> {
    let rows = store.query(store.statement(COUNT_UNSENT, [])).await?;
    let count: i64 =
        rows.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
    Ok(count.unsigned_abs())
}

pub(super) async fn page(
    store: &SqlStore,
    saga: SagaId,
    after: u32,
    limit: u32,
) -> Result<Vec<Appended>, Error> {
    let values = [saga.0.into(), i64::from(after).into(), i64::from(limit).into()];
    appended(store, PAGE, values).await
}

pub(super) async fn appended_since(store: &SqlStore, at: Time, limit: u32) -> Result<Vec<Appended>, Error> {
    let sql = match store.dialect {
        Dialect::Postgres => POSTGRES_SINCE,
        Dialect::Sqlite(_) => SQLITE_SINCE,
    };
    appended(store, sql, [at.0.into(), i64::from(limit).into()]).await
}

async fn appended(
    store: &SqlStore,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Appended>, Error> {
    let rows = store.query(store.statement(sql, values)).await?;
    rows.iter().map(|row| entry(row).map(|(saga, seq, entry)| Appended { saga, seq, entry })).collect()
}
