//! Interventions in one saga. Each has a preview, and can require the state that the caller has read (`If-Match`).

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::Caller;
use crate::http::dto::convert;
use crate::http::extract::{Json, OptionalJson, Path, Query, check_payload, idempotency_key, if_match};
use crate::http::openapi;
use crate::http::openapi::{Changed, Conflict, NotFound, TooLarge};
use crate::http::problem::ErrorResponse;
use crate::http::roles::{Deployer, Operator};
use crate::http::routes::{Group, needs};
use snorri_api::interventions::{
    Intervened, MigrateBody, Migration, PreviewQuery, ReasonBody, Reasoned, ResolveBody, ResolvedAs,
    RestartBody, Restarted, SignalQuery, StepBody,
};
use snorri_core::input::{Intervention, Resolution};
use snorri_core::journal::{By, EventSource, ReceivedEvent};
use snorri_core::{Input, Rejection, SagaId, StepPath};
use snorri_engine::operations::interventions::{self, Refusal};
use snorri_engine::{AuditContext, SubmitError, SubmitOptions};

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Operator>(routes!(cancel_saga)))
        .route(needs::<Operator>(routes!(pause_saga)))
        .route(needs::<Operator>(routes!(resume_saga)))
        .route(needs::<Operator>(routes!(retry_saga)))
        .route(needs::<Operator>(routes!(resolve_saga)))
        .route(needs::<Operator>(routes!(skip_saga)))
        .route(needs::<Operator>(routes!(rollback_saga)))
        .route(needs::<Operator>(routes!(raise_limits)))
        .route(needs::<Operator>(routes!(abandon_saga)))
        .route(needs::<Operator>(routes!(signal_saga)))
        .route(needs::<Operator>(routes!(restart_saga)))
        .route(needs::<Deployer>(routes!(migrate_saga)))
}

/// The path parameter of a saga.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only for the documentation")]
struct SagaPath {
    /// The id of the saga
    id: Uuid,
}

/// The path parameters of a signal.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only for the documentation")]
struct SignalPath {
    /// The id of the saga
    id: Uuid,
    /// The name of the signal
    name: String,
}

/// The precondition of an intervention.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only for the documentation")]
struct IfMatch {
    /// Apply the request only if the saga has this `seq`, in quotes as in its `ETag`
    #[param(rename = "if-match", schema_with = openapi::if_match)]
    if_match: Option<String>,
}

/// Cancel a saga
///
/// The saga rolls back, unless it is past its pivot. While its pivot is in flight, the saga waits for the outcome first.
#[utoipa::path(post, path = "/v1/sagas/{id}/cancel", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn cancel_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.make("cancel", None, Input::Cancel).await
}

/// Pause a saga
///
/// The clock of the saga stops: it sends no messages and its timers do not fire until it is resumed. Messages that arrive
/// meanwhile are kept.
#[utoipa::path(post, path = "/v1/sagas/{id}/pause", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn pause_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.make("pause", None, Input::Pause).await
}

/// Resume a paused saga
///
/// All deadlines and timers are extended by the duration of the pause.
#[utoipa::path(post, path = "/v1/sagas/{id}/resume", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn resume_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.make("resume", None, Input::Resume).await
}

/// Retry held steps
///
/// A retried command has all its attempts again, and keeps its idempotency key.
#[utoipa::path(post, path = "/v1/sagas/{id}/retry", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = StepBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn retry_saga(request: Request<StepBody>) -> Result<Json<Intervened>, ErrorResponse> {
    let step = request.body.step.as_deref().map(path).transpose()?;
    request.intervene(Intervention::Retry { step }).await
}

/// Resolve a held command
///
/// Records the outcome of the command as if its participant had reported it.
#[utoipa::path(post, path = "/v1/sagas/{id}/resolve", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ResolveBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn resolve_saga(request: Request<ResolveBody>) -> Result<Json<Intervened>, ErrorResponse> {
    let outcome = match request.body.outcome {
        ResolvedAs::Succeeded => {
            check_payload("/output", &request.body.output)?;
            Resolution::Succeeded(Arc::new(request.body.output.clone()))
        }
        ResolvedAs::Failed => Resolution::Failed,
    };
    let step = path(&request.body.step)?;
    request.intervene(Intervention::Resolve { step, outcome }).await
}

