//! How many messages wait to be sent. Too many slow down new sagas first: what runs goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The messages in the outbox when they were last counted.
#[derive(Debug)]
pub struct Backlog {
    unsent: AtomicU64,
    most: u32,
}

impl Backlog {
    pub(super) fn new(most: u32) -> Self {
        Self { unsent: AtomicU64::new(0), most }
    }

    /// The most messages that may wait while sagas are started. They are counted up to here.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    pub(super) fn set(&self, unsent: u64) {
        let was_full = self.is_full();
        self.unsent.store(unsent, Ordering::Relaxed);
        match (was_full, self.is_full()) {
            (false, true) => tracing::warn!(unsent, "the outbox is full: no sagas are started"),
            (true, false) => tracing::info!(unsent, "the outbox has room again"),
            _ => {}
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) >= u64::from(self.most)
    }
}

/// Says that something reserved has become free.
#[derive(Debug, Default)]
pub(super) struct Freed {
    pub(super) timers: Notify,
    pub(super) outbox: Notify,
}

impl Freed {
    pub(super) fn notify(&self) {
        self.timers.notify_one();
        self.outbox.notify_one();
    }
}
