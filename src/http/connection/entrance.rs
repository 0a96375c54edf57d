//! The entrance of the server: the probes answer immediately, all other routes once the process is up.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::trace::TraceLayer;

use crate::http::Api;
use crate::http::Options;
use crate::http::Readiness;
use crate::http::auth::{Authentication, authenticate};
use crate::http::connection::limits;
use crate::http::handlers;
use crate::http::openapi::docs;
use crate::http::problem;
use crate::http::problem::ErrorResponse;

/// The routes of a process, which open once it is up. Clones share them.
#[derive(Debug, Clone)]
pub struct Entrance {
    options: Options,
    authentication: Arc<Authentication>,
    readiness: Readiness,
    routes: Arc<OnceLock<Router>>,
    is_open: CancellationToken,
}

/// The routes that answer immediately.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// How long a request waits for the process to be up before it is rejected: a start seldom takes longer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Entrance {
    pub(in crate::http) fn new(
        options: &Options,
        authentication: &Arc<Authentication>,
        readiness: &Readiness,
    ) -> Self {
        Self {
            options: options.clone(),
            authentication: Arc::clone(authentication),
            readiness: readiness.clone(),
            routes: Arc::default(),
            is_open: CancellationToken::new(),
        }
    }

    /// Opens all routes. `stop` ends their background task.
    pub fn open(&self, api: Api, stop: &CancellationToken) {
        self.routes.get_or_init(|| self.all(api, stop));
        self.is_open.cancel();
    }

    /// The router, which dispatches to the routes that are open at the time of a request.
    pub(in crate::http) fn router(&self) -> Router {
        let (entrance, starting) = (self.clone(), starting(&self.readiness));
        let answer = move |request: Request| {
            let (entrance, starting) = (entrance.clone(), starting.clone());
            async move {
                if !PROBES.contains(&request.uri().path()) {
                    let _ = tokio::time::timeout(PATIENCE, entrance.is_open.cancelled()).await;
                }
                let router = entrance.routes.get().cloned().unwrap_or(starting);
                router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {})
            }
        };
        Router::new().fallback(answer).layer(
            ServiceBuilder::new()
                .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                // The component that knows the reason of a failure logs it.
                .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
                .layer(PropagateRequestIdLayer::x_request_id())
                .layer(CatchPanicLayer::custom(problem::of_panic))
                .layer(middleware::map_response(problem::dress)),
        )
    }

    fn all(&self, api: Api, stop: &CancellationToken) -> Router {
        let (request, body) = (self.options.request_timeout, self.options.body_timeout);
        let layers = ServiceBuilder::new()
            .layer(middleware::from_fn_with_state(Arc::clone(&self.authentication), authenticate))
            .option_layer(limits::rate(&self.options, stop));
        let (routes, _) =
            handlers::all().build(request, body, self.options.max_concurrent_requests).split_for_parts();
        // Probes must answer while all other requests wait.
        let (health, _) = handlers::health().build(request, body, Semaphore::MAX_PERMITS).split_for_parts();
        Router::new()
            .merge(routes.layer(middleware::map_response(uncached)))
            .merge(docs::router())
            .fallback(problem::not_found)
            .layer(layers)
            .merge(health)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(api)
    }
}

/// The routes while the process starts.
fn starting(readiness: &Readiness) -> Router {
    let readiness = readiness.clone();
    let ready = move || async move { handlers::starting(&readiness) };
    let [live_path, ready_path] = PROBES;
    Router::new().route(live_path, get(async || "ok")).route(ready_path, get(ready)).fallback(not_yet)
}

async fn not_yet() -> Response {
    let detail = "the process is starting: `/readyz` lists what it waits for. Retry later";
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).into_response()
}

/// Forbids caches to keep responses, which depend on the time and the caller, and browsers to guess their type.
async fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The span of a request, without the query, which may contain personal data.
fn span(request: &Request) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path(), id)
}
