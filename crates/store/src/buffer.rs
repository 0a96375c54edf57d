//! Events and signals that arrived before their saga: rare rows, each written by a statement of its own.
//!
//! A process that buffers an event looks for its saga once more after the row is committed, and one that starts a saga reads
//! its rows after the start is committed: one of the two always sees the other.

use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::parameters::{json, text};
use crate::read::stored::read_json;
use crate::session::error::SqlError;
use crate::sql_store::SqlStore;
use snorri_core::{SagaId, Time};
use snorri_ports::store::{BufferLimits, Buffered, BufferedEvent};

const COLUMNS: &str = "id, saga, identity, at, expires_at, queue, matched, event";

const INSERT: &str = "\
INSERT INTO buffered_event (id, saga, identity, at, expires_at, queue, matched, event)
SELECT $1, $2, $3, $4, $5, $6, $7, $8
WHERE (SELECT count(*) FROM buffered_event WHERE saga = $2) < $9 AND (SELECT count(*) FROM buffered_event) < $10
ON CONFLICT (saga, identity) DO NOTHING";

const IS_THERE: &str = "SELECT id FROM buffered_event WHERE saga = $1 AND identity = $2";

/// From the buffer, which is small, to the sagas, which are found by key.
const STARTED: &str = "\
SELECT DISTINCT saga FROM buffered_event
WHERE EXISTS (SELECT 1 FROM saga WHERE saga.id = buffered_event.saga) ORDER BY saga LIMIT $1";

pub(super) async fn insert(
    store: &SqlStore,
    event: &BufferedEvent,
    limits: BufferLimits,
) -> Result<Buffered, SqlError> {
    let BufferedEvent { id, saga, identity, at, expires_at, queue, matched, arrival } = event;
    let values: [Value; 10] = [
        (*id).into(),
        saga.0.into(),
        (*identity).into(),
        at.0.into(),
        expires_at.0.into(),
        text(queue).into(),
        (*matched).into(),
        json(arrival)?.into(),
        i64::from(limits.per_saga).into(),
        i64::from(limits.total).into(),
    ];
    let _alone = store.alone().await;
    if store.execute(store.statement(INSERT, values)).await?.rows_affected() > 0 {
        return Ok(Buffered::New);
    }
    let keys: [Value; 2] = [saga.0.into(), (*identity).into()];
    let there = store.query(store.statement(IS_THERE, keys)).await?;
    Ok(if there.is_empty() { Buffered::Full } else { Buffered::Duplicate })
}

pub(super) async fn of_saga(
    store: &SqlStore,
    saga: SagaId,
    limit: u32,
) -> Result<Vec<BufferedEvent>, SqlError> {
    let sql = format!("SELECT {COLUMNS} FROM buffered_event WHERE saga = $1 ORDER BY id LIMIT $2");
    events(store, sql, [saga.0.into(), i64::from(limit).into()]).await
}

pub(super) async fn expired(store: &SqlStore, now: Time, limit: u32) -> Result<Vec<BufferedEvent>, SqlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM buffered_event WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2"
    );
    events(store, sql, [now.0.into(), i64::from(limit).into()]).await
}

pub(super) async fn started_sagas(store: &SqlStore, limit: u32) -> Result<Vec<SagaId>, SqlError> {
    let rows = store.query(store.statement(STARTED, [i64::from(limit).into()])).await?;
    rows.iter().map(|row| Ok(SagaId(row.try_get_by_index::<Uuid>(0)?))).collect()
}

/// An unreadable event is left out, so that it does not block others.
async fn events(store: &SqlStore, sql: String, values: [Value; 2]) -> Result<Vec<BufferedEvent>, SqlError> {
    let rows = store.query(store.statement(sql, values)).await?;
    Ok(store.logged.readable(rows.iter().map(event)))
}

fn event(row: &QueryResult) -> Result<BufferedEvent, SqlError> {
    let id: Uuid = row.try_get_by_index(0)?;
    let arrival: String = row.try_get_by_index(7)?;
    let arrival = read_json(&arrival, || format!("buffered event {id}"))?;
    Ok(BufferedEvent {
        id,
        saga: SagaId(row.try_get_by_index(1)?),
        identity: row.try_get_by_index(2)?,
        at: Time(row.try_get_by_index(3)?),
        expires_at: Time(row.try_get_by_index(4)?),
        queue: row.try_get_by_index(5)?,
        matched: row.try_get_by_index(6)?,
        arrival,
    })
}
