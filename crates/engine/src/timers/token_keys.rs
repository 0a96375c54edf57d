//! The keys that authenticate correlation tokens: the first start makes one, an operator can rotate them.
//!
//! All processes share them through the store and load new ones every few seconds. A new key signs only after
//! `SIGNS_AFTER`, when all of them accept it; the one before it is accepted until the next new key signs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::supervision::ticks::Ticks;
use snorri_core::Time;
use snorri_core::journal::By;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, AuditEntry, Secret, Store, TokenKey};
use snorri_wire::envelope::{Key, Keyring, Keys, SECRET_BYTES};

/// The interval of looking for new keys.
const REFRESH: Duration = Duration::from_secs(5);
/// How long after its creation a key begins to sign: many times [`REFRESH`], for processes that cannot load it just then.
const SIGNS_AFTER: Duration = Duration::from_secs(60);
/// The shortest time between two reloads because of forged replies.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the system has no randomness to make a key of")]
    NoRandomness,
    #[error("the newest key signs only from {} on: wait until then", signs_from.to_rfc3339())]
    Pending { signs_from: Time },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRandomness => "no_randomness",
            Self::Pending { .. } => "rotation_pending",
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// The keys to use at a time; the first start makes one.
pub async fn load(store: &dyn Store, now: Time) -> Result<Keys, Error> {
    if let Some(keys) = in_use(&store.token_keys().await?, now) {
        return Ok(keys);
    }
    // Another process may do the same: one of the two keys is the first, and both use it.
    store.add_token_key(&new_key(1, now, now)?, None).await?;
    let stored = store.token_keys().await?;
    in_use(&stored, now).ok_or_else(|| store::Error::Corrupt("there is no token key".to_owned()).into())
}

/// Keeps the keys of this process up to date, and rotates those of all processes.
#[derive(Debug)]
pub struct TokenKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keyring: Keyring,
    loaded_at: Mutex<Instant>,
}

impl TokenKeys {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, keyring: Keyring) -> Self {
        Self { store, clock, keyring, loaded_at: Mutex::new(Instant::now()) }
    }

    /// Loads new keys every few seconds, until `stop` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = Ticks::new(REFRESH, stop);
        while ticks.next().await {
            self.load().await;
        }
    }

    /// Makes a new key, which signs after `SIGNS_AFTER`. The key that signs until then stays accepted until the next rotation
    /// takes effect; replies under older keys count as forged.
    pub async fn rotate(&self, by: &By) -> Result<TokenKey, Error> {
        let now = self.clock.now();
        let newest = self.store.token_keys().await?.into_iter().next();
        let number = newest.as_ref().map_or(1, |newest| newest.number.saturating_add(1));
        if let Some(newest) = newest.filter(|newest| newest.signs_from > now) {
            return Err(Error::Pending { signs_from: newest.signs_from });
        }
        let key = new_key(number, now, now.after(SIGNS_AFTER))?;
        if !self.store.add_token_key(&key, Some(&audit_entry(&key, by))).await? {
            return Err(Error::Pending { signs_from: key.signs_from }); // another operator was first
        }
        self.load().await;
        Ok(key)
    }

    /// Loads new keys, unless that was done just now. Returns whether it was done.
    pub(crate) async fn reload(&self) -> bool {
        let is_due = self.loaded_at.lock().await.elapsed() >= RELOAD_PAUSE;
        is_due && self.load().await
    }

    async fn load(&self) -> bool {
        *self.loaded_at.lock().await = Instant::now();
        match load(&*self.store, self.clock.now()).await {
            Ok(keys) => {
                self.keyring.replace(keys);
                true
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for new token keys");
                false
            }
        }
    }
}

/// Selects from the stored keys, the newest first, the one that signs and those that are accepted. `None`: there are no keys.
fn in_use(stored: &[TokenKey], now: Time) -> Option<Keys> {
    // With a clock that is far behind, none may sign yet: the oldest is known to all processes.
    let signing = stored.iter().position(|key| key.signs_from <= now).or(stored.len().checked_sub(1))?;
    let key = |stored: &TokenKey| Key::new(&stored.secret.0);
    let before = stored.get(signing + 1);
    let accepted = stored[..signing].iter().chain(before).map(key).collect();
    Some(Keys { signing: key(&stored[signing]), accepted })
}

fn new_key(number: u32, created_at: Time, signs_from: Time) -> Result<TokenKey, Error> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|_| Error::NoRandomness)?;
    Ok(TokenKey { number, secret: Secret(secret), created_at, signs_from })
}

fn audit_entry(key: &TokenKey, by: &By) -> AuditEntry {
    AuditEntry {
        id: Uuid::now_v7(),
        at: key.created_at,
        actor: by.actor.clone(),
        action: "rotate_token_keys".to_owned(),
        reason: by.reason.clone(),
        saga: None,
        seq: None,
        step: None,
        definition: None,
        before: json!({ "number": key.number - 1 }),
        after: json!({ "number": key.number, "signs_from": key.signs_from.to_rfc3339() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snorri_core::input::Attempt;
    use snorri_core::{Direction, SagaId, StepPath};
    use snorri_wire::envelope::Wire;
    use snorri_wire::topology::Names;

    fn stored(number: u32, signs_from: i64) -> TokenKey {
        let secret = Secret([u8::try_from(number).expect("small"); SECRET_BYTES]);
        TokenKey { number, secret, created_at: Time(0), signs_from: Time(signs_from) }
    }

    fn wire(keys: Keys) -> Wire {
        Wire::new(Names::new("snorri"), Keyring::new(keys))
    }

    /// The numbers of the keys whose tokens are accepted at a time, that of the signing one first.
    fn numbers(stored: &[TokenKey], now: i64) -> Vec<u32> {
        let mut numbers = Vec::new();
        let used = wire(in_use(stored, Time(now)).expect("keys"));
        let attempt = Attempt { step: StepPath::new("a"), direction: Direction::Forward, number: 1 };
        let saga = SagaId::of_key("order", "1");
        let token = used.correlation_id(saga, &attempt);
        for key in stored {
            let one = wire(Key::new(&key.secret.0).into());
            let signed = one.correlation_id(saga, &attempt);
            let delivery = snorri_ports::broker::Delivery {
                properties: snorri_ports::broker::Properties {
                    correlation_id: Some(signed.clone()),
                    ..Default::default()
                },
                ..Default::default()
            };
            if used.decode_reply(&delivery).is_ok() {
                let place = if signed == token { 0 } else { numbers.len() };
                numbers.insert(place, key.number);
            }
        }
        numbers
    }

    #[test]
    fn a_key_is_accepted_before_it_signs_and_after_another_does() {
        assert!(in_use(&[], Time(0)).is_none());
        assert_eq!(numbers(&[stored(1, 0)], 5), [1]);
        let two = [stored(2, 100), stored(1, 0)];
        assert_eq!(numbers(&two, 99), [1, 2]);
        assert_eq!(numbers(&two, 100), [2, 1]);
        let three = [stored(3, 200), stored(2, 100), stored(1, 0)];
        assert_eq!(numbers(&three, 199), [2, 3, 1]);
        assert_eq!(numbers(&three, 200), [3, 2], "the oldest is gone once the newest signs");
        assert_eq!(numbers(&three, -1), [1, 3, 2], "a clock that is behind");
    }
}
