//! What is kept beside the sagas: dead letters and the audit.

use axum::extract::State;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::interventions::ReasonBody;
use crate::api::problem::Problem;
use crate::api::records::{AuditPage, AuditQuery, DeadLetter, DeadLetterPage, DeadLetterQuery};
use crate::api::sagas::PageQuery;
use crate::engine::view::{AuditFilter, LetterFilter};
use crate::http::extract::{Json, Paged, Path, limit};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::roles::{Operator, Viewer};
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller, convert, convert_records};
use crate::saga::SagaId;

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
) -> Result<Json<DeadLetterPage>, Problem> {
    let limit = limit(page.limit)?;
    let filter = LetterFilter {
        saga: query.saga.map(SagaId),
        queue: query.queue,
        code: query.code,
        resolved: query.resolved,
        after: convert::position(page.after.as_deref())?,
    };
    let letters = api.engine.dead_letters(&filter, limit).await?;
    let last = letters.last().map(|letter| (letter.at, letter.id));
    let next = convert::next(last, letters.len(), limit);
    Ok(Json(DeadLetterPage {
        dead_letters: letters.iter().map(convert_records::dead_letter).collect(),
        next,
    }))
}

/// Look at a dead letter
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter")), responses(
    (status = 200, description = "The dead letter", body = DeadLetter),
    NotFound
))]
async fn get_dead_letter(State(api): State<Api>, Path(id): Path<Uuid>) -> Result<Json<DeadLetter>, Problem> {
    Ok(Json(convert_records::dead_letter(&api.engine.dead_letter(id).await?)))
}

/// Replay a dead letter
///
/// It goes back to the queue that it was taken from. If the process dies in between, it may be there and still be listed.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/replay", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter")), request_body = ReasonBody, responses(
    (status = 200, description = "The dead letter, dealt with", body = DeadLetter),
    NotFound, Conflict
))]
async fn replay_dead_letter(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<DeadLetter>, Problem> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    Ok(Json(convert_records::dead_letter(&api.engine.replay_letter(id, &by).await?)))
}

/// Discard a dead letter
///
/// It is kept, and not listed any more.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/discard", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter")), request_body = ReasonBody, responses(
    (status = 200, description = "The dead letter, dealt with", body = DeadLetter),
    NotFound, Conflict
))]
async fn discard_dead_letter(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<DeadLetter>, Problem> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    Ok(Json(convert_records::dead_letter(&api.engine.discard_letter(id, &by).await?)))
}

/// List what was changed by hand, newest first
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery, PageQuery), responses(
    (status = 200, description = "A page of the audit", body = AuditPage)
))]
async fn list_audit(
    State(api): State<Api>,
    Paged(query, page): Paged<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = limit(page.limit)?;
    let filter = AuditFilter {
        saga: query.saga.map(SagaId),
        actor: query.actor,
        action: query.action,
        after: convert::position(page.after.as_deref())?,
    };
    let entries = api.engine.audit(&filter, limit).await?;
    let last = entries.last().map(|entry| (entry.at, entry.id));
    let next = convert::next(last, entries.len(), limit);
    Ok(Json(AuditPage { entries: entries.into_iter().map(convert_records::audit_entry).collect(), next }))
}
