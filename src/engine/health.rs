//! Whether this process can work: checked once a second, so that `/readyz` is answered at once.
//!
//! The database must take a write, and the broker must confirm a message. A part that does not answer in time is not available.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Engine;
use crate::store;

/// How often the parts are checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a part may take to answer. Longer than what a busy machine takes, so that load alone makes nothing unavailable.
const PATIENCE: Duration = Duration::from_secs(3);
/// Rows of processes that were not seen for so long are deleted when another one starts.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Which parts were available when they were last checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Availability {
    pub database: bool,
    pub broker: bool,
}

/// The last result. Nothing is available before the first.
#[derive(Debug, Default)]
pub struct Health(Mutex<Availability>);

impl Health {
    pub fn get(&self) -> Availability {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, availability: Availability) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = availability;
    }
}

/// Checks all parts until `stop`, and logs each change once.
pub(super) async fn watch(engine: Engine, stop: CancellationToken) {
    let process = Uuid::now_v7();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut database, mut broker) = (Part::new("database"), Part::new("broker"));
    let mut is_first = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let checked = tokio::join!(
            timeout(PATIENCE, check_database(&engine, process, is_first)),
            timeout(PATIENCE, engine.broker().check())
        );
        let availability =
            Availability { database: database.take(checked.0), broker: broker.take(checked.1) };
        is_first &= !availability.database;
        engine.health().set(availability);
    }
}

async fn check_database(engine: &Engine, process: Uuid, is_first: bool) -> Result<(), store::Error> {
    let (store, now) = (engine.store(), engine.clock().now());
    store.check().await?;
    if is_first {
        store.forget_processes(now.before(FORGOTTEN_AFTER)).await?;
    }
    store.process_seen(process, now).await
}

/// A part of what a process needs, and whether it was available last.
struct Part {
    name: &'static str,
    is_available: Option<bool>,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, is_available: None }
    }

    /// Takes in the result of a check, and returns whether the part is available.
    fn take<E: std::error::Error + 'static>(
        &mut self,
        checked: Result<Result<(), E>, tokio::time::error::Elapsed>,
    ) -> bool {
        let why = match checked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(reason(&error)),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let was_available = self.is_available.replace(why.is_none());
        match why {
            Some(why) if was_available != Some(false) => {
                tracing::warn!(part = self.name, why, "not available: this process is not ready");
            }
            None if was_available == Some(false) => tracing::info!(part = self.name, "available again"),
            _ => {}
        }
        self.is_available == Some(true)
    }
}

/// An error with its causes.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
