//! What is answered when something is wrong: problem details (RFC 9457) with a stable code.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::problem::{At, Problem};
use crate::engine::dead_letters::LetterError;
use crate::engine::operator::Refusal;
use crate::engine::{StartError, StoreError, SubmitError, definitions, token_keys};
use crate::json;
use crate::saga::Ignored;

pub const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:snorri:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            diagnostics: None,
        }
    }

    /// Also about this place in the request's body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(At { pointer: pointer.into(), detail: detail.into() });
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StartError> for Problem {
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
                let at = |error: crate::catalog::InvalidInput| At {
                    pointer: format!("/input{}", error.path),
                    detail: error.message,
                };
                let detail = "the input does not match the definition's schema";
                Self { errors: errors.into_iter().map(at).collect(), ..Self::new(status, code, detail) }
            }
            StartError::InputRefused(error) => {
                let pointer = format!("/input{}", error.path);
                Self::new(status, code, "the input is refused").at(pointer, error.reason.to_string())
            }
            error => Self::new(status, code, error.to_string()),
        }
    }
}

/// A JSON body that is refused.
impl From<json::Error> for Problem {
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

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Ignored(Ignored::UnknownSaga) => Self::saga_not_found(),
            SubmitError::Ignored(ignored) => {
                Self::new(StatusCode::CONFLICT, ignored.code(), ignored.to_string())
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

impl From<Refusal> for Problem {
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

impl From<definitions::Error> for Problem {
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
                format!("{count} mistakes in {}: see `diagnostics`", diagnostics.file)
            }
            error => error.to_string(),
        };
        let diagnostics = match &error {
            definitions::Error::Invalid(diagnostics) => serde_json::to_value(diagnostics).ok(),
            _ => None,
        };
        Self { diagnostics, ..Self::new(status, error.code(), detail) }
    }
}

impl From<LetterError> for Problem {
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

impl From<token_keys::Error> for Problem {
    fn from(error: token_keys::Error) -> Self {
        let status = match error {
            token_keys::Error::Store(error) => return error.into(),
            token_keys::Error::Pending { .. } => StatusCode::CONFLICT,
            token_keys::Error::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Invalid(_) => {
                let detail = "a value of the request cannot be stored or looked up: send one without control \
                              characters, and a shorter one";
                return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail);
            }
            StoreError::Corrupt(why) => return unreadable(&why),
            StoreError::Newer(_) => {
                "it was written by a newer version of this program: ask a process of that version"
            }
            StoreError::Exhausted(_) => "the database gave up on the statement: ask for less, or later",
            StoreError::Conflict | StoreError::Unavailable(_) => "the database is not available",
        };
        tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    }
}

/// What is stored cannot be read. Why is for the logs alone.
fn unreadable(why: &str) -> Problem {
    tracing::error!(why, "what is stored cannot be read");
    let detail = "what is stored cannot be read; the logs say why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
}

pub(super) fn unauthenticated(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
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
    let text = panic.downcast_ref::<&str>().copied();
    let message = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message = message.unwrap_or("no message"), "a handler panicked");
    internal().into_response()
}

fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here")
}

/// The layers and axum itself answer with a status and at most a line of text: that becomes a problem, too.
pub(super) async fn dress(response: Response) -> Response {
    let status = response.status();
    let is_dressed =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if !(status.is_client_error() || status.is_server_error()) || is_dressed {
        return response;
    }
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "body_too_large", "the body is larger than this route takes")
        }
        StatusCode::GATEWAY_TIMEOUT => {
            Problem::new(status, "timeout", "it took too long; what was asked for may happen all the same")
        }
        StatusCode::NOT_FOUND => not_found().await,
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed().await,
        status if status.is_client_error() => {
            Problem::new(status, "invalid_request", "the request is not understood")
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

    async fn told(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_panic_is_told_without_its_words() {
        let (status, body) = told(of_panic(Box::new("secret of the inside"))).await;
        assert_eq!(status, 500);
        assert!(body.contains("\"internal\"") && !body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn what_a_layer_says_becomes_a_problem() {
        for (status, code) in [
            (413, "body_too_large"),
            (404, "route_not_found"),
            (405, "method_not_allowed"),
            (504, "timeout"),
            (400, "invalid_request"),
            (500, "internal"),
        ] {
            let plain = Response::builder().status(status).body(Body::from("secret")).expect("an answer");
            let (dressed, body) = told(dress(plain).await).await;
            assert_eq!(dressed, status);
            assert!(body.contains(code) && !body.contains("secret"), "{body}");
        }
        let fine = Response::new(Body::from("text"));
        assert!(dress(fine).await.headers().get(header::CONTENT_TYPE).is_none());
    }
}
