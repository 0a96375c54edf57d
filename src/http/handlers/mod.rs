//! The handlers: one for each route, one file for each kind of resource.

mod bulk;
mod definitions;
mod interventions;
mod live;
mod process;
mod records;
mod sagas;
mod token_keys;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::extract::Json;
use super::routes::Group;
use crate::http::dto::convert;
use crate::http::dto::convert_records;
use crate::http::problem::ErrorResponse;
use snorri_api::sagas::{Saga, StartRequest};
use snorri_core::SagaId;
use snorri_engine::queries::view::{LetterFilter, SagaView};
use snorri_engine::{Started, SubmitOptions};

/// Maximum number of dead letters of a saga in a response.
const MOST_LETTERS: u32 = 20;

/// All routes except those of health.
pub(super) fn all() -> Group {
    sagas::routes()
        .and(live::routes())
        .and(interventions::routes())
        .and(bulk::routes())
        .and(definitions::routes())
        .and(records::routes())
        .and(token_keys::routes())
        .and(process::routes())
}

/// Starts a saga, or returns the saga that an earlier request with the same input started.
async fn start(
    api: &Api,
    request: StartRequest,
    idempotency_key: Option<String>,
) -> Result<Started, ErrorResponse> {
    let started = api
        .engine
        .starter
        .start_on(SubmitOptions::of_request(), convert::start(request, idempotency_key))
        .await?;
    match started.conflict("`Idempotency-Key`") {
        None => Ok(started),
        Some(detail) => Err(ErrorResponse::new(StatusCode::CONFLICT, "key_in_use", detail)),
    }
}

async fn saga_of(api: &Api, id: SagaId) -> Result<Saga, ErrorResponse> {
    saga_as(api, id, convert::saga).await
}

/// A saga as `convert` renders it, with its dead letters.
async fn saga_as(
    api: &Api,
    id: SagaId,
    convert: impl FnOnce(&SagaView) -> Option<Saga>,
) -> Result<Saga, ErrorResponse> {
    let view = api.engine.queries.view(id).await?;
    let mut saga = view.as_ref().and_then(convert).ok_or_else(ErrorResponse::saga_not_found)?;
    let filter = LetterFilter { saga: Some(id), ..LetterFilter::default() };
    let letters = api.engine.queries.dead_letters(&filter, MOST_LETTERS).await?;
    saga.dead_letters = letters.iter().map(convert_records::dead_letter_link).collect();
    Ok(saga)
}

/// A response with the `ETag` for `If-Match`.
fn tagged(saga: Saga) -> Response {
    ([(header::ETAG, format!("\"{}\"", saga.seq))], Json(saga)).into_response()
}

/// The health routes: probes call them every few seconds, and they must answer even under overload.
pub(super) fn health() -> Group {
    process::health()
}

pub(super) use process::starting;
