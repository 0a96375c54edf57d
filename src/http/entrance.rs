//! What the server answers: the probes from the first moment on, everything else once the process is up.

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

use super::auth::{Authentication, authenticate};
use super::{Api, Options, Readiness, docs, handlers, limits, problem};
use crate::api::problem::Problem;

/// The routes of a process, which are open once it is up. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Entrance {
    options: Options,
    authentication: Arc<Authentication>,
    readiness: Readiness,
    routes: Arc<OnceLock<Router>>,
    is_open: CancellationToken,
}

/// What is answered from the first moment on.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// How long a request waits for the process to be up before it is refused: a start seldom takes longer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Entrance {
    pub(super) fn new(
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

    /// Opens all routes, which ends with `stop`.
    pub fn open(&self, api: Api, stop: &CancellationToken) {
        self.routes.get_or_init(|| self.all(api, stop));
        self.is_open.cancel();
    }

    /// What answers: the routes that are open at the moment of a request.
    pub(super) fn router(&self) -> Router {
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
                // What failed is told by whoever knows why.
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
        let (routes, _) = handlers::all().build(request, body, self.options.concurrency).split_for_parts();
        // Asked every few seconds, also while everything else waits.
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

/// What is answered while the process starts.
fn starting(readiness: &Readiness) -> Router {
    let readiness = readiness.clone();
    let ready = move || async move { handlers::starting(&readiness) };
    let [live_path, ready_path] = PROBES;
    Router::new().route(live_path, get(async || "ok")).route(ready_path, get(ready)).fallback(not_yet)
}

async fn not_yet() -> Response {
    let detail = "the process starts: `/readyz` has what it waits for. Repeat the request later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).into_response()
}

/// What is told is true now, and not for everybody: nobody keeps it, and nobody guesses what else it may be.
async fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Without the query, which may name people.
fn span(request: &Request) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path(), id)
}
