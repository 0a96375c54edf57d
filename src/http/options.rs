//! The settings of the admin API.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::http::auth;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub listen: SocketAddr,
    /// Time limit of a request.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Time limit for receiving the body of a request. Bulk requests, which are read line by line, are not limited.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Maximum number of connections. When it is reached, a new connection closes the one that has been idle the longest.
    pub max_connections: NonZeroUsize,
    /// Maximum number of concurrent requests.
    pub max_concurrent_requests: usize,
    /// Maximum rate of requests of one caller. 0: no limit.
    pub requests_per_second: u32,
    /// Maximum number of requests of one caller at once above the rate.
    pub burst: u32,
    #[serde(default)]
    pub auth: auth::Options,
    pub tls: Option<Tls>,
}

/// The PEM files of TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, with intermediate certificates.
    pub certificate: PathBuf,
    pub key: PathBuf,
}
