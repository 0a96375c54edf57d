//! PostgreSQL sessions that must not be used again although they are alive.
//!
//! A failover, or a change of the database's settings, may leave sessions that cannot write any more, while new ones can. So an
//! error of a read-only session closes all sessions that were open then, each before its next use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::DbErr;
use tokio::time::Instant;

use crate::session::error;

/// Which sessions may be used. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recycling {
    /// When it was last found that the sessions open then cannot write.
    unusable_at: Arc<Mutex<Option<Instant>>>,
}

impl Recycling {
    /// Records an error.
    pub(crate) fn observe(&self, error: &DbErr) {
        if error::is_read_only(error) {
            tracing::warn!("a session of the database cannot write: all that are open are closed");
            self.close_all();
        }
    }

    /// Closes all sessions that are open now, each before its next use.
    pub(crate) fn close_all(&self) {
        *self.unusable_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a session that was opened `age` ago may be used.
    pub(crate) fn allows(&self, age: Duration) -> bool {
        let unusable_at = *self.unusable_at.lock().unwrap_or_else(PoisonError::into_inner);
        unusable_at.is_none_or(|at| age < at.elapsed())
    }
}
