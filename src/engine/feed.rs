//! What happens to all sagas, as it happens, whichever process decides it.
//!
//! There is no other channel between processes than the store, so that is asked for what was appended lately; once for all who
//! watch, and only while somebody does. An entry's time is taken before its commit, and clocks differ a little: each look
//! goes back over a stretch of time that was looked at before, and what was told is not told again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
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

/// Where watchers subscribe.
#[derive(Debug, Clone)]
pub struct Feed(broadcast::Sender<Arc<Appended>>);

impl Feed {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }

    /// Every entry from about now on. Who is too slow is told how many were lost.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Appended>> {
        self.0.subscribe()
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
        if feed.0.receiver_count() == 0 {
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
                // Nobody may be left to hear it.
                let _ = feed.0.send(Arc::new(appended));
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
