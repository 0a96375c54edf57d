//! What can be set about the engine.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::{buffer, retention};

/// Bounds and times of the engine. The defaults are those of the commented default configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Lanes that decide and commit side by side.
    pub lanes: NonZeroUsize,
    /// Inputs that wait for one lane, at most; whoever submits more waits.
    pub lane_capacity: NonZeroUsize,
    /// Inputs of one commit, at most.
    pub batch_limit: NonZeroUsize,
    /// How long a lane with much to do waits for more inputs before it commits. Zero: not at all.
    #[serde(with = "humantime_serde")]
    pub commit_delay: Duration,
    /// Sagas whose state is kept in memory, over all lanes, at most.
    pub hot_sagas: NonZeroUsize,
    /// How often due wake-ups are looked for.
    #[serde(with = "humantime_serde")]
    pub timer_interval: Duration,
    /// How long a wake-up is ours before another process may take it.
    #[serde(with = "humantime_serde")]
    pub timer_lease: Duration,
    /// How long a message of the outbox is ours to send before any process may. Longer than a confirm may take.
    #[serde(with = "humantime_serde")]
    pub outbox_lease: Duration,
    /// Commands to one exchange and routing key that are unanswered at once, at most, for each process. More wait, without
    /// using attempts.
    pub max_unanswered: NonZeroUsize,
    /// Messages that wait in the outbox, at most, before no more sagas are started.
    pub max_unsent: NonZeroU32,
    /// How often messages that were left in the outbox are looked for.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// Wake-ups or messages that are taken on at once, at most.
    pub claim_limit: NonZeroU32,
    /// Deliveries of one queue that are dealt with at once, at most; also the broker's prefetch, which is less for large messages.
    pub prefetch: u16,
    /// How long one delivery may take before it is given back to the broker.
    #[serde(with = "humantime_serde")]
    pub message_timeout: Duration,
    pub buffered_events: buffer::Options,
    pub retention: retention::Options,
}

impl Options {
    pub(super) fn hot_sagas_per_lane(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.hot_sagas.get() / self.lanes.get()).unwrap_or(NonZeroUsize::MIN)
    }
}
