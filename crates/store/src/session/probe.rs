//! Finds the writable database, and reports why a database cannot be used.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{DbErr, RuntimeErr};

use snorri_ports::addresses::{Addresses, Shown};

/// PostgreSQL: the classes invalid_authorization_specification, invalid_catalog_name and insufficient_privilege. SQLite:
/// SQLITE_CANTOPEN and SQLITE_NOTADB. An operator has to change something.
const REFUSALS: [&str; 5] = ["28", "3D", "42501", "14", "26"];

/// Why the database cannot be used. The message has the address, never the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It does not answer, or takes no writes at the moment.
    #[error("{0}")]
    Unavailable(String),
    /// Waiting does not help: an operator has to change the database or the configuration.
    #[error("{0}")]
    Refused(String),
}

impl ConnectError {
    pub(crate) fn unavailable(url: &str, reason: &str) -> Self {
        Self::Unavailable(format!("{}: {reason}", Shown(url)))
    }

    pub(crate) fn refused(url: &str, reason: &str) -> Self {
        Self::Refused(format!("{}: {reason}", Shown(url)))
    }

    /// The error of a connection that was made.
    pub(crate) fn of(url: &str, error: &DbErr) -> Self {
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => Self::of_sqlx(url, cause),
            // A migration that this program does not have.
            DbErr::Custom(reason) | DbErr::Migration(reason) => {
                let reason =
                    format!("the schema was made by another version of Snorri, run that one: {reason}");
                Self::refused(url, &reason)
            }
            error => Self::unavailable(url, &error.to_string()),
        }
    }

    fn of_sqlx(url: &str, error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Configuration(reason) => {
                Self::refused(url, &format!("the URL cannot be used: {reason}"))
            }
            sqlx::Error::Protocol(reason) => {
                Self::refused(url, &format!("what answers there is not PostgreSQL: {reason}"))
            }
            sqlx::Error::Tls(reason) => Self::refused(url, &format!("TLS fails: {reason}")),
            sqlx::Error::Io(reason) => Self::unavailable(url, &reason.to_string()),
            sqlx::Error::Database(cause) => {
                let code = cause.code().unwrap_or_default();
                let reason = format!("{} ({code})", cause.message());
                match REFUSALS.iter().any(|refusal| is_of(&code, refusal)) {
                    true => Self::refused(url, &reason),
                    false => Self::unavailable(url, &reason),
                }
            }
            error => Self::unavailable(url, &error.to_string()),
        }
    }
}

/// An SQLSTATE belongs to its class. A code of SQLite is compared as a whole.
fn is_of(code: &str, refusal: &str) -> bool {
    if code.len() == 5 { code.starts_with(refusal) } else { code == refusal }
}

/// The first writable one of these databases. Each has `patience` to answer.
///
/// # Errors
///
/// [`ConnectError::Refused`] if all refuse, otherwise [`ConnectError::Unavailable`]: one of them may become usable.
pub(crate) async fn find_writable(addresses: &Addresses, patience: Duration) -> Result<&str, ConnectError> {
    let (mut reasons, mut may_recover) = (Vec::new(), false);
    for url in addresses.iter() {
        let tried = tokio::time::timeout(patience, probe(url)).await;
        match tried.unwrap_or_else(|_| {
            Err(ConnectError::unavailable(url, &format!("no answer within {} s", patience.as_secs())))
        }) {
            Ok(()) => return Ok(url),
            Err(error) => {
                may_recover |= matches!(error, ConnectError::Unavailable(_));
                reasons.push(error.to_string());
            }
        }
    }
    let reasons = reasons.join("; ");
    Err(if may_recover { ConnectError::Unavailable(reasons) } else { ConnectError::Refused(reasons) })
}

/// Checks that this database is writable.
async fn probe(url: &str) -> Result<(), ConnectError> {
    if is_postgres(url) {
        probe_postgres(url).await
    } else if url.starts_with("sqlite:") {
        probe_sqlite(url).await.map_err(|error| ConnectError::of_sqlx(url, &error))
    } else {
        Err(ConnectError::refused(url, "the URL must begin with postgres:// or sqlite://"))
    }
}

pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

async fn probe_postgres(url: &str) -> Result<(), ConnectError> {
    let asked = async {
        let mut session = PgConnection::connect_with(&PgConnectOptions::from_str(url)?).await?;
        let ask = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
        let answer: (bool, bool) = sqlx::query_as(ask).fetch_one(&mut session).await?;
        // The only error is that it is closed already.
        let _ = session.close().await;
        Ok(answer)
    };
    match asked.await {
        Ok((true, _)) => Err(ConnectError::unavailable(url, "it is a standby and takes no writes")),
        Ok((_, true)) => {
            let reason = "it takes no writes (default_transaction_read_only is on)";
            Err(ConnectError::unavailable(url, reason))
        }
        Ok((false, false)) => Ok(()),
        Err(error) => Err(ConnectError::of_sqlx(url, &error)),
    }
}

async fn probe_sqlite(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::from_str(url)?).await?;
    sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut connection).await?;
    connection.close().await
}
