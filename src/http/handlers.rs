//! One handler for each route of the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uuid::Uuid;

use super::Api;
use super::dto::{
    CancelBody, CancelledBody, ListQuery, Page, SagaBody, SignalledBody, StartBody, StartedBody,
};
use super::error::Problem;
use crate::engine::Accepted;
use crate::saga::journal::{Arrival, By, Source};
use crate::saga::{Input, SagaId};

const DEFAULT_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

pub async fn start(
    State(api): State<Api>,
    body: Result<Json<StartBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let started = api.engine.start(body.into()).await?;
    if !started.same_input {
        let detail = format!("saga {} has this business key, and was started with another input", started.id);
        return Err(Problem::new(StatusCode::CONFLICT, "key_in_use", detail));
    }
    let status = if started.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/sagas/{}", started.id))];
    Ok((status, location, Json(StartedBody::from(started))).into_response())
}

pub async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    let invalid = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid_query", detail);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(invalid(&format!("`limit` is a number from 1 to {LARGEST_PAGE}")));
    }
    let filter = query.filter().ok_or_else(|| invalid("`after` is the `next` of the page before"))?;
    Ok(Json(Page::new(&api.engine.list(&filter, limit).await?, limit)))
}

pub async fn show(
    State(api): State<Api>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<SagaBody>, Problem> {
    let Path(id) = id?;
    let view = api.engine.view(SagaId(id)).await?;
    view.and_then(SagaBody::new).map(Json).ok_or_else(Problem::saga_not_found)
}

pub async fn cancel(
    State(api): State<Api>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Json<CancelBody>, JsonRejection>,
) -> Result<Json<CancelledBody>, Problem> {
    let (Path(id), Json(CancelBody { actor, reason })) = (id?, body?);
    let id = SagaId(id);
    let accepted = api.engine.submit(id, Input::Cancel(By { actor, reason })).await?;
    Ok(Json(CancelledBody { id, status: accepted.status }))
}

/// `Idempotency-Key` tells a repetition.
pub async fn signal(
    State(api): State<Api>,
    path: Result<Path<(Uuid, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Problem> {
    let (Path((id, name)), Json(body)) = (path?, body?);
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let arrival = Arrival { source: Source::Signal(name.into()), id: key, body };
    let Accepted { seq, status } = api.engine.submit(SagaId(id), Input::Arrival(Arc::new(arrival))).await?;
    Ok((StatusCode::ACCEPTED, Json(SignalledBody { seq, status })).into_response())
}
