//! The meaning of a database's error.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

use snorri_ports::store::Error;

/// PostgreSQL: unique_violation.
const UNIQUE_VIOLATION: &str = "23505";
/// PostgreSQL: deadlock_detected. Of two writers that wait for each other it rolls one back.
const DEADLOCK: &str = "40P01";
/// PostgreSQL: the classes data_exception (a NUL in a text, a number out of range) and program_limit_exceeded (a row or a
/// key of an index that is too large).
const VALUE_CLASSES: [&str; 2] = ["22", "54"];
/// PostgreSQL: query_canceled (the statement timeout), out_of_memory and internal_error (an allocation of more than 1 GB).
const EXHAUSTED: [&str; 3] = ["57014", "53200", "XX000"];
/// SQLite: SQLITE_NOMEM.
const NO_MEMORY: &str = "7";
/// PostgreSQL: read_only_sql_transaction.
const READ_ONLY: &str = "25006";
/// SQLite: SQLITE_CONSTRAINT_PRIMARYKEY.
const CONSTRAINT_PRIMARYKEY: &str = "1555";
/// SQLite: SQLITE_TOOBIG.
const TOO_BIG: &str = "18";

/// An error of the port, made from one of the port or from one of the database.
#[derive(Debug)]
pub(crate) struct SqlError(pub(crate) Error);

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<SqlError> for Error {
    fn from(SqlError(error): SqlError) -> Self {
        error
    }
}

impl From<DbErr> for SqlError {
    fn from(error: DbErr) -> Self {
        Self(match error {
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Error::Corrupt(error.to_string()),
            DbErr::Query(RuntimeErr::SqlxError(ref cause))
                if matches!(**cause, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) =>
            {
                Error::Corrupt(error.to_string())
            }
            error => refused(&error).unwrap_or_else(|| Error::Unavailable(error.into())),
        })
    }
}

/// The error of a database that answers, if the statement itself is the reason.
fn refused(error: &DbErr) -> Option<Error> {
    let cause = database_error(error)?;
    let code = cause.code()?;
    let is_state = code.len() == 5; // an SQLSTATE, and not a code of SQLite
    let is_invalid =
        if is_state { VALUE_CLASSES.iter().any(|class| code.starts_with(class)) } else { code == TOO_BIG };
    let is_exhausted = if is_state { EXHAUSTED.contains(&code.as_ref()) } else { code == NO_MEMORY };
    let message = || format!("{} ({code})", cause.message());
    if is_invalid {
        Some(Error::Invalid(message()))
    } else {
        is_exhausted.then(|| Error::Exhausted(message()))
    }
}

/// The error of a whole commit on PostgreSQL.
pub(crate) fn of_commit(error: DbErr) -> SqlError {
    let lost_race = database_error(&error).is_some_and(|cause| match cause.code().as_deref() {
        Some(UNIQUE_VIOLATION) => matches!(cause.table(), Some("journal" | "saga")),
        Some(DEADLOCK) => true,
        _ => false,
    });
    if lost_race { Error::Conflict.into() } else { error.into() }
}

/// The error of starting a saga or appending to its journal on SQLite, which does not name the table.
pub(crate) fn of_append(error: DbErr) -> SqlError {
    let code = database_error(&error).and_then(|cause| cause.code());
    if code.as_deref() == Some(CONSTRAINT_PRIMARYKEY) { Error::Conflict.into() } else { error.into() }
}

/// Whether PostgreSQL refused a statement because the session is read-only.
pub(crate) fn is_read_only(error: &DbErr) -> bool {
    database_error(error).is_some_and(|cause| cause.code().as_deref() == Some(READ_ONLY))
}

fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            cause.as_database_error()
        }
        _ => None,
    }
}
