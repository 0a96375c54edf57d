//! Probation: messages that were returned to their queue several times because their consumer was lost each time.
//!
//! One of them may be what ends the process, so they are consumed one at a time, and only by a process that has been healthy
//! for a while: a message counts as bad because it was lost with its consumer, and there must be no other cause of that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::supervision::health::Health;
use crate::supervision::ticks::Ticks;
use snorri_ports::broker::{Broker, Handler};
use snorri_wire::topology::Names;

/// The interval of checking the queues of probation and of parked messages.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many times in a row the process must have been found healthy.
const HEALTHY_TICKS: u32 = 3;

/// The consumer of the queue of probation.
#[derive(Debug)]
pub(crate) struct Probation {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) names: Names,
}

impl Probation {
    /// Consumes the queue of probation whenever it is not empty, and counts parked messages, until `stop`.
    pub(crate) async fn run(self, handler: Handler, stop: CancellationToken) {
        let (mut ticks, mut healthy, mut parked) = (Ticks::new(INTERVAL, stop.clone()), 0, 0);
        while ticks.next().await {
            healthy = if self.is_healthy() { healthy + 1 } else { 0 };
            if healthy < HEALTHY_TICKS {
                continue;
            }
            parked = self.count_parked(parked).await;
            let waiting = self.broker.depth(&self.names.probation).await.unwrap_or(0);
            self.metrics.observe_probation(waiting);
            if waiting > 0 {
                tracing::warn!(waiting, "messages were returned too often: consuming them one at a time");
                self.drain(handler.clone(), &stop).await;
            }
        }
    }

    /// Consumes messages until none is left or the process is not healthy any more.
    async fn drain(&self, handler: Handler, stop: &CancellationToken) {
        let turn = stop.child_token();
        let mut draining = std::pin::pin!(self.broker.drain_probation(handler, turn.clone()));
        let mut ticks = interval(INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => return,
                _ = ticks.tick() => if !self.is_healthy() {
                    turn.cancel();
                    return draining.await;
                },
            }
        }
    }

    /// Counts the parked messages, and logs an increase.
    async fn count_parked(&self, before: u64) -> u64 {
        let Ok(parked) = self.broker.depth(&self.names.parked).await else { return before };
        self.metrics.observe_parked(parked);
        if parked > before {
            tracing::error!(
                parked,
                "messages are parked, because each cost a connection or a process: see `snorri dead-letters --parked`"
            );
        }
        parked
    }

    fn is_healthy(&self) -> bool {
        self.health.get().is_complete()
    }
}
