//! Dead letters and the audit log.

use axum::extract::State;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::Caller;
use crate::http::dto::convert;
use crate::http::dto::convert_records;
use crate::http::extract::{Json, Paged, Path, limit};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::problem::ErrorResponse;
use crate::http::roles::{Operator, Viewer};
use crate::http::routes::{Group, needs};
use snorri_api::interventions::ReasonBody;
use snorri_api::records::{AuditPage, AuditQuery, DeadLetter, DeadLetterPage, DeadLetterQuery};
use snorri_api::sagas::PageQuery;
use snorri_core::SagaId;
use snorri_engine::queries::view::{AuditFilter, LetterFilter};

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Viewer>(routes!(list_dead_letters)))
        .route(needs::<Viewer>(routes!(get_dead_letter)))
        .route(needs::<Operator>(routes!(replay_dead_letter)))
        .route(needs::<Operator>(routes!(discard_dead_letter)))
        .route(needs::<Viewer>(routes!(list_audit)))
}

/// List dead letters, newest first
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(DeadLetterQuery, PageQuery), responses(
    (status = 200, description = "A page of dead letters", body = DeadLetterPage)
))]
async fn list_dead_letters(
    State(api): State<Api>,
    Paged(query, page): Paged<DeadLetterQuery>,
) -> Result<Json<DeadLetterPage>, ErrorResponse> {
    let limit = limit(page.limit)?;
    let filter = LetterFilter {
        saga: query.saga.map(SagaId),
        queue: query.queue,
        code: query.code,
        resolved: query.resolved,
        after: convert::position(page.after.as_deref())?,
    };
    let letters = api.engine.queries.dead_letters(&filter, limit).await?;
    let last = letters.last().map(|letter| (letter.at, letter.id));
    let next = convert::next(last, letters.len(), limit);
    Ok(Json(DeadLetterPage {
        dead_letters: letters.iter().map(convert_records::dead_letter).collect(),
        next,
    }))
}

/// Get a dead letter
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The id of the dead letter")), responses(
    (status = 200, description = "The dead letter", body = DeadLetter),
    NotFound
))]
async fn get_dead_letter(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
) -> Result<Json<DeadLetter>, ErrorResponse> {
    Ok(Json(convert_records::dead_letter(&api.engine.dead_letters.find(id).await?)))
}

/// Replay a dead letter
///
/// Publishes the message to the queue from which it was consumed, and resolves the dead letter. If the process dies in between,
/// the message is published and the dead letter is still unresolved.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/replay", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The id of the dead letter")), request_body = ReasonBody, responses(
    (status = 200, description = "The resolved dead letter", body = DeadLetter),
    NotFound, Conflict
))]
async fn replay_dead_letter(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<DeadLetter>, ErrorResponse> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    Ok(Json(convert_records::dead_letter(&api.engine.dead_letters.replay(id, &by).await?)))
}

/// Discard a dead letter
///
/// The dead letter is kept, but listed only with `resolved=true`.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/discard", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The id of the dead letter")), request_body = ReasonBody, responses(
    (status = 200, description = "The resolved dead letter", body = DeadLetter),
    NotFound, Conflict
))]
async fn discard_dead_letter(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<DeadLetter>, ErrorResponse> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    Ok(Json(convert_records::dead_letter(&api.engine.dead_letters.discard(id, &by).await?)))
}

/// List the audit log, newest first
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery, PageQuery), responses(
    (status = 200, description = "A page of the audit log", body = AuditPage)
))]
async fn list_audit(
    State(api): State<Api>,
    Paged(query, page): Paged<AuditQuery>,
) -> Result<Json<AuditPage>, ErrorResponse> {
    let limit = limit(page.limit)?;
    let filter = AuditFilter {
        saga: query.saga.map(SagaId),
        actor: query.actor,
        action: query.action,
        after: convert::position(page.after.as_deref())?,
    };
    let entries = api.engine.queries.audit(&filter, limit).await?;
    let last = entries.last().map(|entry| (entry.at, entry.id));
    let next = convert::next(last, entries.len(), limit);
    Ok(Json(AuditPage { entries: entries.into_iter().map(convert_records::audit_entry).collect(), next }))
}
