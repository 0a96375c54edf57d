//! Starting sagas, and looking at them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::journal::{JournalPage, JournalQuery};
use crate::api::problem::Problem;
use crate::api::sagas::{
    Counts, GetQuery, Include, PageQuery, Saga, SagaPage, SagaQuery, StartRequest, Started,
};
use crate::http::extract::{Json, Paged, Path, Query, idempotency_key, limit};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::roles::{Operator, Viewer};
use crate::http::routes::{Group, needs};
use crate::http::{Api, convert};
use crate::saga::SagaId;

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
/// Once for each business key: the second start with the same input is answered with the saga that there is. Where the definition
/// makes no key, an `Idempotency-Key` does the same.
#[utoipa::path(post, path = "/v1/sagas", tag = "sagas", request_body = StartRequest, params(
    ("idempotency-key" = Option<String>, Header, description = "Tells a repetition, from 1 to 255 characters",
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$")
), responses(
    (status = 201, description = "Started", body = Started, headers(("location" = String, description = "The saga"))),
    (status = 200, description = "Started before, with the same input", body = Started,
        headers(("location" = String, description = "The saga"))),
    NotFound, Conflict
))]
async fn start_saga(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<StartRequest>,
) -> Result<Response, Problem> {
    let started = super::start(&api, body, idempotency_key(&headers)?).await?;
    let status = if started.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/sagas/{}", started.id))];
    Ok((status, location, Json(Started::from(started))).into_response())
}

/// List sagas, newest first
#[utoipa::path(get, path = "/v1/sagas", tag = "sagas", params(SagaQuery, PageQuery), responses(
    (status = 200, description = "A page of sagas", body = SagaPage)
))]
async fn list_sagas(
    State(api): State<Api>,
    Paged(query, page): Paged<SagaQuery>,
) -> Result<Json<SagaPage>, Problem> {
    let limit = limit(page.limit)?;
    let query = convert::query(&query, page.after.as_deref())?;
    Ok(Json(convert::saga_page(&api.engine.search(&query, limit).await?)))
}

/// Count sagas
///
/// By definition, version and status. The numbers may be some seconds old where there are very many sagas.
#[utoipa::path(get, path = "/v1/sagas/counts", tag = "sagas", responses(
    (status = 200, description = "Numbers above zero", body = Counts)
))]
async fn count_sagas(State(api): State<Api>) -> Result<Json<Counts>, Problem> {
    let counts = api.engine.counts().await?;
    Ok(Json(Counts { counts: counts.iter().map(convert::count).collect() }))
}

/// Look at a saga
#[utoipa::path(get, path = "/v1/sagas/{id}", tag = "sagas",
    params(("id" = Uuid, Path, description = "The saga"), GetQuery), responses(
    (status = 200, description = "The saga as it is now", body = Saga,
        headers(("etag" = String, description = "Its `seq`, for `If-Match`"))),
    NotFound
))]
async fn get_saga(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(query): Query<GetQuery>,
) -> Result<Response, Problem> {
    let convert = match query.include {
        Some(Include::Payloads) => convert::saga_with_payloads,
        None => convert::saga,
    };
    super::saga_as(&api, SagaId(id), convert).await.map(super::tagged)
}

/// Read a saga's journal
#[utoipa::path(get, path = "/v1/sagas/{id}/journal", tag = "sagas",
    params(("id" = Uuid, Path, description = "The saga"), JournalQuery), responses(
    (status = 200, description = "Entries in order", body = JournalPage),
    NotFound
))]
async fn get_journal(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(query): Query<JournalQuery>,
) -> Result<Json<JournalPage>, Problem> {
    let limit = limit(query.limit.or(Some(DEFAULT_ENTRIES)))?;
    let after = query.after.unwrap_or_default();
    api.engine.row(SagaId(id)).await?.ok_or_else(Problem::saga_not_found)?;
    let entries = api.engine.journal(SagaId(id), after, limit).await?;
    let next = entries.last().map(|last| last.seq).filter(|_| entries.len() >= limit as usize);
    let entries = entries.iter().map(|appended| convert::journal_entry(appended.seq, &appended.entry));
    Ok(Json(JournalPage { entries: entries.collect(), next }))
}
