//! Axum's extractors, with problem details for what they refuse. Handlers take these only.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::de::DeserializeOwned;

use crate::api::problem::Problem;
use crate::api::sagas::PageQuery;

/// Items on a page, if nothing else is said.
pub const DEFAULT_PAGE: u32 = 50;
pub const LARGEST_PAGE: u32 = 500;

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// A query with a page: `T` and [`PageQuery`] in one query string.
#[derive(Debug)]
pub struct Paged<T>(pub T, pub PageQuery);

/// What the path names.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = axum::Json::<T>::from_request(request, state).await;
        body.map(|axum::Json(body)| Self(body)).map_err(|rejection| {
            let status = rejection.status();
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    Problem::new(status, "body_too_large", "the body is larger than this route takes")
                }
                StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                    Problem::new(status, "unsupported_media_type", "the body is `application/json`")
                }
                _ => Problem::new(status, "invalid_body", rejection.body_text()),
            }
        })
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
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default().split('&')).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Paged<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let is_page = |pair: &&str| ["limit", "after"].contains(&pair.split('=').next().unwrap_or_default());
        let (page, rest): (Vec<_>, Vec<_>) = query.split('&').partition(is_page);
        Ok(Self(parse(rest.into_iter())?, parse(page.into_iter())?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_path", "an id is a UUID, and a version a number")
        })
    }
}

fn parse<'a, T: DeserializeOwned>(pairs: impl Iterator<Item = &'a str>) -> Result<T, Problem> {
    let uri: Uri = format!("/?{}", pairs.collect::<Vec<_>>().join("&"))
        .parse()
        .map_err(|_| Problem::invalid_query("the query is not one"))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(query)| query)
        .map_err(|rejection| Problem::invalid_query(rejection.body_text()))
}

/// How many items a page may have.
pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(DEFAULT_PAGE);
    match (1..=LARGEST_PAGE).contains(&limit) {
        true => Ok(limit),
        false => Err(Problem::invalid_query(format!("`limit` is a number from 1 to {LARGEST_PAGE}"))),
    }
}

/// The `seq` that `If-Match` asks for, if it does: an `ETag` as it was given, or `*` for any.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let seq = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).parse();
    seq.map(Some).map_err(|_| invalid_header("`If-Match` is the `ETag` of the saga, a number in quotes"))
}

/// What tells a repetition of a request.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const LONGEST: usize = 255;
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=LONGEST).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(invalid_header("`Idempotency-Key` has from 1 to 255 visible ASCII characters")),
    }
}

fn invalid_header(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_header", detail)
}
