//! The readiness of this process: checked once a second, so that `/readyz` answers at once.
//!
//! The database must take a write, the broker must confirm a message, and this machine's clock must be close to that of the
//! database. A part that does not answer in time is not available.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::backlog::Backlog;
use crate::supervision::ticks::Ticks;
use snorri_ports::broker::Broker;
use snorri_ports::clock::{Clock, SystemClock};
use snorri_ports::store::{self, Store};

/// How often the parts are checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a part may take to answer. A busy machine takes less, so that load alone makes nothing unavailable.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far this machine's clock may differ from that of the database until it is logged, and until the process is not ready.
const DIFFERENCE_LOGGED: Duration = Duration::from_secs(2);
const DIFFERENCE_MOST: Duration = Duration::from_secs(30);

/// The parts that were available at the last check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Availability {
    pub database: bool,
    pub broker: bool,
    /// Whether this machine's clock is less than 30 s from that of the database.
    pub clock: bool,
}

/// The last result. Before the first, no part is available.
#[derive(Debug, Default)]
pub struct Health(Mutex<Availability>);

impl Availability {
    /// Whether the process is ready.
    pub fn is_complete(self) -> bool {
        let Self { database, broker, clock } = self;
        database && broker && clock
    }
}

impl Health {
    pub fn get(&self) -> Availability {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, availability: Availability) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = availability;
    }
}

/// Checks the parts of a process.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) process: Uuid,
    pub(crate) health: Arc<Health>,
}

impl HealthCheck {
    /// Checks all parts until `stop`, and logs each change once.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = Ticks::new(INTERVAL, stop);
        let (mut database, mut broker, mut clock) =
            (Part::new("database"), Part::new("broker"), Part::new("clock"));
        let mut difference = Difference::default();
        while ticks.next().await {
            let checked = tokio::join!(
                timeout(PATIENCE, self.check_database(&mut difference)),
                timeout(PATIENCE, self.broker.check())
            );
            self.health.set(Availability {
                database: database.take(checked.0),
                broker: broker.take(checked.1),
                clock: clock.take(Ok(difference.check())),
            });
        }
    }

    /// Also synchronizes the clock with that of the database, and counts the messages that wait.
    async fn check_database(&self, difference: &mut Difference) -> Result<(), store::Error> {
        self.store.check().await?;
        let began = Instant::now();
        if let Some(now) = self.store.now().await? {
            let reading = began.elapsed();
            self.clock.follow(now, reading);
            difference.set(SystemClock.now().0 - now.0, reading);
        }
        self.backlog.set(self.store.count_unsent(self.backlog.most()).await?);
        self.store.process_seen(self.process, self.clock.now()).await
    }
}

/// How far this machine's clock is ahead of that of the database, in milliseconds.
#[derive(Debug, Default)]
struct Difference {
    millis: i64,
    is_logged: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("this machine's clock is {} ms {} that of the database: set it", millis.abs(), if *millis < 0 { "behind" } else { "ahead of" })]
struct TooDifferent {
    millis: i64,
}

impl Difference {
    fn set(&mut self, millis: i64, reading: Duration) {
        self.millis = millis;
        let is_large = self.by().saturating_sub(reading) > DIFFERENCE_LOGGED;
        if is_large && !self.is_logged {
            let why = TooDifferent { millis };
            tracing::warn!(%why, "sagas go by the database's clock, this machine's logs and certificates do not");
        }
        self.is_logged = is_large;
    }

    fn by(&self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs())
    }

    fn check(&self) -> Result<(), TooDifferent> {
        if self.by() > DIFFERENCE_MOST { Err(TooDifferent { millis: self.millis }) } else { Ok(()) }
    }
}

/// A part that a process needs, and whether it was available at the last check.
struct Part {
    name: &'static str,
    is_available: Option<bool>,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, is_available: None }
    }

    /// Records the result of a check, and returns whether the part is available.
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
            Some(why) if was_available == Some(true) => {
                tracing::warn!(part = self.name, why, "not available: this process is not ready");
            }
            // The process has just started.
            Some(why) if was_available.is_none() => {
                tracing::info!(part = self.name, why, "not available yet");
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
