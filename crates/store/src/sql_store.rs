//! The store's connections, and the two ways of running a statement on them.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, ExecResult, QueryResult, Statement, Value};

use crate::commit::last_whole::LastWhole;
use crate::commit::writer::{Alone, Writer};
use crate::read::stored::Logged;
use crate::session::error::SqlError;
use crate::session::recycling::Recycling;
use crate::session::switching::Switch;
use snorri_ports::store::Error;

/// A [`Store`](snorri_ports::store::Store) on PostgreSQL or SQLite. Clones share their connections.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pub(crate) db: DatabaseConnection,
    pub(crate) dialect: Dialect,
    /// The longest that a method waits for an answer.
    pub(crate) patience: Duration,
    pub(crate) recycling: Recycling,
    pub(crate) logged: Logged,
    pub(crate) last_whole: LastWhole,
    /// Set if there are several databases.
    pub(crate) switch: Option<Arc<Switch>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite(Writer),
}

impl SqlStore {
    pub(crate) fn statement(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Statement {
        let backend = match self.dialect {
            Dialect::Postgres => DbBackend::Postgres,
            Dialect::Sqlite(_) => DbBackend::Sqlite,
        };
        Statement::from_sql_and_values(backend, sql, values)
    }

    pub(crate) async fn execute(&self, statement: Statement) -> Result<ExecResult, SqlError> {
        Ok(self.db.execute_raw(statement).await.inspect_err(|error| self.recycling.observe(error))?)
    }

    pub(crate) async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, SqlError> {
        Ok(self.db.query_all_raw(statement).await.inspect_err(|error| self.recycling.observe(error))?)
    }

    /// The right to write to SQLite, for as long as it is held.
    pub(crate) async fn alone(&self) -> Option<Alone> {
        match &self.dialect {
            Dialect::Postgres => None,
            Dialect::Sqlite(writer) => Some(writer.alone().await),
        }
    }

    /// The database enforces its own timeouts; this one is for a network that has lost the answer.
    pub(crate) async fn patiently<T>(
        &self,
        work: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, Error> {
        let result = match tokio::time::timeout(self.patience, work).await {
            Ok(result) => result.map_err(Error::from),
            Err(elapsed) => Err(Error::Unavailable(elapsed.into())),
        };
        if let (Err(Error::Unavailable(_)), Some(switch)) = (&result, &self.switch) {
            switch.search().await;
        }
        result
    }
}
