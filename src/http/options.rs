//! The settings of the admin API.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::auth;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub listen: SocketAddr,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long the body of a request may take to come. Bulk requests, which are read line by line, are not limited.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Connections at once, at most. For one more, the one that has been without work for the longest is closed.
    pub max_connections: NonZeroUsize,
    /// Requests at once, at most.
    pub concurrency: usize,
    /// Of one caller, in the long run. 0: no limit.
    pub requests_per_second: u32,
    /// Of one caller, at once after a silence.
    pub burst: u32,
    #[serde(default)]
    pub auth: auth::Options,
    pub tls: Option<Tls>,
}

/// Files in PEM format.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and one that clients trust.
    pub certificate: PathBuf,
    pub key: PathBuf,
}
