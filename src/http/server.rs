//! The server: everything that can be wrong with its settings is found before anything else is started.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::{Router, middleware};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::trace::TraceLayer;

use super::auth::{self, Authentication, authenticate};
use super::{Api, Options, docs, handlers, limits, problem};

/// How long requests that are under way may take when the process shall stop. Less than a drain may take.
const GRACE: Duration = Duration::from_secs(20);
/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "`http.listen` is {0}, which others can reach, and there is no authentication: whoever comes could steer every \
         saga. Make a token with `snorri token` and put it in the configuration (`[[http.auth.tokens]]`), or set \
         `[http.auth.jwt]`, or listen on 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    #[error("`http.tls`: cannot use {certificate} with {key}: {error}")]
    Tls { certificate: String, key: String, error: io::Error },
}

/// A server whose settings are sound.
#[derive(Debug)]
pub struct Server {
    options: Options,
    authentication: Arc<Authentication>,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Checks the settings, and reads what they refer to.
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

    /// Serves until `stop` is cancelled and the requests under way are answered.
    pub async fn serve(self, listener: TcpListener, api: Api, stop: CancellationToken) -> io::Result<()> {
        let handle = Handle::new();
        let stopping = tokio::spawn({
            let (handle, stop) = (handle.clone(), stop.clone());
            async move {
                stop.cancelled().await;
                handle.graceful_shutdown(Some(GRACE));
            }
        });
        let service = self.router(api, &stop).into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(listener.into_std()?)?.handle(handle);
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let served = match self.tls {
            Some(config) => server.acceptor(RustlsAcceptor::new(config)).serve(service).await,
            None => server.serve(service).await,
        };
        stopping.abort();
        served
    }

    fn router(&self, api: Api, stop: &CancellationToken) -> Router {
        let timeout = self.options.request_timeout;
        let layers = ServiceBuilder::new()
            .layer(middleware::from_fn_with_state(Arc::clone(&self.authentication), authenticate))
            .option_layer(limits::rate(&self.options, stop));
        let (routes, _) = handlers::all().build(timeout, self.options.concurrency).split_for_parts();
        // Asked every few seconds, also while everything else waits.
        let (health, _) = handlers::health().build(timeout, Semaphore::MAX_PERMITS).split_for_parts();
        Router::new()
            .merge(routes.layer(middleware::map_response(uncached)))
            .merge(docs::router())
            .fallback(problem::not_found)
            .layer(layers)
            .merge(health)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(
                ServiceBuilder::new()
                    .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
                    .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                    // What failed is told by whoever knows why.
                    .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
                    .layer(PropagateRequestIdLayer::x_request_id())
                    .layer(CatchPanicLayer::custom(problem::of_panic))
                    .layer(middleware::map_response(problem::dress)),
            )
            .with_state(api)
    }
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
