//! The rhythm of periodic tasks.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// At once, and then every period.
pub(crate) struct Ticks {
    interval: Interval,
    stop: CancellationToken,
}

impl Ticks {
    pub(crate) fn new(period: Duration, stop: CancellationToken) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next tick, or for `other`. `false`: it is time to stop.
    pub(crate) async fn next_or(&mut self, other: impl Future<Output = ()>) -> bool {
        self.next_unless(other).await.is_some()
    }

    /// Waits for the next tick, or for `other`. Whether it was the tick; `None`: it is time to stop.
    pub(crate) async fn next_unless(&mut self, other: impl Future<Output = ()>) -> Option<bool> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            _ = self.interval.tick() => Some(true),
            () = other => Some(false),
        }
    }

    /// Waits for the next tick. `false`: it is time to stop.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}