/// Skip an incident
///
/// The outcome of a held step counts as unknown, and the saga continues without its output. A held compensation counts as done.
#[utoipa::path(post, path = "/v1/sagas/{id}/skip", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = StepBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn skip_saga(request: Request<StepBody>) -> Result<Json<Intervened>, ErrorResponse> {
    let step = request.body.step.as_deref().map(path).transpose()?;
    request.intervene(Intervention::Skip { step }).await
}

/// Roll back a stuck saga
///
/// The saga stops going forward and compensates its completed steps.
#[utoipa::path(post, path = "/v1/sagas/{id}/rollback", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn rollback_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.intervene(Intervention::Rollback).await
}

/// Abandon a stuck saga
///
/// The saga ends in its current state, without further commands or compensations.
#[utoipa::path(post, path = "/v1/sagas/{id}/abandon", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn abandon_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.intervene(Intervention::Abandon).await
}

/// Raise the limits of a saga
///
/// Grants the saga its limits of steps, journal entries, items and bytes of outputs once more. Use `retry` afterwards for steps
/// that were held by a limit.
#[utoipa::path(post, path = "/v1/sagas/{id}/raise-limits", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "The result, or its preview", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn raise_limits(request: Request<ReasonBody>) -> Result<Json<Intervened>, ErrorResponse> {
    request.intervene(Intervention::RaiseLimits).await
}

/// Send a signal to a saga
///
/// The body is the payload of the signal. `Idempotency-Key` identifies repeated requests.
#[utoipa::path(post, path = "/v1/sagas/{id}/signals/{name}", tag = "interventions", params(
    SignalPath, SignalQuery, IfMatch,
    ("idempotency-key" = Option<String>, Header, description = "Identifies repeated requests, from 1 to 255 characters",
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$")
), request_body(content = Option<serde_json::Value>, description = "The payload of the signal. Default: `{}`"), responses(
    (status = 202, description = "Accepted, by this request or an earlier one", body = Intervened),
    (status = 200, description = "The preview", body = Intervened),
    NotFound, Conflict, Changed, TooLarge
))]
async fn signal_saga(
    State(api): State<Api>,
    caller: Caller,
    Path((id, name)): Path<(Uuid, String)>,
    Query(query): Query<SignalQuery>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson,
) -> Result<Response, ErrorResponse> {
    check_payload("", &body)?;
    let reason = query.reason.unwrap_or_else(|| format!("signal {name}"));
    let call = Request {
        saga: SagaId(id),
        by: caller.by(&reason, query.actor.as_deref())?,
        is_preview: query.preview,
        expected: if_match(&headers)?,
        body: (),
        api,
    };
    let api = call.api.clone();
    let arrival = ReceivedEvent::new(EventSource::Signal(name.into()), idempotency_key(&headers)?, body);
    match call.decide("signal", None, |_| Input::Event(Arc::new(arrival))).await {
        Ok(signalled) if query.preview => Ok(Json(signalled).into_response()),
        Ok(signalled) => Ok((StatusCode::ACCEPTED, Json(signalled)).into_response()),
        Err(Refusal::Submit(SubmitError::Rejected(Rejection::Duplicate))) => {
            let saga = super::saga_of(&api, SagaId(id)).await?;
            let before = Intervened {
                preview: query.preview,
                seq: saga.seq,
                status: saga.status,
                messages: Vec::new(),
                saga,
            };
            Ok((StatusCode::ACCEPTED, Json(before)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Restart an ended saga
///
/// Starts a new saga that continues an ended one at a step, with the outputs of the steps before it. The new saga is then
/// responsible for their compensation. If that step or later ones completed and were not compensated, the request must set
/// `repeat_completed`.
#[utoipa::path(post, path = "/v1/sagas/{id}/restart", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch), request_body = RestartBody, responses(
    (status = 201, description = "Started", body = Restarted, headers(("location" = String, description = "The path of the saga"))),
    (status = 200, description = "Started by an earlier identical request, or the preview", body = Restarted),
    NotFound, Conflict, Changed
))]
async fn restart_saga(request: Request<RestartBody>) -> Result<Response, ErrorResponse> {
    let Request { api, saga, by, is_preview, expected, body } = request;
    let audit = AuditContext { action: "restart", step: body.from.parse().ok(), by };
    let options =
        SubmitOptions { expected, audit: (!is_preview).then_some(audit), ..SubmitOptions::of_request() };
    let restarted =
        api.engine.interventions.restart(saga, &body.from, body.repeat_completed, options).await?;
    let interventions::Restarted { preview, is_new, repeated } = restarted;
    let id = preview.decision.state.id.0;
    let restarted = Restarted {
        id,
        created: is_new,
        repeats: repeated.iter().map(ToString::to_string).collect(),
        begun: convert::intervened(&preview, is_preview)?,
    };
    if is_preview || !is_new {
        return Ok(Json(restarted).into_response());
    }
    let location = [(header::LOCATION, format!("/v1/sagas/{id}"))];
    Ok((StatusCode::CREATED, location, Json(restarted)).into_response())
}

/// Migrate a saga to another version
///
/// Migrates the saga if that is safe. Otherwise the response lists the reasons in `blocked`, and nothing changes.
#[utoipa::path(post, path = "/v1/sagas/{id}/migrate", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = MigrateBody, responses(
    (status = 200, description = "Whether the migration is safe, and its result", body = Migration),
    NotFound, Conflict, Changed
))]
async fn migrate_saga(request: Request<MigrateBody>) -> Result<Json<Migration>, ErrorResponse> {
    let Request { api, saga, by, is_preview, expected, body } = request;
    let migration = api.engine.interventions.migrate(saga, body.version, by, expected, is_preview).await?;
    Ok(Json(convert::migration(migration, is_preview)))
}

