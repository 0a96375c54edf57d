//! Starting sagas, looking at them, stopping them, and telling them something.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::interventions::{Intervened, ReasonBody, Signalled};
use crate::api::problem::Problem;
use crate::api::sagas::{
    JournalPage, JournalQuery, PageQuery, Saga, SagaPage, SagaQuery, StartRequest, Started,
};
use crate::engine::Accepted;
use crate::http::extract::{Json, Paged, Path, Query, limit};
use crate::http::openapi::{Conflict, NotFound, TooLarge};
use crate::http::roles::{Operator, Viewer};
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller, convert};
use crate::saga::journal::{Arrival, Source};
use crate::saga::{Input, SagaId};

const DEFAULT_ENTRIES: u32 = 100;

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Operator>(routes!(start_saga)))
        .route(needs::<Viewer>(routes!(list_sagas)))
        .route(needs::<Viewer>(routes!(get_saga)))
        .route(needs::<Viewer>(routes!(get_journal)))
        .route(needs::<Operator>(routes!(cancel_saga)))
        .route(needs::<Operator>(routes!(signal_saga)))
}

/// Start a saga
///
/// Once for each business key: the second start with the same input is answered with the saga that there is.
#[utoipa::path(post, path = "/v1/sagas", tag = "sagas", request_body = StartRequest, responses(
    (status = 201, description = "Started", body = Started, headers(("location" = String, description = "The saga"))),
    (status = 200, description = "Started before, with the same input", body = Started,
        headers(("location" = String, description = "The saga"))),
    NotFound, Conflict
))]
async fn start_saga(State(api): State<Api>, Json(body): Json<StartRequest>) -> Result<Response, Problem> {
    let started = api.engine.start(body.into()).await?;
    if !started.same_input {
        let detail = format!("saga {} has this business key, and was started with another input", started.id);
        return Err(Problem::new(StatusCode::CONFLICT, "key_in_use", detail));
    }
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
    let filter = convert::filter(&query, &page)?;
    Ok(Json(convert::saga_page(&api.engine.list(&filter, limit).await?, limit)))
}

/// Look at a saga
#[utoipa::path(get, path = "/v1/sagas/{id}", tag = "sagas", params(("id" = Uuid, Path, description = "The saga")), responses(
    (status = 200, description = "The saga as it is now", body = Saga,
        headers(("etag" = String, description = "Its `seq`, for `If-Match`"))),
    NotFound
))]
async fn get_saga(State(api): State<Api>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let saga = view(&api, SagaId(id)).await?;
    Ok(([(header::ETAG, format!("\"{}\"", saga.seq))], Json(saga)).into_response())
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
    let view = api.engine.view(SagaId(id)).await?.ok_or_else(Problem::saga_not_found)?;
    let later = (1..).zip(&view.journal).filter(|(seq, _)| *seq > after);
    let entries: Vec<_> =
        later.take(limit as usize).map(|(seq, entry)| convert::journal_entry(seq, entry)).collect();
    let next = entries.last().map(|entry| entry.seq).filter(|last| *last < view.state.seq);
    Ok(Json(JournalPage { entries, next }))
}

/// Cancel a saga
///
/// It rolls back, if there is still a way back.
#[utoipa::path(post, path = "/v1/sagas/{id}/cancel", tag = "interventions",
    params(("id" = Uuid, Path, description = "The saga")), request_body = ReasonBody, responses(
    (status = 200, description = "What it led to", body = Intervened),
    NotFound, Conflict
))]
async fn cancel_saga(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<Intervened>, Problem> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    let Accepted { seq, status } = api.engine.submit(SagaId(id), Input::Cancel(by)).await?;
    let saga = view(&api, SagaId(id)).await?;
    Ok(Json(Intervened { preview: false, seq, status, sends: Vec::new(), saga }))
}

/// Give a saga a signal
///
/// The body is what the signal carries. `Idempotency-Key` tells a repetition.
#[utoipa::path(post, path = "/v1/sagas/{id}/signals/{name}", tag = "interventions", params(
    ("id" = Uuid, Path, description = "The saga"),
    ("name" = String, Path, description = "The signal"),
    ("idempotency-key" = Option<String>, Header, description = "Tells a repetition")
), request_body(content = Value, description = "What the signal carries"), responses(
    (status = 202, description = "Taken in", body = Signalled),
    NotFound, Conflict, TooLarge
))]
async fn signal_saga(
    State(api): State<Api>,
    Path((id, name)): Path<(Uuid, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Signalled>), Problem> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let arrival = Arrival { source: Source::Signal(name.into()), id: key, body };
    let Accepted { seq, status } = api.engine.submit(SagaId(id), Input::Arrival(Arc::new(arrival))).await?;
    Ok((StatusCode::ACCEPTED, Json(Signalled { seq, status })))
}

async fn view(api: &Api, id: SagaId) -> Result<Saga, Problem> {
    let view = api.engine.view(id).await?;
    view.as_ref().and_then(convert::saga).ok_or_else(Problem::saga_not_found)
}
