//! What happens by itself: wake-ups, messages that were left unsent, and the removal of sent ones when nothing comes in.
//!
//! Any number of processes may do this side by side: the store gives each of them others, for the length of a lease.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::outbox::{Confirmed, Outbox};
use super::{Engine, Options};
use crate::saga::Input;

/// How long confirmed messages may stay in the outbox when no commit takes them along.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Wakes sagas that are due, until `stop` is cancelled.
pub async fn wake(engine: Engine, options: Options, stop: CancellationToken) {
    let mut ticks = Ticks::new(options.timer_interval, stop);
    while ticks.next().await {
        while wake_some(&engine, &options).await {}
    }
}

/// Sends what nobody has sent: what a process left that died, or what the broker did not confirm.
pub async fn sweep(engine: Engine, outboxes: Vec<Outbox>, options: Options, stop: CancellationToken) {
    let mut ticks = Ticks::new(options.sweep_interval, stop);
    let mut outboxes = outboxes.iter().cycle();
    while ticks.next().await {
        while let Some(outbox) = outboxes.next()
            && sweep_some(&engine, outbox, &options).await
        {}
    }
}

/// Removes confirmed messages when no commit has taken them along for a while.
pub async fn flush(engine: Engine, confirmed: Confirmed, stop: CancellationToken) {
    let mut ticks = Ticks::new(FLUSH_INTERVAL, stop);
    while ticks.next().await {
        if !confirmed.is_empty() {
            engine.flush().await;
        }
    }
}

/// Whether there may be more.
async fn wake_some(engine: &Engine, options: &Options) -> bool {
    let limit = options.claim_limit.get();
    match engine.store().claim_due(engine.clock().now(), options.timer_lease, limit).await {
        Ok(due) => {
            let is_full = due.len() >= limit as usize;
            // What a saga makes of it is journaled; one that is not due any more ignores it.
            join_all(due.into_iter().map(|saga| engine.submit(saga, Input::Wake))).await;
            is_full
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due wake-ups");
            false
        }
    }
}

/// Whether there may be more.
async fn sweep_some(engine: &Engine, outbox: &Outbox, options: &Options) -> bool {
    let limit = options.claim_limit.get();
    match engine.store().claim_unsent(engine.clock().now(), options.outbox_lease, limit).await {
        Ok(unsent) => {
            let is_full = unsent.len() >= limit as usize;
            if !unsent.is_empty() {
                tracing::info!(count = unsent.len(), "sending messages that were left in the outbox");
                outbox.send_when_possible(unsent).await;
            }
            is_full
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for unsent messages");
            false
        }
    }
}

/// At once, and then every period.
pub(super) struct Ticks {
    interval: Interval,
    stop: CancellationToken,
}

impl Ticks {
    pub(super) fn new(period: Duration, stop: CancellationToken) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next tick. `false`: it is time to stop.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interval.tick() => true,
            () = self.stop.cancelled() => false,
        }
    }
}
