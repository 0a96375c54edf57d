//! Where time comes from.

use std::fmt::Debug;

use crate::saga::Time;

/// Tells the time. Passed to whatever needs it, so that a simulation can have its own.
pub trait Clock: Debug + Send + Sync + 'static {
    fn now(&self) -> Time;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    fn now(&self) -> Time {
        Time(chrono::Utc::now().timestamp_millis())
    }
}
