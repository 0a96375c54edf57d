//! The server. It validates its settings before any other component starts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::auth::{self, Authentication};
use crate::http::connection::connections::{Bounded, Connections};
use crate::http::connection::entrance::Entrance;
use crate::http::{Options, Readiness};

/// How long requests in progress may take when the process stops. Less than a drain may take.
const GRACE: Duration = Duration::from_secs(20);
/// How long a client may take for its first bytes, and for the header of each request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of HTTP/2 pings, and how long a client may take to answer one.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// Open files reserved for the database, the broker and archives.
const OTHER_FILES: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "`http.listen` is {0}, which other machines can reach, but there is no authentication. Create a \
         token with `snorri token` and add it to the configuration (`[[http.auth.tokens]]`), or set \
         `[http.auth.jwt]`, or listen on 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    #[error("`http.tls`: cannot use {certificate} with {key}: {error}")]
    Tls { certificate: String, key: String, error: io::Error },
}

/// A server with valid settings.
#[derive(Debug)]
pub struct Server {
    options: Options,
    authentication: Arc<Authentication>,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Validates the settings and reads the files that they refer to.
    pub async fn prepare(options: &Options) -> Result<Self, Error> {
        if !options.auth.is_on() && !options.listen.ip().is_loopback() {
            return Err(Error::Unprotected(options.listen));
        }
        let tls = match &options.tls {
            None => None,
            Some(tls) => {
                let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await;
                Some(config.map_err(|error| Error::Tls {
                    certificate: tls.certificate.display().to_string(),
                    key: tls.key.display().to_string(),
                    error,
                })?)
            }
        };
        let authentication = Arc::new(Authentication::new(&options.auth).await?);
        Ok(Self { options: options.clone(), authentication, tls })
    }

    /// The entrance of the server. Its routes open later.
    pub fn entrance(&self, readiness: &Readiness) -> Entrance {
        Entrance::new(&self.options, &self.authentication, readiness)
    }

    /// Serves until `stop` is cancelled and the requests in progress are answered.
    pub async fn serve(
        self,
        listener: TcpListener,
        entrance: Entrance,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let handle = Handle::new();
        let stopping = tokio::spawn({
            let handle = handle.clone();
            async move {
                stop.cancelled().await;
                handle.graceful_shutdown(Some(GRACE));
            }
        });
        let service = entrance.router().into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(listener.into_std()?)?.handle(handle);
        let protocols = server.http_builder();
        protocols.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        protocols
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(STREAMS);
        let connections = Connections::new(affordable(self.options.max_connections.get()), HEADER_TIMEOUT);
        let served = match self.tls {
            Some(config) => {
                let acceptor = Bounded { connections, inner: RustlsAcceptor::new(config) };
                server.acceptor(acceptor).serve(service).await
            }
            None => {
                let acceptor = Bounded { connections, inner: DefaultAcceptor::new() };
                server.acceptor(acceptor).serve(service).await
            }
        };
        stopping.abort();
        served
    }
}

/// The wanted number of connections, bounded by the limit of open files.
fn affordable(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match soft_limit_of_files(&limits) {
        Some(files) => wanted.min(files.saturating_sub(OTHER_FILES).max(1)),
        None => wanted,
    }
}

/// `None`: there is no limit, or the system does not report it.
fn soft_limit_of_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             1000                 1000                 processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit_of_files(limits), Some(1024));
        assert_eq!(soft_limit_of_files(&limits.replace("1024 ", "unlimited ")), None);
        assert_eq!(soft_limit_of_files(""), None);
    }
}
