//! Connecting: what every connection is told, and bringing the schema up to date.

use std::collections::HashSet;
use std::time::Duration;

use migrations::Migrator;
use migrations::sea_orm_migration::{MigratorTrait, SchemaManager};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use secrecy::{ExposeSecret, SecretString};

use super::{Dialect, Logged, Recycling, SqlStore, Writer};
use crate::store::Error;

/// A connection that was idle for this long is tried before it is used: behind a load balancer it may be gone. Trying
/// each time would cost a round trip.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(10);

/// How much longer than the database's own limits we wait before an answer counts as lost, in which time those limits
/// give the better error.
const GRACE: Duration = Duration::from_secs(1);

/// Any number that nothing else in the database takes an advisory lock on: "snorri" in ASCII.
const MIGRATION_LOCK: i64 = 0x736e_6f72_7269;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database` or `sqlite://path?mode=rwc`.
    pub url: SecretString,
    /// Most connections of this process, at least 1. A few are enough, because a batch shares its commit: more would
    /// only take turns on the same disk.
    pub max_connections: u32,
    /// The longest wait for a free connection and, in SQLite, for another process that is writing.
    pub acquire_timeout: Duration,
    /// The longest that PostgreSQL works on one statement, at least 1 ms. It ends statements that wait for a lock, and
    /// those whose asker is gone. A migration may take longer.
    pub statement_timeout: Duration,
    /// How long PostgreSQL lets a transaction sit idle, at least 1 ms. We never do; it frees the locks of a process
    /// that was stopped in the middle.
    pub idle_in_transaction_timeout: Duration,
    /// Whether to bring the schema up to date. Otherwise someone else does, with rights that this process lacks.
    pub migrate: bool,
}

impl Options {
    /// The defaults: 8 connections, 5 s for a connection, 10 s for a statement, 10 s idle, migrations on.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(10),
            migrate: true,
        }
    }
}

pub(super) async fn connect(options: &Options) -> Result<SqlStore, Error> {
    let url = options.url.expose_secret();
    // Not sea-orm's `Database::connect`, which panics at a malformed URL, and shows one that it does not support, with
    // the password in it.
    let recycling = Recycling::default();
    let (dialect, db) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        (Dialect::Postgres, SqlxPostgresConnector::connect(connect_options(options, &recycling)).await?)
    } else if url.starts_with("sqlite:") {
        let writer = Writer::new(connect_options(options, &recycling));
        (Dialect::Sqlite(writer), SqlxSqliteConnector::connect(connect_options(options, &recycling)).await?)
    } else {
        return Err(Error::Unavailable("the URL must begin with postgres:// or sqlite://".into()));
    };
    if options.migrate {
        // In a task of its own because it is a transaction.
        let migration = tokio::spawn(migrate(db.clone()));
        migration.await.map_err(|error| Error::Unavailable(error.into()))??;
    }
    let patience = options.acquire_timeout + options.statement_timeout + GRACE;
    Ok(SqlStore { db, dialect, patience, recycling, logged: Logged::default() })
}

fn connect_options(options: &Options, recycling: &Recycling) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.expose_secret());
    connect
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .statement_timeout(options.statement_timeout)
        .test_before_acquire_if_idle_for(TRY_AFTER_IDLE)
        .set_application_name("snorri")
        // It would format every statement, and show what is in it.
        .sqlx_logging(false);
    let idle = options.idle_in_transaction_timeout.as_millis().to_string();
    connect.map_sqlx_postgres_opts(move |postgres| {
        postgres.options([
            // A committed batch must survive a crash, whatever the server's default is.
            ("synchronous_commit", "on"),
            ("idle_in_transaction_session_timeout", idle.as_str()),
            // Every hot statement has a constant text and finds its rows by key. Planning it anew for each batch takes a
            // quarter of the server's time when batches are small (measured), and ...
            ("plan_cache_mode", "force_generic_plan"),
            // ... a plan that was made while a table was small would read all of it for ever after.
            ("enable_seqscan", "off"),
            // What is listed in an index's order is never to be gathered first and sorted then, which a plan that was
            // made for a few rows may prefer. What can only be sorted still is.
            ("enable_sort", "off"),
            // Where there is no other plan, these two make it look so dear that it would be compiled, which takes longer
            // than any statement of ours.
            ("jit", "off"),
        ])
    });
    let recycling = recycling.clone();
    connect.map_sqlx_postgres_before_acquire(move |_, session| {
        let allowed = recycling.allows(session.age);
        Box::pin(async move { Ok(allowed) })
    });
    let busy = options.acquire_timeout;
    connect.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            // Readers and the writer do not wait for each other.
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode, NORMAL would lose the last commits when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(busy)
    });
    connect
}

/// Begins a transaction that, in SQLite, takes the right to write at once: one that reads first could not get it later
/// if someone else wrote meanwhile.
pub(super) fn to_write() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

/// All that is pending or nothing. Of processes that start together, one does it and the others wait for it.
async fn migrate(db: DatabaseConnection) -> Result<(), Error> {
    let known = SchemaManager::new(&db).has_table("seaql_migrations").await?;
    if known && pending(&db).await?.is_empty() {
        return Ok(());
    }
    let transaction = db.begin_with_options(to_write()).await?;
    if db.get_database_backend() == DbBackend::Postgres {
        let alone =
            format!("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        transaction.execute_unprepared(&alone).await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether the database answers and has every migration that this program knows. It may have newer ones.
pub(super) async fn check(db: &DatabaseConnection) -> Result<(), Error> {
    match pending(db).await?.as_slice() {
        [] => Ok(()),
        pending => {
            let what = format!("the database lacks the migrations {}", pending.join(", "));
            Err(Error::Unavailable(what.into()))
        }
    }
}

async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, Error> {
    let statement = Statement::from_string(db.get_database_backend(), "SELECT version FROM seaql_migrations");
    let rows = db.query_all_raw(statement).await?;
    let applied: HashSet<String> =
        rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?;
    let known = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
    Ok(known.filter(|name| !applied.contains(name)).collect())
}
