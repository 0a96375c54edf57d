//! What a database's error means.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

use crate::store::Error;

/// PostgreSQL: unique_violation.
const UNIQUE_VIOLATION: &str = "23505";
/// PostgreSQL: deadlock_detected. Of two writers that wait for each other it ends one, of which nothing is left.
const DEADLOCK: &str = "40P01";
/// PostgreSQL: the classes data_exception (a NUL in a text, a number out of range) and program_limit_exceeded (a row or a
/// key of an index that is too large).
const VALUE_CLASSES: [&str; 2] = ["22", "54"];
/// PostgreSQL: read_only_sql_transaction.
const READ_ONLY: &str = "25006";
/// SQLite: SQLITE_CONSTRAINT_PRIMARYKEY.
const CONSTRAINT_PRIMARYKEY: &str = "1555";
/// SQLite: SQLITE_TOOBIG.
const TOO_BIG: &str = "18";

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Self::Corrupt(error.to_string()),
            DbErr::Query(RuntimeErr::SqlxError(ref cause))
                if matches!(**cause, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) =>
            {
                Self::Corrupt(error.to_string())
            }
            error => match invalid_value(&error) {
                Some(message) => Self::Invalid(message),
                None => Self::Unavailable(error.into()),
            },
        }
    }
}

/// The message of the database about a value that it cannot hold, if that is the error.
fn invalid_value(error: &DbErr) -> Option<String> {
    let cause = database_error(error)?;
    let code = cause.code()?;
    let is_value = match code.len() {
        // An SQLSTATE.
        5 => VALUE_CLASSES.iter().any(|class| code.starts_with(class)),
        _ => code == TOO_BIG,
    };
    is_value.then(|| format!("{} ({code})", cause.message()))
}

/// The rows that could be read. The others are logged and left out.
pub(super) fn readable<T>(rows: impl Iterator<Item = Result<T, Error>>) -> impl Iterator<Item = T> {
    rows.filter_map(|row| {
        row.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "a row cannot be read: it is left out");
        })
        .ok()
    })
}

/// The error of a whole commit on PostgreSQL.
pub(super) fn of_commit(error: DbErr) -> Error {
    let lost_race = database_error(&error).is_some_and(|cause| match cause.code().as_deref() {
        Some(UNIQUE_VIOLATION) => cause.table() == Some("journal"),
        Some(DEADLOCK) => true,
        _ => false,
    });
    if lost_race { Error::Conflict } else { error.into() }
}

/// The error of appending to the journal on SQLite, which does not say which table it means.
pub(super) fn of_append(error: DbErr) -> Error {
    let code = database_error(&error).and_then(|cause| cause.code());
    if code.as_deref() == Some(CONSTRAINT_PRIMARYKEY) { Error::Conflict } else { error.into() }
}

/// Whether PostgreSQL refused a statement because the session only reads.
pub(super) fn is_read_only(error: &DbErr) -> bool {
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
