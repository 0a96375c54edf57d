//! What is answered when something is wrong: problem details (RFC 9457) with a stable code.

use std::any::Any;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::engine::{StartError, SubmitError};
use crate::saga::Ignored;

/// A problem, as it is told to the client.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// Stable: clients may rely on it.
    code: &'static str,
    detail: String,
    /// Where in the request, if it is about certain places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<At>,
}

#[derive(Debug, Serialize)]
struct At {
    /// A JSON Pointer into the request's body.
    pointer: String,
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:snorri:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub fn saga_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "saga_not_found", "there is no saga with this id")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::NotFound(_) => StatusCode::NOT_FOUND,
            StartError::InvalidInput(_)
            | StartError::NoKey(_)
            | StartError::NoAttribute(_)
            | StartError::NoInput(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StartError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            StartError::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            StartError::Store(_) | StartError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, error.code(), error.to_string());
        match error {
            StartError::InvalidInput(errors) => {
                let at = |error: crate::catalog::InvalidInput| At {
                    pointer: format!("/input{}", error.path),
                    detail: error.message,
                };
                Self { errors: errors.into_iter().map(at).collect(), ..problem }
            }
            _ => problem,
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Ignored(Ignored::UnknownSaga) => Self::saga_not_found(),
            SubmitError::Ignored(ignored) => {
                Self::new(StatusCode::CONFLICT, ignored.code(), ignored.to_string())
            }
            SubmitError::Unreadable(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", error.to_string())
            }
            SubmitError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", error.to_string())
            }
        }
    }
}

impl From<crate::engine::StoreError> for Problem {
    fn from(error: crate::engine::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the database is not available")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid_body", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_id", "the id of a saga is a UUID")
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", "there is nothing at this path")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has no such method")
}

/// The answer when a handler panics. What went wrong is for the logs alone.
#[expect(clippy::needless_pass_by_value, reason = "the layer gives it away")]
pub(super) fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here").into_response()
}
