//! Claims due timers and unsent messages, each for one process at a time.
//!
//! On PostgreSQL, rows that another process is just claiming are skipped. The rows are found and locked first, and then updated
//! by an array of their keys: a join would be planned for the whole table once it is large.

use sea_orm::QueryResult;
use uuid::Uuid;

use crate::parameters;
use crate::read::stored::read_json;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{Message, SagaId, Time};
use snorri_ports::store::{Lease, OutboxId, OutboxMessage, UnsentCommand};

const POSTGRES_DUE: &str = "\
WITH claimed AS MATERIALIZED (
    SELECT saga, due FROM timer WHERE due <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE timer SET due = $2, holder = $4 WHERE saga = ANY(ARRAY(SELECT saga FROM claimed))
)
SELECT saga FROM claimed ORDER BY due, saga";

const SQLITE_DUE: &str = "SELECT saga FROM timer WHERE due <= ?1 ORDER BY due, saga LIMIT ?2";

/// A second statement, because SQLite returns no value from before an update, and the order is by the old one.
const SQLITE_LEASE_DUE: &str =
    "UPDATE timer SET due = ?1, holder = ?3 WHERE saga IN (SELECT unhex(value) FROM json_each(?2))";

const POSTGRES_UNSENT: &str = "\
WITH claimed AS MATERIALIZED (
    SELECT id, message FROM outbox WHERE reserved_until <= $1 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE outbox SET reserved_until = $2, holder = $4 WHERE id = ANY(ARRAY(SELECT id FROM claimed))
)
SELECT id, message FROM claimed ORDER BY id";

const SQLITE_UNSENT: &str = "\
UPDATE outbox SET reserved_until = ?2, holder = ?4
WHERE id IN (SELECT id FROM outbox WHERE reserved_until <= ?1 ORDER BY id LIMIT ?3)
RETURNING id, message";

const POSTGRES_OF_SAGAS: &str = "SELECT id, message FROM outbox WHERE saga = ANY($1) ORDER BY id";

const SQLITE_OF_SAGAS: &str =
    "SELECT id, message FROM outbox WHERE saga IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY id";

pub(crate) async fn due(
    store: &SqlStore,
    now: Time,
    lease: Lease,
    limit: u32,
) -> Result<Vec<SagaId>, SqlError> {
    let until = now.after(lease.duration);
    match &store.dialect {
        Dialect::Postgres => {
            let values = [now.0.into(), until.0.into(), i64::from(limit).into(), lease.holder.into()];
            sagas(&store.query(store.statement(POSTGRES_DUE, values)).await?)
        }
        Dialect::Sqlite(writer) => {
            let writing = writer.begin().await?;
            let due = store.statement(SQLITE_DUE, [now.0.into(), i64::from(limit).into()]);
            let claimed = sagas(&writing.query(due).await?)?;
            let keys = parameters::json_keys(claimed.iter().map(|saga| &saga.0));
            let leasing =
                store.statement(SQLITE_LEASE_DUE, [until.0.into(), keys.into(), lease.holder.into()]);
            writing.execute(leasing).await?;
            writing.commit().await?;
            Ok(claimed)
        }
    }
}

pub(crate) async fn unsent(
    store: &SqlStore,
    now: Time,
    lease: Lease,
    limit: u32,
) -> Result<Vec<OutboxMessage>, SqlError> {
    let until = now.after(lease.duration);
    let values = [now.0.into(), until.0.into(), i64::from(limit).into(), lease.holder.into()];
    let rows = match &store.dialect {
        Dialect::Postgres => store.query(store.statement(POSTGRES_UNSENT, values)).await?,
        Dialect::Sqlite(writer) => {
            let _alone = writer.alone().await;
            store.query(store.statement(SQLITE_UNSENT, values)).await?
        }
    };
    let mut unsent = store.logged.readable(rows.iter().map(message));
    // SQLite returns the rows of an update in any order.
    unsent.sort_unstable_by_key(|unsent| unsent.id);
    Ok(unsent)
}

/// An unreadable message is left out, so that it does not block other sagas.
///
/// No index helps: the outbox is short, unless the broker is unavailable, and an index would cost each message more than this.
pub(crate) async fn unsent_commands(
    store: &SqlStore,
    sagas: &[SagaId],
) -> Result<Vec<UnsentCommand>, SqlError> {
    let (sql, keys): (_, sea_orm::Value) = match store.dialect {
        Dialect::Postgres => (POSTGRES_OF_SAGAS, parameters::uuids(sagas.iter().map(|saga| saga.0))),
        Dialect::Sqlite(_) => {
            (SQLITE_OF_SAGAS, parameters::json_keys(sagas.iter().map(|saga| &saga.0)).into())
        }
    };
    let rows = store.query(store.statement(sql, [keys])).await?;
    Ok(store.logged.readable(rows.iter().map(message)).into_iter().filter_map(unsent_command).collect())
}

fn unsent_command(OutboxMessage { id, message }: OutboxMessage) -> Option<UnsentCommand> {
    let Message::Command(command) = &*message else { return None };
    Some(UnsentCommand { id, saga: command.saga, attempt: command.attempt() })
}

fn sagas(rows: &[QueryResult]) -> Result<Vec<SagaId>, SqlError> {
    rows.iter().map(|row| Ok(SagaId(row.try_get_by_index::<Uuid>(0)?))).collect()
}

fn message(row: &QueryResult) -> Result<OutboxMessage, SqlError> {
    let id = OutboxId(row.try_get_by_index(0)?);
    let text: String = row.try_get_by_index(1)?;
    let message = read_json(&text, || format!("message {} of the outbox", id.0))?;
    Ok(OutboxMessage { id, message: std::sync::Arc::new(message) })
}
