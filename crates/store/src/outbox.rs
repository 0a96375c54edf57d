//! The outbox: which messages the broker has not confirmed, as places in the journal.
//!
//! A row has its messages as bytes, 24 for each: the saga, then the entry and the number within it, both big-endian. A batch of
//! messages is one short row. A row for each message, with its content, was a third of the CPU that PostgreSQL took for a saga,
//! and half of its WAL.

use std::collections::HashSet;

use sea_orm::sea_query::ArrayType;
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::parameters::{array, hex, hex_digits, json, uuids};
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{SagaId, Time};
use snorri_ports::store::{Error, Lease, MessageRef, OutboxId, OutboxRow};

const MESSAGE_BYTES: usize = 24;

/// Rows that another process is just claiming are skipped. The rows are found and locked first, and then updated by an array of
/// their keys: a join would be planned for the whole table once it is large.
const POSTGRES_CLAIM: &str = "\
WITH claimed AS MATERIALIZED (
    SELECT id, messages FROM outbox WHERE reserved_until <= $1 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE outbox SET reserved_until = $2, holder = $4 WHERE id = ANY(ARRAY(SELECT id FROM claimed))
)
SELECT id, messages FROM claimed ORDER BY id";

const SQLITE_CLAIM: &str = "\
UPDATE outbox SET reserved_until = ?2, holder = ?4
WHERE id IN (SELECT id FROM outbox WHERE reserved_until <= ?1 ORDER BY id LIMIT ?3)
RETURNING id, messages";

const POSTGRES_GIVE_BACK: &str = "\
INSERT INTO outbox (id, reserved_until, messages)
SELECT id, $1, messages FROM unnest($2::uuid[], $3::bytea[]) AS given_back (id, messages)";

const SQLITE_GIVE_BACK: &str = "\
INSERT INTO outbox (id, reserved_until, messages)
SELECT unhex(value ->> 0), ?1, unhex(value ->> 1) FROM json_each(?2)";

const ALL: &str = "SELECT id, messages FROM outbox ORDER BY id";

const COUNT: &str =
    "SELECT coalesce(sum(length(messages)), 0) FROM (SELECT messages FROM outbox LIMIT $1) AS some_of_them";

pub(crate) async fn claim(
    store: &SqlStore,
    now: Time,
    lease: Lease,
    limit: u32,
) -> Result<Vec<OutboxRow>, SqlError> {
    let until = now.after(lease.duration);
    let values = [now.0.into(), until.0.into(), i64::from(limit).into(), lease.holder.into()];
    let rows = match &store.dialect {
        Dialect::Postgres => store.query(store.statement(POSTGRES_CLAIM, values)).await?,
        Dialect::Sqlite(writer) => {
            let _alone = writer.alone().await;
            store.query(store.statement(SQLITE_CLAIM, values)).await?
        }
    };
    let mut claimed = store.logged.readable(rows.iter().map(row));
    // SQLite returns the rows of an update in any order.
    claimed.sort_unstable_by_key(|row| row.id);
    Ok(claimed)
}

pub(crate) async fn give_back(store: &SqlStore, rows: &[OutboxRow], at: Time) -> Result<(), SqlError> {
    let _alone = store.alone().await;
    let statement = match store.dialect {
        Dialect::Postgres => {
            let [ids, messages] = postgres_rows(rows);
            store.statement(POSTGRES_GIVE_BACK, [at.0.into(), ids, messages])
        }
        Dialect::Sqlite(_) => store.statement(SQLITE_GIVE_BACK, [at.0.into(), sqlite_rows(rows)?.into()]),
    };
    store.execute(statement).await?;
    Ok(())
}

/// No index helps: the outbox is short, unless the broker is unavailable, and an index would cost each batch more than this.
pub(crate) async fn unsent_of(store: &SqlStore, sagas: &[SagaId]) -> Result<Vec<OutboxRow>, SqlError> {
    if sagas.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store.query(store.statement(ALL, [])).await?;
    let mut unsent = store.logged.readable(rows.iter().map(row));
    let sagas: HashSet<_> = sagas.iter().collect();
    for row in &mut unsent {
        row.messages.retain(|message| sagas.contains(&message.saga));
    }
    unsent.retain(|row| !row.messages.is_empty());
    Ok(unsent)
}

pub(crate) async fn count(store: &SqlStore, most: u32) -> Result<u64, SqlError> {
    let rows = store.query(store.statement(COUNT, [i64::from(most).into()])).await?;
    let bytes: i64 =
        rows.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
    Ok((bytes.unsigned_abs() / MESSAGE_BYTES as u64).min(u64::from(most)))
}

/// The ids and the messages of rows, as arrays.
pub(crate) fn postgres_rows(rows: &[OutboxRow]) -> [Value; 2] {
    let messages = rows.iter().map(|row| encode(&row.messages));
    [uuids(rows.iter().map(|row| row.id.0)), array(ArrayType::Bytes, messages)]
}

/// The same as JSON.
pub(crate) fn sqlite_rows(rows: &[OutboxRow]) -> Result<String, SqlError> {
    let rows = rows.iter().map(|row| (hex(&row.id.0), hex_digits(&encode(&row.messages))));
    json(&rows.collect::<Vec<_>>())
}

fn row(row: &QueryResult) -> Result<OutboxRow, SqlError> {
    let id = OutboxId(row.try_get_by_index(0)?);
    let bytes: Vec<u8> = row.try_get_by_index(1)?;
    let messages = decode(&bytes).ok_or_else(|| {
        Error::Corrupt(format!("row {} of the outbox has {} bytes: they are no messages", id.0, bytes.len()))
    })?;
    Ok(OutboxRow { id, messages })
}

fn encode(messages: &[MessageRef]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE_BYTES * messages.len());
    for MessageRef { saga, seq, index } in messages {
        bytes.extend_from_slice(saga.0.as_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&index.to_be_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<MessageRef>> {
    let (messages, rest) = bytes.as_chunks::<MESSAGE_BYTES>();
    let number = |bytes: &[u8]| bytes.first_chunk().copied().map(u32::from_be_bytes);
    let message = |bytes: &[u8; MESSAGE_BYTES]| {
        let (saga, numbers) = bytes.split_first_chunk()?;
        let (seq, index) = numbers.split_at(4);
        Some(MessageRef { saga: SagaId(Uuid::from_bytes(*saga)), seq: number(seq)?, index: number(index)? })
    };
    if messages.is_empty() || !rest.is_empty() {
        return None;
    }
    messages.iter().map(message).collect()
}
