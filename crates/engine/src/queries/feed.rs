//! The feed of all sagas: entries as they are appended, whichever process decides them.
//!
//! The store is the only channel between processes. One poll of the recently appended entries serves all watchers, and runs
//! only while there are any. An entry's time is taken before its commit, and clocks differ a little: each poll repeats a
//! stretch of time that was polled before, and entries that were published are not published again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::supervision::ticks::Ticks;
use snorri_core::{SagaId, Time};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Appended, Store};

const INTERVAL: Duration = Duration::from_millis(250);
/// How late an entry may become visible.
const OVERLAP: Duration = Duration::from_secs(2);
/// Most entries of one poll.
const LOOK: u32 = 2_000;
/// The most entries that a watcher may be behind before it loses some.
const CAPACITY: usize = 8_192;

/// The place to subscribe to entries. Clones are the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    entries: broadcast::Sender<Arc<Appended>>,
    sagas: Watched,
}

/// The watched sagas, with the number of the last entry that was seen.
type Watched = Arc<Mutex<HashMap<SagaId, watch::Sender<u32>>>>;

/// A subscription to one saga.
#[derive(Debug)]
pub struct SagaWatch {
    saga: SagaId,
    last_entry: watch::Receiver<u32>,
    sagas: Watched,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self { entries: broadcast::channel(CAPACITY).0, sagas: Watched::default() }
    }

    /// Subscribes to every entry from about now on. A subscriber that is too slow learns how many entries it lost.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Appended>> {
        self.entries.subscribe()
    }

    /// Watches one saga: an entry appended to its journal from now on ends [`SagaWatch::changed`].
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
        // There may be no subscriber left.
        let _ = self.entries.send(Arc::new(appended));
    }
}

impl SagaWatch {
    /// Waits until an entry was appended since the watch began, or since this last returned. An entry whose commit took longer
    /// than 2 s may be missed: bound the wait.
    pub async fn changed(&mut self) {
        if self.last_entry.changed().await.is_err() {
            // The sender exists for as long as there is a watch.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for SagaWatch {
    fn drop(&mut self) {
        let mut watched = self.sagas.lock().unwrap_or_else(PoisonError::into_inner);
        // This watch still counts.
        if watched.get(&self.saga).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            watched.remove(&self.saga);
        }
    }
}

/// The published entries, until they are too old to be polled again.
#[derive(Debug, Default)]
struct Published {
    entries: HashMap<(SagaId, u32), Time>,
}

/// Publishes entries to watchers, until `stop` is cancelled.
pub(crate) async fn run(reader: Arc<dyn Store>, clock: Arc<dyn Clock>, feed: Feed, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    let mut published = Published::default();
    let mut from = None;
    while ticks.next().await {
        if !feed.is_wanted() {
            (published, from) = (Published::default(), None);
            continue;
        }
        let now = clock.now();
        let since = from.get_or_insert(now).before(OVERLAP);
        match publish_new(&*reader, &feed, &mut published, since).await {
            Ok(()) => from = Some(now),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for what happened");
            }
        }
        published.forget(since);
    }
}

async fn publish_new(
    reader: &dyn Store,
    feed: &Feed,
    published: &mut Published,
    since: Time,
) -> Result<(), store::Error> {
    let mut since = since;
    loop {
        let entries = reader.appended_since(since, LOOK).await?;
        let is_full = entries.len() >= LOOK as usize;
        let last = entries.last().map(|appended| appended.entry.at);
        for appended in entries {
            if published.is_new(&appended) {
                feed.publish(appended);
            }
        }
        match last.filter(|_| is_full) {
            // If one millisecond has more entries than a poll takes, some are skipped: otherwise the poll would never get past
            // it.
            Some(last) if last == since => since = Time(last.0 + 1),
            Some(last) => since = last,
            None => return Ok(()),
        }
    }
}

impl Published {
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
    fn a_saga_is_watched_for_as_long_as_a_caller_waits() {
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
