//! What happens to all sagas, as it happens, whichever process decides it.
//!
//! There is no other channel between processes than the store, so that is asked for what was appended lately; once for all who
//! watch, and only while somebody does. An entry's time is taken before its commit, and clocks differ a little: each look
//! goes back over a stretch of time that was looked at before, and what was told is not told again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::timers::Ticks;
use crate::saga::{SagaId, Time};
use crate::store::{self, Appended};

const INTERVAL: Duration = Duration::from_millis(250);
/// How late an entry may become visible.
const OVERLAP: Duration = Duration::from_secs(2);
/// Entries of one look, at most.
const LOOK: u32 = 2_000;
/// Entries that a watcher may be behind before it loses some.
const CAPACITY: usize = 8_192;

/// Where watchers subscribe. Clones are the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    entries: broadcast::Sender<Arc<Appended>>,
    sagas: Watched,
}

/// The sagas that somebody waits for, with the number of the last entry that was seen.
type Watched = Arc<Mutex<HashMap<SagaId, watch::Sender<u32>>>>;

/// A subscription to one saga.
#[derive(Debug)]
pub struct SagaWatch {
    saga: SagaId,
    last_entry: watch::Receiver<u32>,
    sagas: Watched,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { entries: broadcast::channel(CAPACITY).0, sagas: Watched::default() }
    }

    /// Every entry from about now on. Who is too slow is told how many were lost.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Appended>> {
        self.entries.subscribe()
    }

    /// Watches one saga: what is appended to its journal from now on ends [`SagaWatch::changed`].
    pub fn watch(&self, saga: SagaId) -> SagaWatch {
        let mut watched = self.sagas.lock().unwrap_or_else(PoisonError::into_inner);
        let last_entry = watched.entry(saga).or_default().subscribe();
        SagaWatch { saga, last_entry, sagas: Arc::clone(&self.sagas) }
    }

    fn is_wanted(&self) -> bool {
        let is_watched = !self.sagas.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        is_watched || self.entries.receiver_count() > 0
    }

    fn publish(&self, appended: Appended) {
        if let Some(watchers) = self.sagas.lock().unwrap_or_else(PoisonError::into_inner).get(&appended.saga)
        {
            watchers.send_replace(appended.seq);
        }
        // Nobody may be left to hear it.
        let _ = self.entries.send(Arc::new(appended));
    }
}

impl SagaWatch {
    /// Waits until an entry was appended since the watch began, or since this returned last. An entry whose commit took longer
    /// than 2 s may be missed: bound the wait.
    pub async fn changed(&mut self) {
        if self.last_entry.changed().await.is_err() {
            // The sender stays for as long as there is a watch.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for SagaWatch {
    fn drop(&mut self) {
        let mut watched = self.sagas.lock().unwrap_or_else(PoisonError::into_inner);
        // This one still counts.
        if watched.get(&self.saga).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            watched.remove(&self.saga);
        }
    }
}

/// What was told already, until it is too old to be seen again.
#[derive(Debug, Default)]
struct Told {
    entries: HashMap<(SagaId, u32), Time>,
}

/// Tells watchers, until `stop` is cancelled.
pub(super) async fn run(engine: Engine, feed: Feed, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    let mut told = Told::default();
    let mut from = None;
    while ticks.next().await {
        if !feed.is_wanted() {
            (told, from) = (Told::default(), None);
            continue;
        }
        let now = engine.clock().now();
        let since = from.get_or_insert(now).before(OVERLAP);
        match tell(&engine, &feed, &mut told, since).await {
            Ok(()) => from = Some(now),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for what happened");
            }
        }
        told.forget(since);
    }
}

async fn tell(engine: &Engine, feed: &Feed, told: &mut Told, since: Time) -> Result<(), store::Error> {
    let mut since = since;
    loop {
        let entries = engine.reader().appended_since(since, LOOK).await?;
        let is_full = entries.len() >= LOOK as usize;
        let last = entries.last().map(|appended| appended.entry.at);
        for appended in entries {
            if told.is_new(&appended) {
                feed.publish(appended);
            }
        }
        match last.filter(|_| is_full) {
            // A millisecond with more entries than one look takes is passed over in part: better than to stay there.
            Some(last) if last == since => since = Time(last.0 + 1),
            Some(last) => since = last,
            None => return Ok(()),
        }
    }
}

impl Told {
    fn is_new(&mut self, appended: &Appended) -> bool {
        self.entries.insert((appended.saga, appended.seq), appended.entry.at).is_none()
    }

    fn forget(&mut self, before: Time) {
        self.entries.retain(|_, at| *at >= before);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_saga_is_watched_for_as_long_as_somebody_waits() {
        let (feed, saga) = (Feed::new(), SagaId::of_key("order", "o-1"));
        let (mut first, second) = (feed.watch(saga), feed.watch(saga));
        assert!(feed.is_wanted());
        assert!(first.changed().now_or_never().is_none(), "nothing happened");
        feed.sagas.lock().expect("unpoisoned")[&saga].send_replace(1);
        assert!(first.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none(), "it was heard");
        drop(first);
        assert!(feed.is_wanted());
        drop(second);
        assert!(!feed.is_wanted());
    }
}
