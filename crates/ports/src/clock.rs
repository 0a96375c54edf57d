//! The clock: the source of time.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use snorri_core::Time;

/// A clock. It is passed to whatever needs it, so that a simulation can have its own.
pub trait Clock: Debug + Send + Sync + 'static {
    fn now(&self) -> Time;

    /// Follows another clock, which showed `time` at some moment of a reading that took `reading` until now. A clock that
    /// cannot be set ignores this.
    fn follow(&self, _time: Time, _reading: Duration) {}
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

/// The database's clock, which all processes follow. Between two readings it is kept by this machine's monotonic clock, so that
/// a wrong wall clock, or one that is set, does not matter.
#[derive(Debug)]
pub struct DatabaseClock {
    origin: Instant,
    /// The database's time at the origin: milliseconds since the Unix epoch.
    at_origin: AtomicI64,
}

impl DatabaseClock {
    /// A clock that shows `now`.
    pub fn starting_at(now: Time) -> Self {
        Self { origin: Instant::now(), at_origin: AtomicI64::new(now.0) }
    }

    fn elapsed(&self) -> i64 {
        millis(self.origin.elapsed())
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Time {
        Time(self.at_origin.load(Ordering::Relaxed) + self.elapsed())
    }

    /// The database's time is now between `time` and that much later: this clock changes only as far as it must.
    fn follow(&self, time: Time, reading: Duration) {
        let earliest = time.0 - self.elapsed();
        let latest = earliest + millis(reading) + 1;
        let before = self.at_origin.load(Ordering::Relaxed);
        self.at_origin.store(before.clamp(earliest, latest), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_databases_clock_goes_on_by_itself_and_is_corrected() {
        let clock = DatabaseClock::starting_at(Time(1_000));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(clock.now(), Time(1_500));
        clock.follow(Time(1_495), Duration::from_millis(8));
        assert_eq!(clock.now(), Time(1_500), "within the bounds of the reading");
        clock.follow(Time(1_000), Duration::from_secs(2));
        assert_eq!(clock.now(), Time(1_500), "a slow reading has wide bounds");
        clock.follow(Time(9_000), Duration::from_millis(20));
        assert_eq!(clock.now(), Time(9_000));
        clock.follow(Time(8_000), Duration::from_millis(20));
        assert_eq!(clock.now(), Time(8_021));
        tokio::time::advance(Duration::from_millis(5)).await;
        assert_eq!(clock.now(), Time(8_026));
    }
}
