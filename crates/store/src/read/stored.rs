//! Reads values that are stored as JSON, and handles rows that cannot be read.
//!
//! Queries of many rows leave out those that cannot be read, so that one does not hide the others. Each is logged once.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::session::error::SqlError;
use snorri_ports::store::Error;

/// The format of rows that hold JSON. A later version of this program that changes it so that this one cannot read a row marks
/// the row with a higher `format`.
const FORMAT: u32 = 1;

/// The number of remembered errors, which are not logged again.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is not zero");

/// Reads a value that is stored as JSON. `what` names it in errors.
///
/// # Errors
///
/// [`Error::Newer`] if it is marked with a higher format, otherwise [`Error::Corrupt`].
pub(crate) fn read_json<T: DeserializeOwned>(
    text: &str,
    what: impl FnOnce() -> String,
) -> Result<T, SqlError> {
    serde_json::from_str(text).map_err(|error| {
        let marked: Marked = serde_json::from_str(text).unwrap_or_default();
        let reason = format!("{}: {error}", what());
        SqlError(if marked.format > FORMAT { Error::Newer(reason) } else { Error::Corrupt(reason) })
    })
}

#[derive(Default, Deserialize)]
struct Marked {
    #[serde(default)]
    format: u32,
}

/// The logged errors of rows. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Logged(Arc<Mutex<LruCache<String, ()>>>);

impl Default for Logged {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(REMEMBERED))))
    }
}

impl Logged {
    /// Returns the rows that could be read.
    pub(crate) fn readable<T>(&self, rows: impl Iterator<Item = Result<T, SqlError>>) -> Vec<T> {
        rows.filter_map(|row| row.inspect_err(|SqlError(error)| self.log(error)).ok()).collect()
    }

    fn log(&self, error: &Error) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.put(error.to_string(), ()).is_none() {
            tracing::error!(error = error as &dyn std::error::Error, "a row cannot be read: it is left out");
        }
    }
}
