//! The phase of the process: starting, up or stopping.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The phase of the process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Phase>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The parts that the start waits for, with the reasons.
    Starting(BTreeMap<&'static str, String>),
    Up,
    Stopping,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Starting(BTreeMap::new())
    }
}

impl Readiness {
    /// Notes that everything is up.
    pub fn set_up(&self) {
        self.set(Phase::Up);
    }

    /// Notes that the process is stopping.
    pub fn set_stopping(&self) {
        self.set(Phase::Stopping);
    }

    /// Notes that the start waits for a part.
    pub fn wait_for(&self, part: &'static str, reason: &str) {
        if let Phase::Starting(waiting) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            waiting.insert(part, reason.to_owned());
        }
    }

    /// Notes that a part is available.
    pub fn reached(&self, part: &'static str) {
        if let Phase::Starting(waiting) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            waiting.remove(part);
        }
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(super) fn is_up(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Phase::Up
    }

    /// The parts that the start waits for, with the reasons.
    pub(super) fn waiting(&self) -> BTreeMap<&'static str, String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Starting(waiting) => waiting.clone(),
            Phase::Up | Phase::Stopping => BTreeMap::new(),
        }
    }
}
