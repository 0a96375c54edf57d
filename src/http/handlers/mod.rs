//! One handler for each route, one file for each kind of thing that routes are about.

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

use super::extract::Json;
use super::routes::Group;
use super::{Api, convert, convert_records};
use crate::api::problem::Problem;
use crate::api::sagas::{Saga, StartRequest};
use crate::engine::Started;
use crate::engine::operator::Terms;
use crate::engine::view::{LetterFilter, SagaView};
use crate::saga::SagaId;

/// Most dead letters that a saga names.
const MOST_LETTERS: u32 = 20;

/// All routes but those of the health.
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

/// Starts a saga. What was started before with the same input is as good.
async fn start(
    api: &Api,
    request: StartRequest,
    idempotency_key: Option<String>,
) -> Result<Started, Problem> {
    let started = api.engine.start_on(Terms::of_request(), convert::start(request, idempotency_key)).await?;
    match started.conflict("`Idempotency-Key`") {
        None => Ok(started),
        Some(detail) => Err(Problem::new(StatusCode::CONFLICT, "key_in_use", detail)),
    }
}

async fn saga_of(api: &Api, id: SagaId) -> Result<Saga, Problem> {
    saga_as(api, id, convert::saga).await
}

/// A saga as `convert` shows it, with the dead letters that are about it.
async fn saga_as(
    api: &Api,
    id: SagaId,
    convert: impl FnOnce(&SagaView) -> Option<Saga>,
) -> Result<Saga, Problem> {
    let view = api.engine.view(id).await?;
    let mut saga = view.as_ref().and_then(convert).ok_or_else(Problem::saga_not_found)?;
    let filter = LetterFilter { saga: Some(id), ..LetterFilter::default() };
    let letters = api.engine.dead_letters(&filter, MOST_LETTERS).await?;
    saga.dead_letters = letters.iter().map(convert_records::dead_letter_link).collect();
    Ok(saga)
}

/// With what `If-Match` asks for.
fn tagged(saga: Saga) -> Response {
    ([(header::ETAG, format!("\"{}\"", saga.seq))], Json(saga)).into_response()
}

/// What is asked every few seconds, and must be answered also when nothing else is.
pub(super) fn health() -> Group {
    process::health()
}

pub(super) use process::starting;
