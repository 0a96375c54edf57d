//! How much one caller may ask: as many requests a second, counted by name, or by address before there is one.

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

use super::Options;
use super::routes::Entrance;
use crate::api::problem::Problem;

/// How often callers that have been silent are forgotten.
const FORGETTING: Duration = Duration::from_secs(60);

type Config = GovernorConfig<ByCaller, NoOpMiddleware>;

/// Who the requests are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    Caller(String),
    Peer(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByCaller;

impl KeyExtractor for ByCaller {
    type Key = Counted;

    fn extract<T>(&self, request: &Request<T>) -> Result<Counted, GovernorError> {
        match request.extensions().get::<Entrance>() {
            Some(Entrance(Ok(caller))) if caller.authenticated => Ok(Counted::Caller(caller.name.clone())),
            _ => {
                let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
                Ok(Counted::Peer(peer.map(|ConnectInfo(address)| address.ip())))
            }
        }
    }
}

/// The layer that counts. `None`: nobody is limited.
pub(super) fn rate(
    options: &Options,
    stop: &CancellationToken,
) -> Option<GovernorLayer<ByCaller, NoOpMiddleware, Body>> {
    let period = Duration::from_secs(1).checked_div(options.requests_per_second)?;
    let mut builder = GovernorConfigBuilder::default().key_extractor(ByCaller);
    let config: Arc<Config> = Arc::new(builder.period(period).burst_size(options.burst.max(1)).finish()?);
    tokio::spawn(forget(Arc::clone(&config), stop.clone()));
    Some(GovernorLayer::new(config).error_handler(refused))
}

async fn forget(config: Arc<Config>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(FORGETTING)).await.is_some() {
        config.limiter().retain_recent();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer gives it away")]
fn refused(error: GovernorError) -> Response {
    let GovernorError::TooManyRequests { wait_time, .. } = error else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let detail = "you have asked too much in too short a time";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_time.max(1)));
    response
}
