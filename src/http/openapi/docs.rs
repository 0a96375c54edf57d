//! The reference page: Swagger UI, embedded in the binary, so that it works without internet access.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Allows only resources of this origin, and no embedding in other pages.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

pub(in crate::http) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // Without the validator, which is an external page.
    let config = Config::from("/v1/openapi.json").display_request_duration(true).validator_url("none");
    Router::from(SwaggerUi::new("/docs").config(config)).layer(middleware::map_response(protected))
}

async fn protected(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
