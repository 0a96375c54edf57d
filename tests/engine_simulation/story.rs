//! The events of a run, in order: for debugging, and for comparing two runs.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};

use snorri_core::SagaId;
use tokio::time::Instant;

/// The events of one run. They depend only on the seed: ids that are made from the wall clock are left out.
#[derive(Debug)]
pub struct Story {
    is_recorded: bool,
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<String>,
    names: HashMap<SagaId, String>,
}

impl Story {
    /// A recorded story, or one that costs nothing.
    pub fn new(is_recorded: bool) -> Self {
        Self { is_recorded, began: Instant::now(), inner: Mutex::default() }
    }

    /// Milliseconds since the run began.
    pub fn elapsed(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    /// Adds an event.
    pub fn record(&self, event: impl FnOnce() -> String) {
        if self.is_recorded {
            let event = format!("{:>7} ms  {}", self.elapsed(), event());
            self.inner().events.push(event);
        }
    }

    /// Gives a saga a readable name.
    pub fn name(&self, saga: SagaId, name: &str) {
        self.inner().names.insert(saga, name.to_owned());
    }

    pub fn name_of(&self, saga: SagaId) -> String {
        self.inner().names.get(&saga).cloned().unwrap_or_else(|| format!("saga {saga}"))
    }

    pub fn events(&self) -> Vec<String> {
        self.inner().events.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("unpoisoned")
    }
}

/// The events as one text.
pub fn text(events: &[String]) -> String {
    events.iter().fold(String::new(), |mut text, event| {
        let _ = writeln!(text, "  {event}");
        text
    })
}
