//! The options of the engine.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use crate::event_buffer;
use crate::timers::retention;

/// Bounds and times of the engine. The defaults are those of the commented default configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Lanes that decide and commit concurrently.
    pub workers: NonZeroUsize,
    /// The most inputs that wait for one lane; further submitters wait.
    pub queue_capacity: NonZeroUsize,
    /// The most inputs of one commit.
    pub batch_limit: NonZeroUsize,
    /// How long a busy lane waits for more inputs before it commits. Zero: not at all.
    #[serde(with = "humantime_serde")]
    pub commit_delay: Duration,
    /// The most sagas whose state is kept in memory, over all lanes.
    pub state_cache_size: NonZeroUsize,
    /// The interval of looking for due timers.
    #[serde(with = "humantime_serde")]
    pub timer_interval: Duration,
    /// How long a timer is leased before another process may take it.
    #[serde(with = "humantime_serde")]
    pub timer_lease: Duration,
    /// How long a message of the outbox is leased before any process may send it. Longer than a confirm may take.
    #[serde(with = "humantime_serde")]
    pub outbox_lease: Duration,
    /// The most unanswered commands to one exchange and routing key, for each process. More wait, without using attempts.
    pub max_unanswered: NonZeroUsize,
    /// The most messages that wait in the outbox before no more sagas are started.
    pub max_unsent: NonZeroU32,
    /// The interval of looking for messages that were left in the outbox.
    #[serde(with = "humantime_serde")]
    pub outbox_poll_interval: Duration,
    /// The most timers or messages that are claimed at once.
    pub poll_batch_size: NonZeroU32,
    /// The most deliveries of one queue that are handled at once; also the broker's prefetch, which is lower for large
    /// messages.
    pub prefetch: u16,
    /// How long one delivery may take before it is returned to the broker.
    #[serde(with = "humantime_serde")]
    pub message_timeout: Duration,
    /// Whether replies come back to the process that sent the command, in a queue of its own.
    #[serde(skip)]
    pub own_reply_queue: bool,
    pub buffered_events: event_buffer::Options,
    pub retention: retention::Options,
}

impl Options {
    pub(crate) fn cached_sagas_per_lane(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.state_cache_size.get() / self.workers.get()).unwrap_or(NonZeroUsize::MIN)
    }
}
