//! Reads journals: whole, by pages, and the entries since a time.

pub(crate) mod list;
pub(crate) mod question;
pub(crate) mod records;
pub(crate) mod stored;

use std::collections::HashMap;

use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::parameters;
use crate::read::stored::read_json;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{SagaId, Time};
use snorri_ports::store::{Appended, Error, Loaded};

/// A query of journals: its columns, the condition on the rows of the sagas (`s`), and what follows. It is a join, because the key
/// of a journal (`j`) begins with the start of its saga.
macro_rules! journal {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM saga AS s JOIN journal AS j ON j.started_at = s.started_at AND j.saga = s.id WHERE ",
            $rest
        )
    };
}

const POSTGRES_LOAD: &str =
    journal!("j.saga, j.started_at, j.seq, j.entry", "s.id = ANY($1::uuid[]) ORDER BY j.saga, j.seq");

const SQLITE_LOAD: &str = journal!(
    "j.saga, j.started_at, j.seq, j.entry",
    "s.id IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY j.saga, j.seq"
);

const POSTGRES_HEADS: &str = journal!("j.saga, max(j.seq)", "s.id = ANY($1::uuid[]) GROUP BY j.saga");

const SQLITE_HEADS: &str =
    journal!("j.saga, max(j.seq)", "s.id IN (SELECT unhex(value) FROM json_each(?1)) GROUP BY j.saga");

const PAGE: &str =
    journal!("j.saga, j.started_at, j.seq, j.entry", "s.id = $1 AND j.seq > $2 ORDER BY j.seq LIMIT $3");

const POSTGRES_SINCE: &str =
    "SELECT saga, started_at, seq, entry FROM journal WHERE at >= $1 ORDER BY at, saga, seq LIMIT $2";

/// Rows are appended in about the order of their times, so this reads backwards, up to a row that is much too old.
const SQLITE_SINCE: &str = "\
SELECT saga, started_at, seq, entry FROM journal
WHERE at >= ?1 AND rowid > coalesce((SELECT rowid FROM journal WHERE at < ?1 - 60000 ORDER BY rowid DESC LIMIT 1), 0)
ORDER BY at, saga, seq LIMIT ?2";

pub(super) async fn load(store: &SqlStore, sagas: &[SagaId]) -> Result<Loaded, SqlError> {
    let rows = of_sagas(store, [POSTGRES_LOAD, SQLITE_LOAD], sagas).await?;
    let keyed = rows.iter().map(|row| Ok((saga(row)?, row))).collect::<Result<Vec<_>, SqlError>>()?;
    let mut loaded = Loaded::default();
    for of_saga in keyed.chunk_by(|(one, _), (other, _)| one == other) {
        let (saga, _) = of_saga[0];
        let entries =
            of_saga.iter().map(|(_, row)| entry(row).map(|appended| (appended.seq, appended.entry)));
        loaded.add(saga, entries.map(|entry| entry.map_err(Error::from)));
    }
    Ok(loaded)
}

pub(super) async fn heads(store: &SqlStore, sagas: &[SagaId]) -> Result<HashMap<SagaId, u32>, SqlError> {
    let rows = of_sagas(store, [POSTGRES_HEADS, SQLITE_HEADS], sagas).await?;
    rows.iter().map(|row| Ok((saga(row)?, seq(row.try_get_by_index(1)?)?))).collect()
}

async fn of_sagas(
    store: &SqlStore,
    [postgres, sqlite]: [&str; 2],
    sagas: &[SagaId],
) -> Result<Vec<QueryResult>, SqlError> {
    let (sql, keys): (_, Value) = match store.dialect {
        Dialect::Postgres => (postgres, parameters::uuids(sagas.iter().map(|saga| saga.0))),
        Dialect::Sqlite(_) => (sqlite, parameters::json_keys(sagas.iter().map(|saga| &saga.0)).into()),
    };
    store.query(store.statement(sql, [keys])).await
}

fn saga(row: &QueryResult) -> Result<SagaId, SqlError> {
    Ok(SagaId(row.try_get_by_index::<Uuid>(0)?))
}

fn seq(seq: i32) -> Result<u32, SqlError> {
    Ok(u32::try_from(seq).map_err(|_| Error::Corrupt(format!("a journal has the number {seq}")))?)
}

fn entry(row: &QueryResult) -> Result<Appended, SqlError> {
    let (saga, started_at) = (saga(row)?, Time(row.try_get_by_index(1)?));
    let (seq, text): (_, String) = (seq(row.try_get_by_index(2)?)?, row.try_get_by_index(3)?);
    let entry = read_json(&text, || format!("entry {seq} of saga {saga}"))?;
    Ok(Appended { saga, started_at, seq, entry })
}

pub(super) async fn page(
    store: &SqlStore,
    saga: SagaId,
    after: u32,
    limit: u32,
) -> Result<Vec<Appended>, SqlError> {
    let values = [saga.0.into(), i64::from(after).into(), i64::from(limit).into()];
    store.query(store.statement(PAGE, values)).await?.iter().map(entry).collect()
}

pub(super) async fn appended_since(
    store: &SqlStore,
    at: Time,
    limit: u32,
) -> Result<Vec<Appended>, SqlError> {
    let sql = match store.dialect {
        Dialect::Postgres => POSTGRES_SINCE,
        Dialect::Sqlite(_) => SQLITE_SINCE,
    };
    let rows = store.query(store.statement(sql, [at.0.into(), i64::from(limit).into()])).await?;
    Ok(store.logged.readable(rows.iter().map(entry)))
}
