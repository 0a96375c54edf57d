//! Starting, finding and reading sagas.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::dto::convert;
use crate::http::extract::{Json, Paged, Path, Query, idempotency_key, limit};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::problem::ErrorResponse;
use crate::http::roles::{Operator, Viewer};
use crate::http::routes::{Group, needs};
use snorri_api::journal::{JournalPage, JournalQuery};
use snorri_api::sagas::{
    Counts, GetQuery, Include, PageQuery, Saga, SagaPage, SagaQuery, StartRequest, Started,
};
use snorri_core::SagaId;

const DEFAULT_ENTRIES: u32 = 100;

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Operator>(routes!(start_saga)))
        .route(needs::<Viewer>(routes!(list_sagas)))
        .route(needs::<Viewer>(routes!(count_sagas)))
        .route(needs::<Viewer>(routes!(get_saga)))
        .route(needs::<Viewer>(routes!(get_journal)))
}

/// Start a saga
///
/// Starts one saga for each business key: a second start with the same input returns the existing saga. If the definition has
/// no key, `Idempotency-Key` has the same effect.
#[utoipa::path(post, path = "/v1/sagas", tag = "sagas", request_body = StartRequest, params(
    ("idempotency-key" = Option<String>, Header, description = "Identifies repeated requests, from 1 to 255 characters",
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$")
), responses(
    (status = 201, description = "Started", body = Started, headers(("location" = String, description = "The path of the saga"))),
    (status = 200, description = "Started by an earlier request with the same input", body = Started,
        headers(("location" = String, description = "The path of the saga"))),
    NotFound, Conflict
))]
async fn start_saga(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<StartRequest>,
) -> Result<Response, ErrorResponse> {
    let started = super::start(&api, body, idempotency_key(&headers)?).await?;
    let status = if started.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/sagas/{}", started.id))];
    Ok((status, location, Json(convert::started(started))).into_response())
}

/// List sagas, newest first
#[utoipa::path(get, path = "/v1/sagas", tag = "sagas", params(SagaQuery, PageQuery), responses(
    (status = 200, description = "A page of sagas", body = SagaPage)
))]
async fn list_sagas(
    State(api): State<Api>,
    Paged(query, page): Paged<SagaQuery>,
) -> Result<Json<SagaPage>, ErrorResponse> {
    let limit = limit(page.limit)?;
    let query = convert::query(&query, page.after.as_deref())?;
    Ok(Json(convert::saga_page(&api.engine.queries.search(&query, limit).await?)))
}

/// Count sagas
///
/// Counts sagas by definition, version and status. With very many sagas, the numbers may be some seconds old.
#[utoipa::path(get, path = "/v1/sagas/counts", tag = "sagas", responses(
    (status = 200, description = "The numbers above zero", body = Counts)
))]
async fn count_sagas(State(api): State<Api>) -> Result<Json<Counts>, ErrorResponse> {
    let counts = api.engine.queries.counts().await?;
    Ok(Json(Counts { counts: counts.iter().map(convert::count).collect() }))
}

/// Get a saga
#[utoipa::path(get, path = "/v1/sagas/{id}", tag = "sagas",
    params(("id" = Uuid, Path, description = "The id of the saga"), GetQuery), responses(
    (status = 200, description = "The saga", body = Saga,
        headers(("etag" = String, description = "The `seq` of the saga, for `If-Match`"))),
    NotFound
))]
async fn get_saga(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(query): Query<GetQuery>,
) -> Result<Response, ErrorResponse> {
    let convert = match query.include {
        Some(Include::Payloads) => convert::saga_with_payloads,
        None => convert::saga,
    };
    super::saga_as(&api, SagaId(id), convert).await.map(super::tagged)
}

/// Get the journal of a saga
#[utoipa::path(get, path = "/v1/sagas/{id}/journal", tag = "sagas",
    params(("id" = Uuid, Path, description = "The id of the saga"), JournalQuery), responses(
    (status = 200, description = "The entries, in order", body = JournalPage),
    NotFound
))]
async fn get_journal(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(query): Query<JournalQuery>,
) -> Result<Json<JournalPage>, ErrorResponse> {
    let limit = limit(query.limit.or(Some(DEFAULT_ENTRIES)))?;
    let after = query.after.unwrap_or_default();
    api.engine.queries.row(SagaId(id)).await?.ok_or_else(ErrorResponse::saga_not_found)?;
    let entries = api.engine.queries.journal(SagaId(id), after, limit).await?;
    let next = entries.last().map(|last| last.seq).filter(|_| entries.len() >= limit as usize);
    let entries = entries.iter().map(|appended| convert::journal_entry(appended.seq, &appended.entry));
    Ok(Json(JournalPage { entries: entries.collect(), next }))
}
