//! Connects, and migrates the schema.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use migrations::Migrator;
use migrations::sea_orm_migration::{MigratorTrait, SchemaManager};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, SqlxSqliteConnector,
    Statement, TransactionTrait,
};

use crate::commit::last_whole::LastWhole;
use crate::commit::writer::{Writer, to_write};
use crate::read::stored::Logged;
use crate::session::error::SqlError;
use crate::session::probe::{self, ConnectError, find_writable};
use crate::session::recycling::Recycling;
use crate::session::settings::{Options, connect_options};
use crate::session::switching::Switch;
use crate::sql_store::{Dialect, SqlStore};
use snorri_ports::store::Error;

/// How much longer than the database's own limits the client waits before an answer counts as lost; until then those limits
/// give the better error.
const GRACE: Duration = Duration::from_secs(1);

/// The key of an advisory lock that nothing else in the database uses: "snorri" in ASCII.
const MIGRATION_LOCK: i64 = 0x736e_6f72_7269;

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
    Ok(SqlStore {
        db,
        dialect,
        patience,
        recycling,
        logged: Logged::default(),
        last_whole: LastWhole::default(),
        switch,
    })
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
