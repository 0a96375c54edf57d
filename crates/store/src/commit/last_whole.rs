//! How far back a claim of timers looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use snorri_core::Time;

/// How often a claim looks at all timers, and how far back the others look before the last of those.
const WHOLE_INTERVAL: Duration = Duration::from_secs(10);
const OVERLAP: Duration = Duration::from_secs(60);

/// When this process last claimed all that was due.
///
/// PostgreSQL keeps the index entries of ended sagas until its next vacuum. A claim that began with the oldest timer would read
/// all of these each time. A timer that is set to a time before the overlap waits for the next claim of all.
#[derive(Debug, Clone)]
pub(crate) struct LastWhole(Arc<AtomicI64>);

impl Default for LastWhole {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }
}

impl LastWhole {
    /// The time after which a claim at `now` looks; `None`: at all timers.
    pub(crate) fn after(&self, now: Time) -> Option<Time> {
        let last = Time(self.0.load(Ordering::Relaxed));
        let is_recent = last <= now && now < last.after(WHOLE_INTERVAL);
        is_recent.then(|| last.before(OVERLAP))
    }

    pub(crate) fn set(&self, now: Time) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_looks_at_all_timers_from_time_to_time() {
        let last = LastWhole::default();
        assert_eq!(last.after(Time(0)), None);
        last.set(Time(100_000));
        assert_eq!(last.after(Time(100_000)), Some(Time(40_000)));
        assert_eq!(last.after(Time(109_999)), Some(Time(40_000)));
        assert_eq!(last.after(Time(110_000)), None);
        assert_eq!(last.after(Time(99_999)), None, "the clock was set back");
    }
}
