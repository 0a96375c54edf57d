//! Probation: messages that were returned to their queue several times because their consumer was lost each time.
//!
//! One of them may be what ends the process, so they are consumed one at a time, and only by a process that has been healthy
//! for a while: a message counts as bad because it was lost with its consumer, and there must be no other cause of that.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::Engine;
use snorri_ports::broker::Handler;

/// The interval of checking the queues of probation and of parked messages.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many times in a row the process must have been found healthy.
const HEALTHY_TICKS: u32 = 3;

/// Consumes the queue of probation whenever it is not empty, and counts parked messages, until `stop`.
pub async fn run(engine: Engine, handler: Handler, stop: CancellationToken) {
    let (mut ticks, mut healthy, mut parked) = (interval(INTERVAL), 0, 0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        healthy = if is_healthy(&engine) { healthy + 1 } else { 0 };
        if healthy < HEALTHY_TICKS {
            continue;
        }
        parked = count_parked(&engine, parked).await;
        let waiting = engine.broker().depth(&engine.wire().names.probation).await.unwrap_or(0);
        engine.metrics().observe_probation(waiting);
        if waiting > 0 {
            tracing::warn!(waiting, "messages were returned too often: consuming them one at a time");
            drain(&engine, handler.clone(), &stop).await;
        }
    }
}

/// Consumes messages until none is left or the process is not healthy any more.
async fn drain(engine: &Engine, handler: Handler, stop: &CancellationToken) {
    let turn = stop.child_token();
    let mut draining = std::pin::pin!(engine.broker().drain_probation(handler, turn.clone()));
    let mut ticks = interval(INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = &mut draining => return,
            _ = ticks.tick() => if !is_healthy(engine) {
                turn.cancel();
                return draining.await;
            },
        }
    }
}

/// Counts the parked messages, and logs an increase.
async fn count_parked(engine: &Engine, before: u64) -> u64 {
    let Ok(parked) = engine.broker().depth(&engine.wire().names.parked).await else { return before };
    engine.metrics().observe_parked(parked);
    if parked > before {
        tracing::error!(
            parked,
            "messages are parked, because each cost a connection or a process: see `snorri dead-letters --parked`"
        );
    }
    parked
}

fn is_healthy(engine: &Engine) -> bool {
    engine.health().get().is_complete()
}
