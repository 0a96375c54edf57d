//! Authentication of the caller with a static token or a JWT. Without either, every caller on a loopback address is an admin.

mod jwks;
mod jwt;
mod tokens;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;

use super::problem::unauthenticated;
use super::routes::AuthenticationResult;
use super::{Caller, Role};
use crate::http::problem::ErrorResponse;
use jwt::Jwt;
use tokens::{Token, Tokens};
pub use tokens::{hash, random};

/// The accepted credentials. If empty, there is no authentication.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    pub tokens: Vec<Token>,
    pub jwt: Option<jwt::Options>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`http.auth.tokens`: {0}")]
    Token(String),
    #[error("`http.auth.jwt`: {0}")]
    Jwt(String),
    #[error("`http.auth.jwt`: cannot get the keys from {origin}: {why}")]
    Keys { origin: String, why: String },
}

#[derive(Debug)]
pub(super) struct Authentication {
    tokens: Tokens,
    jwt: Option<Jwt>,
}

impl Options {
    pub fn is_on(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }
}

impl Authentication {
    pub async fn new(options: &Options) -> Result<Self, Error> {
        let jwt = match &options.jwt {
            None => None,
            Some(options) => Some(Jwt::new(options).await?),
        };
        Ok(Self { tokens: Tokens::new(&options.tokens)?, jwt })
    }

    fn is_on(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ErrorResponse> {
        if !self.is_on() {
            return local(headers).map(|()| Caller::anonymous());
        }
        let token = bearer(headers)?;
        if let Some(caller) = self.tokens.find(token) {
            return Ok(caller);
        }
        match &self.jwt {
            Some(jwt) => jwt.caller(token).await,
            None => Err(unauthenticated("the token is unknown")),
        }
    }
}

/// The layer that identifies the caller of every request. The guard of the route checks the role.
pub(super) async fn authenticate(
    State(authentication): State<Arc<Authentication>>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = authentication.caller(request.headers()).await;
    if let Ok(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    request.extensions_mut().insert(AuthenticationResult(caller));
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Result<&str, ErrorResponse> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(unauthenticated("the request must have exactly one `Authorization` header"));
    };
    let value = value.to_str().unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(unauthenticated("the `Authorization` header must be `Bearer` and a token")),
    }
}

/// Whether the request addresses this machine. Without authentication, a web page could otherwise send requests through a local
/// browser, under a name that it resolves to a loopback address (DNS rebinding).
fn local(headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let refused = |detail: &str| Err(ErrorResponse::new(StatusCode::FORBIDDEN, "not_local", detail));
    let Some(host) = text(header::HOST) else { return Ok(()) };
    if !is_loopback(host) {
        return refused("without authentication, only requests to a loopback address are accepted");
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.rsplit("//").next() != Some(host) => {
            refused("without authentication, requests of other web pages are rejected")
        }
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_this_machine_is_taken_at_its_word() {
        for host in ["localhost", "localhost:7070", "127.0.0.1:7070", "127.8.8.8", "[::1]:7070"] {
            assert!(local(&headers(&[(header::HOST, host)])).is_ok(), "{host}");
        }
        for host in ["evil.example:7070", "10.0.0.1", "127.0.0.1.evil.example", "[::2]:80", ""] {
            assert!(local(&headers(&[(header::HOST, host)])).is_err(), "{host}");
        }
        let from = |origin| headers(&[(header::HOST, "localhost:7070"), (header::ORIGIN, origin)]);
        assert!(local(&from("http://localhost:7070")).is_ok());
        for origin in ["http://evil.example", "http://localhost:8080", "null"] {
            assert!(local(&from(origin)).is_err(), "{origin}");
        }
    }

    #[test]
    fn a_bearer_is_one_header() {
        let given = headers(&[(header::AUTHORIZATION, "bearer abc")]);
        assert_eq!(bearer(&given).ok(), Some("abc"));
        let mut twice = given;
        twice.append(header::AUTHORIZATION, "Bearer abc".parse().expect("a value"));
        assert!(bearer(&twice).is_err());
        assert!(bearer(&headers(&[(header::AUTHORIZATION, "Basic abc")])).is_err());
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
