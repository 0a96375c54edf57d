//! How many sagas there are. Counting walks all of them, so that it is not done for everybody who asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Engine;
use crate::store::{self, Count};

/// How long a count serves, in times of how long it took: a twentieth of the time is spent counting, at most.
const SERVES: u32 = 20;
/// It serves so long at least.
const SHORTEST: Duration = Duration::from_millis(500);

/// The last count.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Option<Counted>>);

#[derive(Debug)]
struct Counted {
    counts: Arc<[Count]>,
    until: Instant,
}

impl Engine {
    /// How many sagas there are, by definition, version and status; or were, not long ago.
    pub async fn counts(&self) -> Result<Arc<[Count]>, store::Error> {
        // Whoever comes meanwhile waits for the same count.
        let mut last = self.0.counts.0.lock().await;
        let now = Instant::now();
        if let Some(counted) = last.as_ref().filter(|counted| counted.until > now) {
            return Ok(Arc::clone(&counted.counts));
        }
        let counts: Arc<[Count]> = self.reader().counts().await?.into();
        let until = Instant::now() + SHORTEST.max(now.elapsed() * SERVES);
        *last = Some(Counted { counts: Arc::clone(&counts), until });
        Ok(counts)
    }
}
