//! The admin API: axum on tower. It translates between HTTP and the engine and decides nothing.
//!
//! A request passes the layers of [`serve`], then the guard of its route ([`routes`]: role, query, limits), then its handler
//! ([`handlers`], one file for each kind of thing). What goes over the wire is in [`api`](crate::api); `docs/openapi.json` has
//! all of it.

mod caller;
mod convert;
mod extract;
mod handlers;
mod openapi;
mod problem;
mod readiness;
mod roles;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::{Router, response::Response};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use crate::engine::Engine;
use crate::saga::MAX_PAYLOAD_BYTES;
pub use caller::Caller;
pub use readiness::Readiness;
pub use roles::Role;
use routes::Entrance;

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
    /// Cancelled when the process shall stop: streams that would go on for ever end then.
    pub stopping: CancellationToken,
}

/// The OpenAPI document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    handlers::all().build(Duration::ZERO).into_openapi()
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
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(middleware::map_response(problem::dress))
        .layer(GlobalConcurrencyLimitLayer::new(options.concurrency))
        .layer(middleware::from_fn(enter));
    let (router, _) = handlers::all().build(options.request_timeout).split_for_parts();
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(layers)
        .with_state(api)
}

async fn enter(mut request: Request, next: Next) -> Response {
    let caller = Caller::anonymous();
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(Entrance(Ok(caller)));
    next.run(request).await
}
