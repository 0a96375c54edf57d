//! Reloads of what other processes have registered.

use std::time::Duration;

use tokio::time::Instant;

use crate::definitions::{Definitions, Error};
use snorri_ports::store;

/// The shortest time between two reloads of what other processes have registered.
pub const RELOAD_PAUSE: Duration = Duration::from_millis(500);

/// One reload of what other processes have registered.
#[derive(Debug)]
pub(super) struct Reload {
    began: Instant,
    /// Why it failed, if it did.
    failure: Option<String>,
}

impl Reload {
    fn result(&self) -> Result<(), Error> {
        match &self.failure {
            Some(failure) => Err(store::Error::Unavailable(failure.as_str().into()).into()),
            None => Ok(()),
        }
    }
}

impl Definitions {
    /// Loads definitions that another process has registered; what they need is declared soon. Two loads are at least
    /// [`RELOAD_PAUSE`] apart, and concurrent callers share one, so unknown names and events add no load to the
    /// database.
    pub async fn refresh(&self) -> Result<(), Error> {
        let asked_at = Instant::now();
        let mut last = self.last_reload.lock().await;
        if let Some(reload) = last.as_ref() {
            if reload.began >= asked_at {
                return reload.result();
            }
            tokio::time::sleep_until(reload.began + RELOAD_PAUSE).await;
        }
        let began = Instant::now();
        let loaded = self.load().await;
        *last = Some(Reload { began, failure: loaded.as_ref().err().map(ToString::to_string) });
        drop(last);
        if loaded? {
            self.loaded.notify_one();
        }
        Ok(())
    }
}
