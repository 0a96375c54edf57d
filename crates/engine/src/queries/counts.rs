//! The number of sagas. Counting scans all of them, so callers share a count.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::queries::Queries;
use snorri_ports::store::{self, Count};

/// How long a count is valid, in multiples of how long it took: at most a twentieth of the time is spent counting.
const SERVES: u32 = 20;
/// The shortest time for which a count is valid.
const SHORTEST: Duration = Duration::from_millis(500);

/// The last count.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Option<Counted>>);

#[derive(Debug)]
struct Counted {
    counts: Arc<[Count]>,
    until: Instant,
}

impl Queries {
    /// The number of sagas by definition, version and status; it may be slightly out of date.
    pub async fn counts(&self) -> Result<Arc<[Count]>, store::Error> {
        // Concurrent callers wait for the same count.
        let mut last = self.counts.0.lock().await;
        let now = Instant::now();
        if let Some(counted) = last.as_ref().filter(|counted| counted.until > now) {
            return Ok(Arc::clone(&counted.counts));
        }
        let counts: Arc<[Count]> = self.reader.counts().await?.into();
        let until = Instant::now() + SHORTEST.max(now.elapsed() * SERVES);
        *last = Some(Counted { counts: Arc::clone(&counts), until });
        Ok(counts)
    }
}
