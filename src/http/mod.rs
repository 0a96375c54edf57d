//! The admin API: axum on tower. It translates between HTTP and the engine and decides nothing.
//!
//! | route | what it does |
//! | --- | --- |
//! | `POST /v1/sagas` | starts a saga, once for each business key |
//! | `GET /v1/sagas` | lists sagas, newest first |
//! | `GET /v1/sagas/{id}` | one saga with its steps, incidents and journal |
//! | `POST /v1/sagas/{id}/cancel` | rolls it back, if there is still a way back |
//! | `POST /v1/sagas/{id}/signals/{name}` | gives it a signal, with the body as what it carries |
//! | `GET /livez`, `GET /readyz`, `GET /metrics` | for whoever runs the process |

mod dto;
mod error;
mod handlers;
mod health;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::engine::Engine;
use crate::saga::MAX_PAYLOAD_BYTES;
pub use health::Readiness;

/// Largest body of a request: a saga's input and what is around it.
const MAX_BODY_BYTES: usize = MAX_PAYLOAD_BYTES + 16 * 1024;

#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Requests at once, at most.
    pub concurrency: usize,
}

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    pub engine: Engine,
    pub readiness: Readiness,
    pub metrics: Arc<Registry>,
}

/// Serves until `stop` is cancelled and the requests under way are answered.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    options: &Options,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(api, options)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(api: Api, options: &Options) -> Router {
    let protection = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(error::of_panic))
        .layer(GlobalConcurrencyLimitLayer::new(options.concurrency))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, options.request_timeout))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));
    let tracing = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CatchPanicLayer::custom(error::of_panic))
        .layer(GlobalConcurrencyLimitLayer::new(options.concurrency))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::GATEWAY_TIMEOUT,
            options.request_timeout,
        ))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));
    Router::new()
        .route("/v1/sagas", post(handlers::start).get(handlers::list))
        .route("/v1/sagas/{id}", get(handlers::show))
        .route("/v1/sagas/{id}/cancel", post(handlers::cancel))
        .route("/v1/sagas/{id}/signals/{name}", post(handlers::signal))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(tracing)
        // Asked every few seconds, and not worth a trace.
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(protection)
        .with_state(api)
}
