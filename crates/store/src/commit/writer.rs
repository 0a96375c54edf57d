//! The one connection of a process that writes to SQLite in transactions of several statements.
//!
//! SQLite may end a transaction when a statement fails (no room on the disk, an I/O error), and may leave it open when its end
//! fails. Later writes on this connection may then be rolled back together with the transaction, although each later
//! transaction was reported as committed. So a connection is used again only after a commit that succeeded. After anything
//! else, a future that was dropped halfway included, it is closed, and the next transaction opens another.

use std::sync::Arc;

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, ExecResult, QueryResult,
    SqliteTransactionMode, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::session::error::SqlError;

/// SQLite lets one transaction write at a time, and a connection that finds it busy polls, up to 100 ms later. Waiting here
/// instead is fair and immediate; polling is left to other processes. Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    options: Arc<ConnectOptions>,
    connection: Arc<Mutex<Option<DatabaseConnection>>>,
}

/// A transaction. It is rolled back unless it is committed.
#[derive(Debug)]
pub(crate) struct Writing {
    transaction: DatabaseTransaction,
    connection: DatabaseConnection,
    place: Alone,
}

/// The right to write, for as long as it is held.
pub(crate) type Alone = OwnedMutexGuard<Option<DatabaseConnection>>;

impl Writer {
    pub(crate) fn new(mut options: ConnectOptions) -> Self {
        options.min_connections(0).max_connections(1);
        Self { options: Arc::new(options), connection: Arc::default() }
    }

    pub(crate) async fn alone(&self) -> Alone {
        Arc::clone(&self.connection).lock_owned().await
    }

    pub(crate) async fn begin(&self) -> Result<Writing, SqlError> {
        let mut place = self.alone().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => SqlxSqliteConnector::connect(ConnectOptions::clone(&self.options)).await?,
        };
        let transaction = connection.begin_with_options(to_write()).await?;
        Ok(Writing { transaction, connection, place })
    }

    pub(crate) async fn close(&self) {
        if let Some(connection) = self.alone().await.take() {
            // The only error is that it is closed already.
            let _ = connection.close().await;
        }
    }
}

impl Writing {
    pub(crate) async fn execute(&self, statement: Statement) -> Result<ExecResult, sea_orm::DbErr> {
        self.transaction.execute_raw(statement).await
    }

    pub(crate) async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, sea_orm::DbErr> {
        self.transaction.query_all_raw(statement).await
    }

    pub(crate) async fn commit(self) -> Result<(), SqlError> {
        let Self { transaction, connection, mut place } = self;
        transaction.commit().await?;
        *place = Some(connection);
        Ok(())
    }
}

/// Begins a transaction that, in SQLite, takes the right to write at once: one that reads first could not get it later if
/// another process wrote meanwhile.
pub(crate) fn to_write() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}
