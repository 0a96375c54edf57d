//! Axum extractors that reject requests with problem details. Handlers use only these.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::problem::ErrorResponse;
use snorri_api::sagas::PageQuery;
use snorri_core::PAYLOAD_LIMITS;
use snorri_core::json::{self, Limits};

/// The nesting depth of a body around its payload.
const WRAPPING: usize = 4;
/// Limits of a body. Its payload has its own limits, [`PAYLOAD_LIMITS`].
const BODY_LIMITS: Limits = Limits { bytes: usize::MAX, depth: PAYLOAD_LIMITS.depth + WRAPPING };

/// Default number of items on a page.
pub const DEFAULT_PAGE: u32 = 50;
pub const LARGEST_PAGE: u32 = 500;
/// Maximum number of digits of the number of a journal entry in a header.
const MOST_DIGITS: usize = 9;

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// An optional JSON body. Null if absent.
#[derive(Debug)]
pub struct OptionalJson(pub Value);

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// A query with a page: `T` and [`PageQuery`] in one query string.
#[derive(Debug)]
pub struct Paged<T>(pub T, pub PageQuery);

/// The parameters of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Serialize> FromRequest<S> for Json<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        if !is_json(request.headers()) {
            return Err(unsupported("application/json"));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| unread(rejection.status()))?;
        read(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJson {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let is_json = is_json(request.headers());
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| unread(rejection.status()))?;
        match bytes.is_empty() {
            true => Ok(Self(Value::Null)),
            false if is_json => read(&bytes).map(Self),
            false => Err(unsupported("application/json")),
        }
    }
}

/// Decodes a JSON body, or a line of one.
pub fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, ErrorResponse> {
    let written = json::read(bytes, BODY_LIMITS)?;
    let body = T::deserialize(&written).map_err(|error| ErrorResponse::invalid_body(error.to_string()))?;
    if bytes.contains(&b'[') && !is_of_the_shape(&written, &body) {
        return Err(ErrorResponse::invalid_body("the body has a list in the place of an object"));
    }
    Ok(body)
}

/// Rejects a payload, at this JSON Pointer of the body, that exceeds the limits of stored payloads.
pub fn check_payload(pointer: &str, value: &Value) -> Result<(), ErrorResponse> {
    json::check(value, PAYLOAD_LIMITS)
        .map_err(|error| json::Error { path: format!("{pointer}{}", error.path), ..error }.into())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = content_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The media type of the body, without its parameters.
pub fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub fn unsupported(wanted: &str) -> ErrorResponse {
    let detail = format!("the content type of the body must be `{wanted}`");
    ErrorResponse::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn unread(status: StatusCode) -> ErrorResponse {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ErrorResponse::new(status, "body_too_large", "the body exceeds the limit of this route")
        }
        _ => ErrorResponse::new(StatusCode::BAD_REQUEST, "invalid_body", "the body is incomplete"),
    }
}

/// Whether the decoded value has the shape of the encoded one: serde also accepts a list of values for an object, in which a
/// mistake would go unnoticed because no field is named.
fn is_of_the_shape(written: &Value, read: &impl Serialize) -> bool {
    serde_json::to_value(read).is_ok_and(|read| same_shape(written, &read))
}

fn same_shape(written: &Value, read: &Value) -> bool {
    match (written, read) {
        (Value::Array(_), Value::Object(_)) => false,
        (Value::Array(written), Value::Array(read)) => {
            written.iter().zip(read).all(|(written, read)| same_shape(written, read))
        }
        (Value::Object(written), Value::Object(read)) => {
            written.iter().all(|(name, written)| read.get(name).is_none_or(|read| same_shape(written, read)))
        }
        _ => true,
    }
}

impl<T> axum::response::IntoResponse for Json<T>
where
    axum::Json<T>: axum::response::IntoResponse,
{
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        parse(parts.uri.query().unwrap_or_default().split('&')).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Paged<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        let query = parts.uri.query().unwrap_or_default();
        let is_page = |pair: &&str| ["limit", "after"].contains(&pair.split('=').next().unwrap_or_default());
        let (page, rest): (Vec<_>, Vec<_>) = query.split('&').partition(is_page);
        Ok(Self(parse(rest.into_iter())?, parse(page.into_iter())?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| {
            ErrorResponse::new(
                StatusCode::BAD_REQUEST,
                "invalid_path",
                "an id must be a UUID, and a version a number",
            )
        })
    }
}

fn parse<'a, T: DeserializeOwned>(pairs: impl Iterator<Item = &'a str>) -> Result<T, ErrorResponse> {
    let uri: Uri = format!("/?{}", pairs.collect::<Vec<_>>().join("&"))
        .parse()
        .map_err(|_| ErrorResponse::invalid_query("the query string is not valid"))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(query)| query)
        .map_err(|rejection| ErrorResponse::invalid_query(rejection.body_text()))
}

/// Validates the maximum number of items on a page.
pub fn limit(asked: Option<u32>) -> Result<u32, ErrorResponse> {
    let limit = asked.unwrap_or(DEFAULT_PAGE);
    match (1..=LARGEST_PAGE).contains(&limit) {
        true => Ok(limit),
        false => {
            Err(ErrorResponse::invalid_query(format!("`limit` must be a number from 1 to {LARGEST_PAGE}")))
        }
    }
}

/// The `seq` that `If-Match` requires, if any: an `ETag`, or `*` for any state.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u32>, ErrorResponse> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let seq = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(number);
    seq.map(Some).ok_or_else(|| invalid_header("`If-Match` must be the `ETag` of the saga, in quotes"))
}

/// The number of the last entry that a client of a stream received: the id of its event.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<u32>, ErrorResponse> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let seq = value.to_str().ok().and_then(number);
    seq.map(Some).ok_or_else(|| invalid_header("`Last-Event-ID` must be the id of an event of this stream"))
}

/// Parses a number in its documented form.
fn number(text: &str) -> Option<u32> {
    let is_short = (1..=MOST_DIGITS).contains(&text.len());
    (is_short && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The key that identifies repeated requests.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ErrorResponse> {
    const LONGEST: usize = 255;
    let visible = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=LONGEST).contains(&text.len()) && visible(text) => Ok(Some(text.to_owned())),
        _ => Err(invalid_header("`Idempotency-Key` must have from 1 to 255 visible ASCII characters")),
    }
}

fn invalid_header(detail: &str) -> ErrorResponse {
    ErrorResponse::new(StatusCode::BAD_REQUEST, "invalid_header", detail)
}