/// A requested intervention.
struct Request<B> {
    api: Api,
    saga: SagaId,
    by: By,
    is_preview: bool,
    /// The required `seq` of the saga.
    expected: Option<u32>,
    body: B,
}

/// How often a decision is repeated because the saga changed in between.
const TRIES: u32 = 10;

impl<B> Request<B> {
    async fn intervene(self, action: Intervention) -> Result<Json<Intervened>, ErrorResponse> {
        let (name, step) = (action.kind().as_str(), action.step().cloned());
        self.make(name, step, |by| Input::Intervene { action, by }).await
    }

    async fn make(
        self,
        action: &'static str,
        step: Option<StepPath>,
        input: impl FnOnce(By) -> Input,
    ) -> Result<Json<Intervened>, ErrorResponse> {
        Ok(Json(self.decide(action, step, input).await?))
    }

    /// Submits the input on the state that it has previewed, so that the response describes exactly what happened.
    async fn decide(
        self,
        action: &'static str,
        step: Option<StepPath>,
        input: impl FnOnce(By) -> Input,
    ) -> Result<Intervened, Refusal> {
        let Self { api, saga, by, is_preview, expected, .. } = self;
        let input = input(by.clone());
        let audit = AuditContext { action, step, by };
        let mut tries = 0;
        loop {
            tries += 1;
            let preview = api.engine.interventions.preview(saga, &input, expected).await?;
            if is_preview {
                return convert::intervened(&preview, true);
            }
            let options = SubmitOptions {
                expected: Some(preview.decision.state.seq - 1),
                audit: Some(audit.clone()),
                ..SubmitOptions::of_request()
            };
            match api.engine.submitter.submit_on(options, saga, input.clone()).await {
                Ok(_) => return convert::intervened(&preview, false),
                Err(SubmitError::Changed { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<B: Reasoned + DeserializeOwned + Serialize> FromRequest<Api> for Request<B> {
    type Rejection = ErrorResponse;

    async fn from_request(request: axum::extract::Request, api: &Api) -> Result<Self, ErrorResponse> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, api).await?;
        let Path(id) = Path::<Uuid>::from_request_parts(&mut parts, api).await?;
        let Query(PreviewQuery { preview }) = Query::from_request_parts(&mut parts, api).await?;
        let expected = if_match(&parts.headers)?;
        let request = axum::extract::Request::from_parts(parts, body);
        let Json(body) = Json::<B>::from_request(request, api).await?;
        let by = caller.by(body.reason(), body.actor())?;
        Ok(Self { api: api.clone(), saga: SagaId(id), by, is_preview: preview, expected, body })
    }
}

fn path(step: &str) -> Result<StepPath, ErrorResponse> {
    step.parse().map_err(|_| {
        ErrorResponse::invalid_body("`step` must be the path of a step, such as `book` or `book[2]`")
            .at("/step", format!("`{step}` is not a path"))
    })
}
