//! Whether another session blocks all commits.

use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_ports::store::Error;

/// A lock on a table that every commit writes to, in a mode that excludes writers. A lock that is waited for blocks later
/// writers, too. The query itself waits for no lock.
const KEPT_OUT: &str = "\
SELECT relation::regclass::text FROM pg_locks \
WHERE relation IN ('journal'::regclass, 'saga'::regclass, 'outbox'::regclass) \
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') LIMIT 1";

/// # Errors
///
/// [`Error::Unavailable`] if a table is locked. SQLite has one lock for everything, which each write checks.
pub(crate) async fn check(store: &SqlStore) -> Result<(), SqlError> {
    if matches!(store.dialect, Dialect::Sqlite(_)) {
        return Ok(());
    }
    let rows = store.query(store.statement(KEPT_OUT, [])).await?;
    match rows.first() {
        None => Ok(()),
        Some(row) => {
            let table: String = row.try_get_by_index(0)?;
            let what = format!("another session has locked the table `{table}` against writes");
            Err(Error::Unavailable(what.into()).into())
        }
    }
}
