//! The keys of an issuer (JWKS), cached, and fetched again when a key is unknown.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

use super::Error;
use snorri_ports::addresses;

/// How long an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After this time the keys are fetched again in any case, because the issuer may have withdrawn one.
const LONGEST_MEMORY: Duration = Duration::from_secs(3600);
const LARGEST_SET: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Keys {
    origin: Origin,
    refresh: Duration,
    cached: RwLock<CachedKeys>,
    /// Held while fetching, so that there is one fetch at a time.
    asking: Mutex<()>,
}

#[derive(Debug)]
enum Origin {
    Url(reqwest::Client, reqwest::Url),
    File(PathBuf),
}

#[derive(Debug)]
struct CachedKeys {
    keys: JwkSet,
    asked: Instant,
}

impl Keys {
    /// An unavailable issuer does not prevent the start: its keys are fetched later. A missing file does.
    pub async fn new(origin: &str, refresh: Duration) -> Result<Self, Error> {
        let failed = |why: String| Error::Keys { origin: origin.to_owned(), why };
        let from = Origin::new(origin).map_err(failed)?;
        let keys = match (from.fetch().await, &from) {
            (Ok(keys), _) => keys,
            (Err(why), Origin::File(_)) => return Err(failed(why)),
            (Err(why), Origin::Url(..)) => {
                tracing::warn!(origin, why, "the keys of the issuer are not available yet");
                JwkSet::default()
            }
        };
        let cached = RwLock::new(CachedKeys { keys, asked: Instant::now() });
        Ok(Self { origin: from, refresh, cached, asking: Mutex::default() })
    }

    /// The key with this id. Without an id, the only key of the set.
    pub async fn find(&self, id: Option<&str>) -> Option<Jwk> {
        let (found, age) = self.look(id).await;
        if found.is_some() && age < LONGEST_MEMORY {
            return found;
        }
        let _asking = self.asking.lock().await;
        // The previous holder of the lock may have fetched the keys.
        let (found, age) = self.look(id).await;
        if age < self.refresh || (found.is_some() && age < LONGEST_MEMORY) {
            return found;
        }
        match self.origin.fetch().await {
            Ok(keys) => *self.cached.write().await = CachedKeys { keys, asked: Instant::now() },
            Err(why) => {
                tracing::warn!(why, "cannot fetch the keys of the issuer; the cached keys remain in use");
                self.cached.write().await.asked = Instant::now();
            }
        }
        self.look(id).await.0
    }

    async fn look(&self, id: Option<&str>) -> (Option<Jwk>, Duration) {
        let cached = self.cached.read().await;
        let found = match (id, &cached.keys.keys[..]) {
            (Some(id), _) => cached.keys.find(id),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        (found.cloned(), cached.asked.elapsed())
    }
}

impl Origin {
    fn new(origin: &str) -> Result<Self, String> {
        let Ok(url) = reqwest::Url::parse(origin) else { return Ok(Self::File(origin.into())) };
        let is_local = addresses::is_loopback(&url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err("the URL of the keys must be `https`".to_owned());
        }
        let client = addresses::http_client(&url).timeout(PATIENCE).build();
        Ok(Self::Url(client.map_err(|error| error.to_string())?, url))
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let message = |error: reqwest::Error| error.to_string();
        let bytes = match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| error.to_string())?,
            Self::Url(client, url) => {
                let answer = client.get(url.clone()).send().await.map_err(message)?;
                let mut answer = answer.error_for_status().map_err(message)?;
                let mut bytes = Vec::new();
                while let Some(chunk) = answer.chunk().await.map_err(message)? {
                    bytes.extend_from_slice(&chunk);
                    if bytes.len() > LARGEST_SET {
                        return Err("the response is too large".to_owned());
                    }
                }
                bytes
            }
        };
        serde_json::from_slice(&bytes).map_err(|error| format!("it is not a JWKS: {error}"))
    }
}
