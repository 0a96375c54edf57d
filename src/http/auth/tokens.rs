//! Static tokens: long random strings, of which only the hash is configured.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Caller, Error, Role};
use snorri_core::text::is_invisible;

/// The prefix of a token, so that secret scanners recognise it.
const PREFIX: &str = "snorri_";
const RANDOM_BYTES: usize = 32;
const LONGEST_NAME: usize = 100;

/// A caller with a static token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// The hash of the token, in hexadecimal.
    pub sha256: String,
}

/// Callers by the hash of their token. The time of a lookup depends on the hash, which reveals nothing about the token. A token
/// is too random to be guessed from its hash, so a slow hash has no benefit.
#[derive(Debug)]
pub(super) struct Tokens(HashMap<String, Caller>);

impl Tokens {
    pub fn new(tokens: &[Token]) -> Result<Self, Error> {
        let mut callers = HashMap::new();
        for Token { name, role, sha256 } in tokens {
            if name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(is_invisible) {
                return Err(Error::Token(format!(
                    "a name must have from 1 to {LONGEST_NAME} visible characters: `{name}`"
                )));
            }
            let hash = sha256.to_ascii_lowercase();
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let problem =
                    "`sha256` must have 64 hexadecimal digits: `snorri token` creates a token and its hash";
                return Err(Error::Token(format!("{name}: {problem}")));
            }
            if callers.insert(hash, Caller::known(name, *role)).is_some() {
                return Err(Error::Token(format!("{name} has the same token as another caller")));
            }
        }
        Ok(Self(callers))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn find(&self, token: &str) -> Option<Caller> {
        self.0.get(&hash(token)).cloned()
    }
}

/// The hash of a token.
pub fn hash(token: &str) -> String {
    hex(&Sha256::digest(token))
}

/// Creates a token. `None`: the system has no source of randomness.
pub fn random() -> Option<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{PREFIX}{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, sha256: &str) -> Token {
        Token { name: name.to_owned(), role: Role::Operator, sha256: sha256.to_owned() }
    }

    #[test]
    fn a_token_is_found_by_its_hash_alone() {
        let secret = random().expect("randomness");
        assert_ne!(random().expect("randomness"), secret);
        let tokens = Tokens::new(&[token("ann", &hash(&secret).to_uppercase())]).expect("valid");
        assert_eq!(tokens.find(&secret), Some(Caller::known("ann", Role::Operator)));
        assert_eq!(tokens.find(&hash(&secret)), None);
        assert_eq!(tokens.find(""), None);
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for bad in ["", "secret", &"g".repeat(64)] {
            assert!(Tokens::new(&[token("ann", bad)]).is_err(), "{bad}");
        }
        let twice = [token("ann", &hash("x")), token("bob", &hash("x"))];
        assert!(Tokens::new(&twice).is_err());
        assert!(Tokens::new(&[token(" ", &hash("x"))]).is_err());
    }
}
