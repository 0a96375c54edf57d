//! JSON Web Tokens: the issuer names the caller, and a mapping of its claims gives the role.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::jwks::Keys;
use super::{Caller, Error, Role};
use crate::http::problem::ErrorResponse;
use crate::http::problem::unauthenticated;
use snorri_core::text::is_invisible;

/// The accepted difference between the clock of the issuer and ours.
const LEEWAY_SECONDS: u64 = 30;
const LONGEST_NAME: usize = 100;

/// The issuer whose tokens are accepted, and the mapping of their claims.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    /// The location of the keys of the issuer: a URL or a file.
    pub jwks: String,
    /// The keys are fetched again for an unknown key, at most this often.
    #[serde(with = "humantime_serde", default = "default_refresh")]
    pub refresh: Duration,
    /// The claim with the name of the caller.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// The claim with the roles of the caller: a string or a list of strings. A dot leads into an object.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// The mapping of values of that claim to roles. If empty, the claim has the names of the roles.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

fn default_refresh() -> Duration {
    Duration::from_secs(60)
}

fn default_name_claim() -> String {
    "sub".to_owned()
}

fn default_role_claim() -> String {
    "roles".to_owned()
}

#[derive(Debug)]
pub(super) struct Jwt {
    options: Options,
    keys: Keys,
}

impl Jwt {
    pub async fn new(options: &Options) -> Result<Self, Error> {
        if options.algorithms.is_empty() {
            return Err(Error::Jwt("`algorithms` is empty".to_owned()));
        }
        // With a shared secret, everyone who can verify a token can forge one; and a public key must never serve as a secret.
        if let Some(shared) =
            options.algorithms.iter().find(|algorithm| AlgorithmFamily::Hmac.algorithms().contains(algorithm))
        {
            return Err(Error::Jwt(format!("{shared:?} has no public keys: use RS256, ES256 or EdDSA")));
        }
        if options.issuer.is_empty() || options.audience.is_empty() {
            return Err(Error::Jwt("`issuer` and `audience` must not be empty".to_owned()));
        }
        Ok(Self { keys: Keys::new(&options.jwks, options.refresh).await?, options: options.clone() })
    }

    pub async fn caller(&self, token: &str) -> Result<Caller, ErrorResponse> {
        let refused = || unauthenticated("the token is not valid");
        let header = decode_header(token).map_err(|_| refused())?;
        if !self.options.algorithms.contains(&header.alg) || header.crit.is_some() {
            return Err(refused());
        }
        let key = self.keys.find(header.kid.as_deref()).await.ok_or_else(refused)?;
        if !fits(&key, &header) {
            return Err(refused());
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| refused())?;
        let claims = decode::<Value>(token, &key, &self.validation(header.alg)).map_err(|error| {
            unauthenticated(match error.kind() {
                ErrorKind::ExpiredSignature => "the token has expired",
                ErrorKind::ImmatureSignature => "the token is not valid yet",
                _ => "the token is not valid",
            })
        })?;
        self.read(&claims.claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_audience(&[&self.options.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    fn read(&self, claims: &Value) -> Result<Caller, ErrorResponse> {
        let name = at(claims, &self.options.name_claim).and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(is_invisible) {
            return Err(unauthenticated("the token has no valid name claim"));
        }
        let words = match at(claims, &self.options.role_claim) {
            Some(Value::String(word)) => vec![word.as_str()],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let roles = words.into_iter().filter_map(|word| self.role(word));
        // The role with the most rights; of two that cannot be compared, the first.
        let most = roles.reduce(|most, role| if role.covers(most) { role } else { most });
        let nothing = || ErrorResponse::new(StatusCode::FORBIDDEN, "forbidden", "the token grants no role");
        most.map(|role| Caller::known(name, role)).ok_or_else(nothing)
    }

    fn role(&self, word: &str) -> Option<Role> {
        match self.options.roles.is_empty() {
            true => Role::named(word),
            false => self.options.roles.get(word).copied(),
        }
    }
}

/// Whether the key may verify a token with this header: its algorithm and its use must match.
fn fits(key: &Jwk, header: &Header) -> bool {
    let algorithm = key.common.key_algorithm.map(|algorithm| algorithm.to_string().parse::<Algorithm>());
    let is_for_it = algorithm.is_none_or(|algorithm| algorithm.is_ok_and(|known| known == header.alg));
    is_for_it && key.common.public_key_use.as_ref().is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
}

/// The claim with this name, or the value at this dotted path.
fn at<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |value, part| value.get(part)))
}
