//! Several databases of which one can be written: after a failover another one is.
//!
//! What fails is tried by its caller again, on the database that was found meanwhile.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connect::{Options, session_settings};
use super::probe::find_writable;
use super::recycling::Recycling;

/// How long each database has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// Points the connections of a pool to the database that can be written.
#[derive(Debug)]
pub(super) struct Switch {
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
    /// For a pool whose connections lead to `current`.
    pub(super) fn new(
        options: &Options,
        db: &DatabaseConnection,
        current: &str,
        recycling: &Recycling,
    ) -> Self {
        let state = Mutex::new(State { current: current.to_owned(), searched_at: Instant::now() });
        Self { options: options.clone(), db: db.clone(), recycling: recycling.clone(), state }
    }

    /// Looks for the database that can be written, unless somebody does or has just done so.
    pub(super) async fn search(&self) {
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
        tracing::warn!(database = %crate::addresses::Shown(found), "another database takes the writes now");
        self.db.get_postgres_connection_pool().set_connect_options(session_settings(fresh, &self.options));
        self.recycling.close_all();
        found.clone_into(&mut state.current);
    }
}
