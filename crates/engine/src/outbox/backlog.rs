//! The number of messages that wait to be sent. Too many stop new sagas first: running ones continue.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The messages in the outbox when they were last counted.
#[derive(Debug)]
pub struct Backlog {
    unsent: AtomicU64,
    most: u32,
}

impl Backlog {
    pub(crate) fn new(most: u32) -> Self {
        Self { unsent: AtomicU64::new(0), most }
    }

    /// The most messages that may wait while sagas are started. They are counted up to here.
    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    pub(crate) fn set(&self, unsent: u64) {
        let was_full = self.is_full();
        self.unsent.store(unsent, Ordering::Relaxed);
        match (was_full, self.is_full()) {
            (false, true) => tracing::warn!(unsent, "the outbox is full: no sagas are started"),
            (true, false) => tracing::info!(unsent, "the outbox has room again"),
            _ => {}
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) >= u64::from(self.most)
    }
}

/// Signals that something reserved has become free.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    pub(crate) timers: Notify,
    pub(crate) outbox: Notify,
}

impl Freed {
    pub(crate) fn notify(&self) {
        self.timers.notify_one();
        self.outbox.notify_one();
    }
}
