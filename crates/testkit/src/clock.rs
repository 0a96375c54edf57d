//! The clock of one replica.

use std::sync::atomic::{AtomicI64, Ordering};

use snorri_core::Time;
use snorri_ports::clock::Clock;
use tokio::time::Instant;

/// A clock that runs with tokio's time, so that it stands still in a test with paused time, and that differs from other clocks
/// by an offset that can be changed at any moment.
#[derive(Debug)]
pub struct ManualClock {
    began_at: Time,
    began: Instant,
    offset_millis: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `time` now.
    pub fn at(time: Time) -> Self {
        Self { began_at: time, began: Instant::now(), offset_millis: AtomicI64::new(0) }
    }

    /// Puts the clock this far ahead of its true time, or behind it if negative.
    pub fn set_offset(&self, millis: i64) {
        self.offset_millis.store(millis, Ordering::Relaxed);
    }

    /// Moves the clock by this much from where it is.
    pub fn jump(&self, millis: i64) {
        self.offset_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// The time of a clock without an offset.
    pub fn true_time(&self) -> Time {
        self.began_at.after(self.began.elapsed())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.true_time().0.saturating_add(self.offset_millis.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_the_time_of_the_test_and_can_be_set() {
        let clock = ManualClock::at(Time(1_000));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(clock.now(), Time(1_500));
        clock.set_offset(-2_000);
        clock.jump(100);
        assert_eq!((clock.now(), clock.true_time()), (Time(-400), Time(1_500)));
    }
}
