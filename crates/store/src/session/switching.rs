//! Several databases of which one is writable: after a failover it is another one.
//!
//! A failed call is repeated by its caller, on the database that was found meanwhile.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::session::probe::find_writable;
use crate::session::recycling::Recycling;
use crate::session::settings::{Options, session_settings};

/// How long each database has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// Directs the connections of a pool to the writable database.
#[derive(Debug)]
pub(crate) struct Switch {
    options: Options,
    db: DatabaseConnection,
    recycling: Recycling,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: String,
    searched_at: Instant,
}

impl Switch {
    /// For a pool that is connected to `current`.
    pub(crate) fn new(
        options: &Options,
        db: &DatabaseConnection,
        current: &str,
        recycling: &Recycling,
    ) -> Self {
        let state = Mutex::new(State { current: current.to_owned(), searched_at: Instant::now() });
        Self { options: options.clone(), db: db.clone(), recycling: recycling.clone(), state }
    }

    /// Searches for the writable database, unless another task does or has just done so.
    pub(crate) async fn search(&self) {
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.searched_at.elapsed() < PAUSE {
            return;
        }
        let found = find_writable(&self.options.url, PATIENCE).await;
        state.searched_at = Instant::now();
        let Ok(found) = found else { return };
        if found == state.current {
            return;
        }
        let Ok(fresh) = PgConnectOptions::from_str(found) else { return };
        tracing::warn!(database = %snorri_ports::addresses::Shown(found), "another database takes the writes now");
        self.db.get_postgres_connection_pool().set_connect_options(session_settings(fresh, &self.options));
        self.recycling.close_all();
        found.clone_into(&mut state.current);
    }
}
