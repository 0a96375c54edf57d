//! Claims due timers, each for one process at a time.
//!
//! On PostgreSQL, rows that another process is just claiming are skipped. The rows are found and locked first, and then updated
//! by an array of their keys: a join would be planned for the whole table once it is large.

use sea_orm::QueryResult;
use uuid::Uuid;

use crate::parameters;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{SagaId, Time};
use snorri_ports::store::Lease;

const POSTGRES_DUE: &str = "\
WITH claimed AS MATERIALIZED (
    SELECT id, due FROM saga WHERE due > $5 AND due <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE saga SET due = $2, holder = $4 WHERE id = ANY(ARRAY(SELECT id FROM claimed))
)
SELECT id FROM claimed ORDER BY due, id";

const SQLITE_DUE: &str = "SELECT id FROM saga WHERE due <= ?1 ORDER BY due, id LIMIT ?2";

/// A second statement, because SQLite returns no value from before an update, and the order is by the old one.
const SQLITE_LEASE_DUE: &str =
    "UPDATE saga SET due = ?1, holder = ?3 WHERE id IN (SELECT unhex(value) FROM json_each(?2))";

pub(crate) async fn due(
    store: &SqlStore,
    now: Time,
    lease: Lease,
    limit: u32,
) -> Result<Vec<SagaId>, SqlError> {
    let until = now.after(lease.duration);
    match &store.dialect {
        Dialect::Postgres => {
            let after = store.last_whole.after(now);
            let values = [
                now.0.into(),
                until.0.into(),
                i64::from(limit).into(),
                lease.holder.into(),
                after.map_or(i64::MIN, |after| after.0).into(),
            ];
            let claimed = sagas(&store.query(store.statement(POSTGRES_DUE, values)).await?)?;
            if after.is_none() && claimed.len() < limit as usize {
                store.last_whole.set(now);
            }
            Ok(claimed)
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

fn sagas(rows: &[QueryResult]) -> Result<Vec<SagaId>, SqlError> {
    rows.iter().map(|row| Ok(SagaId(row.try_get_by_index::<Uuid>(0)?))).collect()
}
