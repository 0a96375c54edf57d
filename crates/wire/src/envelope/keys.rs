//! The keys that authenticate data that Snorri writes into a message and reads back from another one: HMAC-SHA256, truncated to
//! 128 bits.
//!
//! One key signs. Others are accepted too, so that a key can be replaced while messages are in flight. The engine decides which
//! keys these are; clones of a [`Keyring`] share them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes that HMAC pads a key to.
const BLOCK_BYTES: usize = 64;
/// Hexadecimal digits of a code.
const CODE_DIGITS: usize = 32;

/// The purpose of a code: one made for one purpose is invalid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A command's `correlation_id`.
    Correlation,
    /// The exchange and routing key that a dead letter was first published to.
    Origin,
}

/// One key.
#[derive(Debug, Clone)]
pub struct Key(Hmac<Sha256>);

/// The keys in use at one time.
#[derive(Debug, Clone)]
pub struct Keys {
    pub signing: Key,
    /// Further keys whose codes are accepted.
    pub accepted: Vec<Key>,
}

/// The keys of this process. Clones share them, and see replacements.
#[derive(Debug, Clone)]
pub struct Keyring(Arc<RwLock<Keys>>);

impl Key {
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        block[..SECRET_BYTES].copy_from_slice(secret);
        Self(<Hmac<Sha256> as KeyInit>::new(&block.into()))
    }

    /// A MAC over the parts, each with its length, so that other parts with the same concatenation differ.
    fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(purpose.label());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl From<Key> for Keys {
    fn from(signing: Key) -> Self {
        Self { signing, accepted: Vec::new() }
    }
}

impl Keyring {
    pub fn new(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }

    pub fn replace(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The code of these parts: 32 hexadecimal digits.
    pub(super) fn sign(&self, purpose: Purpose, parts: &[&[u8]]) -> String {
        let full = self.keys().signing.mac(purpose, parts).finalize().into_bytes();
        let mut code = [0; size_of::<u128>()];
        code.copy_from_slice(&full[..size_of::<u128>()]);
        format!("{:032x}", u128::from_be_bytes(code))
    }

    /// Whether one of the keys made the code of these parts. Takes constant time, so that a nearly right code is not
    /// recognised.
    pub(super) fn verify(&self, purpose: Purpose, parts: &[&[u8]], code: &str) -> bool {
        if code.len() != CODE_DIGITS {
            return false;
        }
        let Ok(code) = u128::from_str_radix(code, 16) else { return false };
        let keys = self.keys();
        let mut all = std::iter::once(&keys.signing).chain(&keys.accepted);
        all.any(|key| key.mac(purpose, parts).verify_truncated_left(&code.to_be_bytes()).is_ok())
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Correlation => b"snorri correlation\0",
            Self::Origin => b"snorri origin\0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [&[u8]; 2] = [b"ab", b"c"];

    fn key(byte: u8) -> Key {
        Key::new(&[byte; SECRET_BYTES])
    }

    #[test]
    fn a_code_is_good_for_its_parts_and_its_purpose_only() {
        let ring = Keyring::new(key(1).into());
        let code = ring.sign(Purpose::Correlation, &PARTS);
        assert_eq!(code.len(), CODE_DIGITS);
        assert!(ring.verify(Purpose::Correlation, &PARTS, &code));
        assert!(!ring.verify(Purpose::Origin, &PARTS, &code));
        assert!(!ring.verify(Purpose::Correlation, &[b"a", b"bc"], &code));
        let last = if code.ends_with('0') { '1' } else { '0' };
        let other = format!("{}{last}", &code[..CODE_DIGITS - 1]);
        for wrong in ["", "x", &other, &code[1..], &format!("{code}0")] {
            assert!(!ring.verify(Purpose::Correlation, &PARTS, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_accepted_until_it_is_gone() {
        let ring = Keyring::new(key(1).into());
        let code = ring.sign(Purpose::Origin, &PARTS);
        let shared = ring.clone();
        ring.replace(Keys { signing: key(2), accepted: vec![key(1)] });
        assert!(shared.verify(Purpose::Origin, &PARTS, &code));
        assert_ne!(shared.sign(Purpose::Origin, &PARTS), code);
        ring.replace(key(2).into());
        assert!(!shared.verify(Purpose::Origin, &PARTS, &code));
    }
}
