//! One handler for each route of the API.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Api;
use super::dto::{CancelBody, CancelledBody, ListQuery, Page, SagaBody, StartBody, StartedBody};
use super::error::Problem;
use crate::saga::journal::By;
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
