//! The options of the store, and what they set on each session.

use std::time::Duration;

use sea_orm::ConnectOptions;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use crate::session::recycling::Recycling;
use snorri_ports::addresses::Addresses;

/// A connection that was idle for this long is tested before it is used: behind a load balancer it may be gone. Testing each
/// time would cost a round trip.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(10);

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
        // The same goes for a join of few rows with the journal.
        ("enable_hashjoin", "off".to_owned()),
        ("enable_mergejoin", "off".to_owned()),
        // A list in an index's order must never be collected first and sorted then, which a plan that was made for a few rows
        // may prefer. Lists that can only be sorted still are.
        ("enable_sort", "off".to_owned()),
        // Where there is no other plan, these two make its cost look so high that it would be compiled, which takes longer than
        // any of these statements.
        ("jit", "off".to_owned()),
    ])
}

pub(crate) fn connect_options(url: &str, options: &Options, recycling: &Recycling) -> ConnectOptions {
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
