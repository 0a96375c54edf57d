//! Connects: the settings of every connection, and the migrations of the schema.

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

use crate::session::error::SqlError;
use crate::session::probe::{self, ConnectError, find_writable};
use crate::session::switching::Switch;
use crate::{Dialect, Logged, Recycling, SqlStore, Writer};
use snorri_ports::addresses::Addresses;
use snorri_ports::store::Error;

/// A connection that was idle for this long is tested before it is used: behind a load balancer it may be gone. Testing each
/// time would cost a round trip.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(10);

/// How much longer than the database's own limits the client waits before an answer counts as lost; until then those limits
/// give the better error.
const GRACE: Duration = Duration::from_secs(1);

/// The key of an advisory lock that nothing else in the database uses: "snorri" in ASCII.
const MIGRATION_LOCK: i64 = 0x736e_6f72_7269;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database` or `sqlite://path?mode=rwc`. Of several on PostgreSQL the first writable
    /// one is used.
    pub url: Addresses,
    /// Most connections of this process, at least 1. A few are enough, because a batch shares its commit: more would only take
    /// turns on the same disk.
    pub max_connections: u32,
    /// The longest wait for a free connection and, in SQLite, for another process that is writing.
    pub acquire_timeout: Duration,
    /// The longest that PostgreSQL works on one statement, at least 1 ms. It ends statements that wait for a lock, and those
    /// whose client is gone. A migration may take longer.
    pub statement_timeout: Duration,
    /// How long PostgreSQL lets a transaction sit idle, at least 1 ms. Snorri leaves none idle; this frees the locks of a
    /// process that was stopped in the middle.
    pub idle_in_transaction_timeout: Duration,
    /// Whether to migrate the schema. Otherwise it is migrated separately, with rights that this process lacks.
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

/// Connects to the first writable database, and migrates its schema if the options ask for that.
pub(crate) async fn connect(options: &Options) -> Result<SqlStore, ConnectError> {
    let url = find_writable(&options.url, options.acquire_timeout).await?;
    let recycling = Recycling::default();
    let failed = |error: DbErr| ConnectError::of(url, &error);
    // Not sea-orm's `Database::connect`, which panics at a malformed URL, and shows one that it does not support, with its
    // password.
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

/// The settings of every PostgreSQL session.
pub(crate) fn session_settings(postgres: PgConnectOptions, options: &Options) -> PgConnectOptions {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    // Logging would format every statement, and show its values.
    postgres.disable_statement_logging().application_name("snorri").options([
        ("statement_timeout", milliseconds(options.statement_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(options.idle_in_transaction_timeout)),
        // A committed batch must survive a crash, whatever the server's default is.
        ("synchronous_commit", "on".to_owned()),
        // Every hot statement has a constant text and finds its rows by key. Planning it again for each batch takes a quarter
        // of the server's time when batches are small (measured), and ...
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        // ... a plan that was made while a table was small would scan the whole table forever.
        ("enable_seqscan", "off".to_owned()),
        // A list in an index's order must never be collected first and sorted then, which a plan that was made for a few rows
        // may prefer. Lists that can only be sorted still are.
        ("enable_sort", "off".to_owned()),
        // Where there is no other plan, these two make its cost look so high that it would be compiled, which takes longer than
        // any of these statements.
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
            // Readers and the writer do not block each other.
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode, NORMAL would lose the last commits when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(busy)
    });
    connect
}

/// Begins a transaction that, in SQLite, takes the right to write at once: one that reads first could not get it later if
/// another process wrote meanwhile.
pub(crate) fn to_write() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

/// Applies all pending migrations or none. Of processes that start together, one does it and the others wait for it.
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

/// Whether the database answers and has every migration of this program. It may have newer ones.
pub(crate) async fn check(db: &DatabaseConnection) -> Result<(), SqlError> {
    match pending(db).await?.as_slice() {
        [] => Ok(()),
        pending => {
            let what = format!("the database lacks the migrations {}", pending.join(", "));
            Err(Error::Unavailable(what.into()).into())
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
