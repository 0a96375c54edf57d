//! Connecting: what every connection is told, and bringing the schema up to date.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use migrations::Migrator;
use migrations::sea_orm_migration::{MigratorTrait, SchemaManager};
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};

use super::probe::{self, ConnectError, find_writable};
use super::switching::Switch;
use super::{Dialect, Logged, Recycling, SqlStore, Writer};
use crate::addresses::Addresses;
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
    /// `postgres://user:password@host:port/database` or `sqlite://path?mode=rwc`. Of several on PostgreSQL the first one that can
    /// be written is used.
    pub url: Addresses,
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
    pub fn new(url: impl Into<Addresses>) -> Self {
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

/// Connects to the first database that can be written, and brings its schema up to date if the options say so.
pub(super) async fn connect(options: &Options) -> Result<SqlStore, ConnectError> {
    let url = find_writable(&options.url, options.acquire_timeout).await?;
    let recycling = Recycling::default();
    let failed = |error: DbErr| ConnectError::of(url, &error);
    // Not sea-orm's `Database::connect`, which panics at a malformed URL, and shows one that it does not support, with
    // the password in it.
    let (dialect, db) = if probe::is_postgres(url) {
        let db = SqlxPostgresConnector::connect(connect_options(url, options, &recycling)).await;
        (Dialect::Postgres, db.map_err(failed)?)
    } else {
        let writer = Writer::new(connect_options(url, options, &recycling));
        let db = SqlxSqliteConnector::connect(connect_options(url, options, &recycling)).await;
        (Dialect::Sqlite(writer), db.map_err(failed)?)
    };
    if options.migrate {
        // In a task of its own because it is a transaction.
        let migration = tokio::spawn(migrate(db.clone())).await;
        migration.map_err(|error| ConnectError::unavailable(url, &error.to_string()))?.map_err(failed)?;
    } else {
        let lacking = pending(&db).await.map_err(failed)?;
        if !lacking.is_empty() {
            let what = format!("the schema lacks the migrations {}: migrate it first", lacking.join(", "));
            return Err(ConnectError::refused(url, &what));
        }
    }
    let patience = options.acquire_timeout + options.statement_timeout + GRACE;
    let switch = (options.url.are_several() && matches!(dialect, Dialect::Postgres))
        .then(|| Arc::new(Switch::new(options, &db, url, &recycling)));
    Ok(SqlStore { db, dialect, patience, recycling, logged: Logged::default(), switch })
}

/// What every session of PostgreSQL is given.
pub(super) fn session_settings(postgres: PgConnectOptions, options: &Options) -> PgConnectOptions {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    // It would format every statement, and show what is in it.
    postgres.disable_statement_logging().application_name("snorri").options([
        ("statement_timeout", milliseconds(options.statement_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(options.idle_in_transaction_timeout)),
        // A committed batch must survive a crash, whatever the server's default is.
        ("synchronous_commit", "on".to_owned()),
        // Every hot statement has a constant text and finds its rows by key. Planning it anew for each batch takes a
        // quarter of the server's time when batches are small (measured), and ...
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        // ... a plan that was made while a table was small would read all of it for ever after.
        ("enable_seqscan", "off".to_owned()),
        // What is listed in an index's order is never to be gathered first and sorted then, which a plan that was
        // made for a few rows may prefer. What can only be sorted still is.
        ("enable_sort", "off".to_owned()),
        // Where there is no other plan, these two make it look so dear that it would be compiled, which takes longer
        // than any statement of ours.
        ("jit", "off".to_owned()),
    ])
}

fn connect_options(url: &str, options: &Options, recycling: &Recycling) -> ConnectOptions {
    let mut connect = ConnectOptions::new(url);
    connect
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire_if_idle_for(TRY_AFTER_IDLE)
        .sqlx_logging(false);
    let settings = options.clone();
    connect.map_sqlx_postgres_opts(move |postgres| session_settings(postgres, &settings));
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
async fn migrate(db: DatabaseConnection) -> Result<(), DbErr> {
    if pending(&db).await?.is_empty() {
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
    match pending(db).await.map_err(Error::from)?.as_slice() {
        [] => Ok(()),
        pending => {
            let what = format!("the database lacks the migrations {}", pending.join(", "));
            Err(Error::Unavailable(what.into()))
        }
    }
}

async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let known = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(known.collect());
    }
    let statement = Statement::from_string(db.get_database_backend(), "SELECT version FROM seaql_migrations");
    let rows = db.query_all_raw(statement).await?;
    let applied: HashSet<String> =
        rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?;
    Ok(known.filter(|name| !applied.contains(name)).collect())
}
