//! Error responses: problem details (RFC 9457) with a stable code.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use snorri_api::problem::{At, Problem};
use snorri_core::Rejection;
use snorri_core::json;
use snorri_engine::StartError;
use snorri_engine::StoreError;
use snorri_engine::SubmitError;
use snorri_engine::dead_letters::LetterError;
use snorri_engine::definitions;
use snorri_engine::operations::interventions::Refusal;
use snorri_engine::timers::token_keys;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// The response to a failed request.
#[derive(Debug, Clone)]
pub struct ErrorResponse(pub Problem);

impl ErrorResponse {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Problem {
            kind: format!("urn:snorri:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            diagnostics: None,
        })
    }

    /// Adds a place in the body of the request.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(At { pointer: pointer.into(), detail: detail.into() });
        self
    }

    pub fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail)
    }

    pub fn invalid_query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", detail)
    }

    pub fn saga_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "saga_not_found", "there is no saga with this id")
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StartError> for ErrorResponse {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::NotFound(_) => StatusCode::NOT_FOUND,
            StartError::Inactive(_)
            | StartError::OutcomeRequest(_)
            | StartError::UnusableExchange(_)
            | StartError::NotLoaded(_) => StatusCode::CONFLICT,
            StartError::InvalidInput(_)
            | StartError::NoKey(_)
            | StartError::NoAttribute(_)
            | StartError::InvalidAttributes(_)
            | StartError::NoInput(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StartError::InputRefused(error) => of_json(&error.reason),
            StartError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StartError::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            StartError::Store(_)
            | StartError::Unavailable(_)
            | StartError::Overloaded
            | StartError::Busy(_)
            | StartError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        let code = error.code();
        match error {
            StartError::Store(error) => error.into(),
            StartError::Unreadable(why) => unreadable(&why),
            StartError::InvalidInput(errors) => {
                let detail = "the input does not match the schema of the definition";
                errors.into_iter().fold(Self::new(status, code, detail), |problem, error| {
                    problem.at(format!("/input{}", error.path), error.message)
                })
            }
            StartError::InputRefused(error) => {
                let pointer = format!("/input{}", error.path);
                Self::new(status, code, "the input is rejected").at(pointer, error.reason.to_string())
            }
            error => Self::new(status, code, error.to_string()),
        }
    }
}

/// A rejected JSON body.
impl From<json::Error> for ErrorResponse {
    fn from(error: json::Error) -> Self {
        let code = match error.reason {
            json::Reason::Syntax { .. } => "invalid_body",
            ref reason => reason.code(),
        };
        let problem = Self::new(of_json(&error.reason), code, error.to_string());
        match error.reason {
            json::Reason::Syntax { .. } | json::Reason::TooLarge { .. } => problem,
            reason => problem.at(error.path, reason.to_string()),
        }
    }
}

fn of_json(reason: &json::Reason) -> StatusCode {
    match reason {
        json::Reason::Syntax { .. } => StatusCode::BAD_REQUEST,
        json::Reason::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        json::Reason::TooDeep { .. } | json::Reason::InexactNumber | json::Reason::RepeatedKey => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}

impl From<SubmitError> for ErrorResponse {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(Rejection::UnknownSaga) => Self::saga_not_found(),
            SubmitError::Rejected(reason) => {
                Self::new(StatusCode::CONFLICT, reason.code(), reason.to_string())
            }
            SubmitError::Unreadable(why) => unreadable(&why),
            SubmitError::Invalid(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string())
            }
            SubmitError::Changed { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, error.code(), error.to_string())
            }
            SubmitError::Stopping | SubmitError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
            }
        }
    }
}

impl From<Refusal> for ErrorResponse {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Submit(error) => error.into(),
            Refusal::Store(error) => error.into(),
            Refusal::Definition(error) => error.into(),
            Refusal::ListensForEvents => {
                Self::new(StatusCode::CONFLICT, "listens_for_events", refusal.to_string())
            }
            Refusal::WouldRepeat(_) => {
                Self::new(StatusCode::CONFLICT, "would_repeat_completed", refusal.to_string())
            }
            Refusal::Restart(error) => Self::new(StatusCode::CONFLICT, error.code(), error.to_string()),
        }
    }
}

