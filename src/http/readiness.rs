//! Whether the process wants work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// True once everything is up, false from the moment it shall stop.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
