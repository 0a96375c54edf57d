//! JSON Web Tokens: who is asking is what the issuer says, and what they may do is what its claims are mapped to.

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
use crate::api::problem::Problem;
use crate::http::problem::unauthenticated;
use crate::text::is_invisible;

/// How far the issuer's clock may be from ours.
const LEEWAY_SECONDS: u64 = 30;
const LONGEST_NAME: usize = 100;

/// Whose tokens count, and what they mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    /// Where the issuer's keys are: a URL or a file.
    pub jwks: String,
    /// Keys are asked for again when one is not known, at most this often.
    #[serde(with = "humantime_serde", default = "default_refresh")]
    pub refresh: Duration,
    /// The claim that says who it is.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// The claim that says what they may do: a word or a list of words. A dot leads into an object.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// Words of that claim, and the roles that they mean. Without any, the roles have their own names.
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
            return Err(Error::Jwt("`algorithms` names none".to_owned()));
        }
        // With a shared secret, whoever can check a token can make one; and a public key must never serve as a secret.
        if let Some(shared) =
            options.algorithms.iter().find(|algorithm| AlgorithmFamily::Hmac.algorithms().contains(algorithm))
        {
            return Err(Error::Jwt(format!("{shared:?} has no public keys; take RS256, ES256 or EdDSA")));
        }
        if options.issuer.is_empty() || options.audience.is_empty() {
            return Err(Error::Jwt("`issuer` and `audience` must say whose and what for".to_owned()));
        }
        Ok(Self { keys: Keys::new(&options.jwks, options.refresh).await?, options: options.clone() })
    }

    pub async fn caller(&self, token: &str) -> Result<Caller, Problem> {
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

    fn read(&self, claims: &Value) -> Result<Caller, Problem> {
        let name = at(claims, &self.options.name_claim).and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(is_invisible) {
            return Err(unauthenticated("the token does not say who it is for"));
        }
        let words = match at(claims, &self.options.role_claim) {
            Some(Value::String(word)) => vec![word.as_str()],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let roles = words.into_iter().filter_map(|word| self.role(word));
        // The one that may do the most; of two that cannot be compared the first.
        let most = roles.reduce(|most, role| if role.covers(most) { role } else { most });
        let nothing = || Problem::new(StatusCode::FORBIDDEN, "forbidden", "the token gives no role here");
        most.map(|role| Caller::known(name, role)).ok_or_else(nothing)
    }

    fn role(&self, word: &str) -> Option<Role> {
        match self.options.roles.is_empty() {
            true => Role::named(word),
            false => self.options.roles.get(word).copied(),
        }
    }
}

/// Whether the key is for this: what it says of itself must not be contradicted by a token.
fn fits(key: &Jwk, header: &Header) -> bool {
    let algorithm = key.common.key_algorithm.map(|algorithm| algorithm.to_string().parse::<Algorithm>());
    let is_for_it = algorithm.is_none_or(|algorithm| algorithm.is_ok_and(|known| known == header.alg));
    is_for_it && key.common.public_key_use.as_ref().is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
}

/// The claim of this name, or what the dots in it lead to.
fn at<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |value, part| value.get(part)))
}
