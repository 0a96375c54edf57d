//! The rate limit of requests of one caller, by name, or by address without authentication.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use governor::middleware::NoOpMiddleware;
use tokio_util::sync::CancellationToken;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

use crate::http::Options;
use crate::http::problem::ErrorResponse;
use crate::http::routes::AuthenticationResult;

/// How often the counters of silent callers are removed.
const FORGETTING: Duration = Duration::from_secs(60);

type RateLimitConfig = GovernorConfig<ByCaller, NoOpMiddleware>;

/// The key of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http) enum Counted {
    Caller(String),
    Peer(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct ByCaller;

impl KeyExtractor for ByCaller {
    type Key = Counted;

    fn extract<T>(&self, request: &Request<T>) -> Result<Counted, GovernorError> {
        match request.extensions().get::<AuthenticationResult>() {
            Some(AuthenticationResult(Ok(caller))) if caller.authenticated => {
                Ok(Counted::Caller(caller.name.clone()))
            }
            _ => {
                let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
                Ok(Counted::Peer(peer.map(|ConnectInfo(address)| address.ip())))
            }
        }
    }
}

/// The layer of the rate limit. `None`: there is no limit.
pub(in crate::http) fn rate(
    options: &Options,
    stop: &CancellationToken,
) -> Option<GovernorLayer<ByCaller, NoOpMiddleware, Body>> {
    let period = Duration::from_secs(1).checked_div(options.requests_per_second)?;
    let mut builder = GovernorConfigBuilder::default().key_extractor(ByCaller);
    let config: Arc<RateLimitConfig> =
        Arc::new(builder.period(period).burst_size(options.burst.max(1)).finish()?);
    tokio::spawn(forget(Arc::clone(&config), stop.clone()));
    Some(GovernorLayer::new(config).error_handler(refused))
}

async fn forget(config: Arc<RateLimitConfig>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(FORGETTING)).await.is_some() {
        config.limiter().retain_recent();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of the layer")]
fn refused(error: GovernorError) -> Response {
    let GovernorError::TooManyRequests { wait_time, .. } = error else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let detail = "too many requests: see `Retry-After`";
    let problem = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_time.max(1)));
    response
}