impl From<definitions::Error> for ErrorResponse {
    fn from(error: definitions::Error) -> Self {
        let status = match error {
            definitions::Error::Store(error) => return error.into(),
            definitions::Error::Invalid(_)
            | definitions::Error::Unreadable(_)
            | definitions::Error::UnusableExchange { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            definitions::Error::CheckFailed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            definitions::Error::Busy => StatusCode::SERVICE_UNAVAILABLE,
            definitions::Error::NotFound { .. } => StatusCode::NOT_FOUND,
            definitions::Error::Changed { .. }
            | definitions::Error::NotLoaded { .. }
            | definitions::Error::Inactive { .. } => StatusCode::CONFLICT,
        };
        let detail = match &error {
            definitions::Error::Invalid(diagnostics) => {
                let count = diagnostics.errors();
                format!("{count} errors in {}: see `diagnostics`", diagnostics.file)
            }
            error => error.to_string(),
        };
        let diagnostics = match &error {
            definitions::Error::Invalid(diagnostics) => serde_json::to_value(diagnostics).ok(),
            _ => None,
        };
        Self(Problem { diagnostics, ..Self::new(status, error.code(), detail).0 })
    }
}

impl From<LetterError> for ErrorResponse {
    fn from(error: LetterError) -> Self {
        let status = match error {
            LetterError::Store(error) => return error.into(),
            LetterError::NotFound => StatusCode::NOT_FOUND,
            LetterError::Resolved
            | LetterError::ForeignQueue(_)
            | LetterError::UnknownOrigin
            | LetterError::NoQueue(_) => StatusCode::CONFLICT,
            LetterError::Unconfirmed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<token_keys::Error> for ErrorResponse {
    fn from(error: token_keys::Error) -> Self {
        let status = match error {
            token_keys::Error::Store(error) => return error.into(),
            token_keys::Error::Pending { .. } => StatusCode::CONFLICT,
            token_keys::Error::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<StoreError> for ErrorResponse {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Invalid(_) => {
                let detail = "a value of the request cannot be stored or searched for: send a shorter one, \
                              without control characters";
                return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail);
            }
            StoreError::Corrupt(why) => return unreadable(&why),
            StoreError::Newer(_) => {
                "a newer version of Snorri wrote the data: send the request to a process of that version"
            }
            StoreError::Exhausted(_) => "the database cancelled the statement: ask for less, or retry later",
            StoreError::Conflict | StoreError::Unavailable(_) => "the database is not available",
        };
        tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    }
}

/// The response to unreadable stored data. Only the logs have the reason.
fn unreadable(why: &str) -> ErrorResponse {
    tracing::error!(why, "stored data is unreadable");
    let detail = "stored data is unreadable; the logs have the reason";
    ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
}

pub(super) fn unauthenticated(detail: &str) -> ErrorResponse {
    ErrorResponse::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

pub(super) async fn not_found() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, "route_not_found", "there is no route with this path")
}

pub(super) async fn method_not_allowed() -> ErrorResponse {
    let detail = "the route does not support this method";
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// The response when a handler panics. Only the logs have the message.
#[expect(clippy::needless_pass_by_value, reason = "the signature of the layer")]
pub(super) fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let message = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message = message.unwrap_or("no message"), "a handler panicked");
    internal().into_response()
}

fn internal() -> ErrorResponse {
    let detail = "internal error; the logs have the reason";
    ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

/// Converts the plain error responses of the layers and of axum into problem details.
pub(super) async fn dress(response: Response) -> Response {
    let status = response.status();
    let is_dressed =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if !(status.is_client_error() || status.is_server_error()) || is_dressed {
        return response;
    }
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ErrorResponse::new(status, "body_too_large", "the body is larger than this route takes")
        }
        StatusCode::GATEWAY_TIMEOUT => {
            ErrorResponse::new(status, "timeout", "the request timed out; it may still take effect")
        }
        StatusCode::NOT_FOUND => not_found().await,
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed().await,
        status if status.is_client_error() => {
            ErrorResponse::new(status, "invalid_request", "the request is not valid")
        }
        _ => internal(),
    };
    let mut dressed = problem.into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        dressed.headers_mut().insert(header::ALLOW, allow.clone());
    }
    dressed
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};

    use super::*;

    async fn decode(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_panic_is_reported_without_its_message() {
        let (status, body) = decode(of_panic(Box::new("secret of the inside"))).await;
        assert_eq!(status, 500);
        assert!(body.contains("\"internal\"") && !body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn a_response_of_a_layer_becomes_a_problem() {
        for (status, code) in [
            (413, "body_too_large"),
            (404, "route_not_found"),
            (405, "method_not_allowed"),
            (504, "timeout"),
            (400, "invalid_request"),
            (500, "internal"),
        ] {
            let plain = Response::builder().status(status).body(Body::from("secret")).expect("a response");
            let (dressed, body) = decode(dress(plain).await).await;
            assert_eq!(dressed, status);
            assert!(body.contains(code) && !body.contains("secret"), "{body}");
        }
        let fine = Response::new(Body::from("text"));
        assert!(dress(fine).await.headers().get(header::CONTENT_TYPE).is_none());
    }
}
