//! Steering one saga. Each can be previewed, and held to the state that was looked at.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::interventions::{
    Intervened, MigrateBody, Migration, PreviewQuery, ReasonBody, Reasoned, ResolveBody, ResolvedAs,
    RestartBody, Restarted, SignalQuery, StepBody,
};
use crate::api::problem::Problem;
use crate::engine::SubmitError;
use crate::engine::operator::{self, Asked, Refusal, Terms};
use crate::http::extract::{Json, OptionalJson, Path, Query, check_payload, idempotency_key, if_match};
use crate::http::openapi::{Changed, Conflict, NotFound, TooLarge};
use crate::http::roles::{Deployer, Operator};
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller, convert, openapi};
use crate::saga::input::{Intervention, Resolution};
use crate::saga::journal::{Arrival, By, Source};
use crate::saga::{Ignored, Input, SagaId, StepPath};

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Operator>(routes!(cancel_saga)))
        .route(needs::<Operator>(routes!(pause_saga)))
        .route(needs::<Operator>(routes!(resume_saga)))
        .route(needs::<Operator>(routes!(retry_saga)))
        .route(needs::<Operator>(routes!(resolve_saga)))
        .route(needs::<Operator>(routes!(skip_saga)))
        .route(needs::<Operator>(routes!(roll_back_saga)))
        .route(needs::<Operator>(routes!(raise_limits)))
        .route(needs::<Operator>(routes!(abandon_saga)))
        .route(needs::<Operator>(routes!(signal_saga)))
        .route(needs::<Operator>(routes!(restart_saga)))
        .route(needs::<Deployer>(routes!(migrate_saga)))
}

/// The saga that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is only documented by this")]
struct SagaPath {
    /// The saga
    id: Uuid,
}

/// The saga and the signal that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is only documented by this")]
struct SignalPath {
    /// The saga
    id: Uuid,
    /// The signal
    name: String,
}

/// What an intervention may be held to.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only documented by this")]
struct IfMatch {
    /// Only if the saga has this `seq`, in quotes as in its `ETag`
    #[param(rename = "if-match", schema_with = openapi::if_match)]
    if_match: Option<String>,
}

/// Cancel a saga
///
/// It rolls back, if there is still a way back. While its pivot is in flight, it waits for the outcome first.
#[utoipa::path(post, path = "/v1/sagas/{id}/cancel", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn cancel_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.make("cancel", None, Input::Cancel).await
}

/// Pause a saga
///
/// Its clock stops: nothing is sent and nothing becomes due until it is resumed. What comes in meanwhile is kept.
#[utoipa::path(post, path = "/v1/sagas/{id}/pause", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn pause_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.make("pause", None, Input::Pause).await
}

/// Resume a paused saga
///
/// All its deadlines and timers are as far ahead as they were when it was paused.
#[utoipa::path(post, path = "/v1/sagas/{id}/resume", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn resume_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.make("resume", None, Input::Resume).await
}

/// Retry what is held
///
/// With all its attempts, and the same idempotency key.
#[utoipa::path(post, path = "/v1/sagas/{id}/retry", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = StepBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn retry_saga(request: Request<StepBody>) -> Result<Json<Intervened>, Problem> {
    let step = request.body.step.as_deref().map(path).transpose()?;
    request.intervene(Intervention::Retry { step }).await
}

/// Say what became of a held command
///
/// As if its participant had said so.
#[utoipa::path(post, path = "/v1/sagas/{id}/resolve", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ResolveBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn resolve_saga(request: Request<ResolveBody>) -> Result<Json<Intervened>, Problem> {
    let outcome = match request.body.outcome {
        ResolvedAs::Done => {
            check_payload("/output", &request.body.output)?;
            Resolution::Done(Arc::new(request.body.output.clone()))
        }
        ResolvedAs::NotDone => Resolution::NotDone,
    };
    let step = path(&request.body.step)?;
    request.intervene(Intervention::Resolve { step, outcome }).await
}

/// Pass over an incident
///
/// A held step counts as unknown and the saga goes on without its output; a held compensation counts as done.
#[utoipa::path(post, path = "/v1/sagas/{id}/skip", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = StepBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn skip_saga(request: Request<StepBody>) -> Result<Json<Intervened>, Problem> {
    let step = request.body.step.as_deref().map(path).transpose()?;
    request.intervene(Intervention::Skip { step }).await
}

/// Roll a stuck saga back
///
/// It gives up going forward, and undoes what was done.
#[utoipa::path(post, path = "/v1/sagas/{id}/roll-back", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn roll_back_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.intervene(Intervention::RollBack).await
}

/// Abandon a stuck saga
///
/// It ends as it is: nothing more is sent, and nothing is undone.
#[utoipa::path(post, path = "/v1/sagas/{id}/abandon", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn abandon_saga(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.intervene(Intervention::Abandon).await
}

/// Raise the limits of a saga
///
/// It may execute as many steps, write as many journal entries, go through as many items and keep as many bytes of outputs once
/// more. What was held by a limit is then retried with `retry`.
#[utoipa::path(post, path = "/v1/sagas/{id}/raise-limits", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = ReasonBody, responses(
    (status = 200, description = "What it led to, or would", body = Intervened),
    NotFound, Conflict, Changed
))]
async fn raise_limits(request: Request<ReasonBody>) -> Result<Json<Intervened>, Problem> {
    request.intervene(Intervention::RaiseLimits).await
}

/// Give a saga a signal
///
/// The body is what the signal carries. `Idempotency-Key` tells a repetition.
#[utoipa::path(post, path = "/v1/sagas/{id}/signals/{name}", tag = "interventions", params(
    SignalPath, SignalQuery, IfMatch,
    ("idempotency-key" = Option<String>, Header, description = "Tells a repetition, from 1 to 255 characters",
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$")
), request_body(content = Option<serde_json::Value>, description = "What the signal carries; without a body it carries `{}`"), responses(
    (status = 202, description = "Taken in, now or before", body = Intervened),
    (status = 200, description = "What it would lead to", body = Intervened),
    NotFound, Conflict, Changed, TooLarge
))]
async fn signal_saga(
    State(api): State<Api>,
    caller: Caller,
    Path((id, name)): Path<(Uuid, String)>,
    Query(query): Query<SignalQuery>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson,
) -> Result<Response, Problem> {
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
    let arrival = Arrival::new(Source::Signal(name.into()), idempotency_key(&headers)?, body);
    match call.decide("signal", None, |_| Input::Arrival(Arc::new(arrival))).await {
        Ok(signalled) if query.preview => Ok(Json(signalled).into_response()),
        Ok(signalled) => Ok((StatusCode::ACCEPTED, Json(signalled)).into_response()),
        Err(Refusal::Submit(SubmitError::Ignored(Ignored::Duplicate))) => {
            let saga = super::saga_of(&api, SagaId(id)).await?;
            let before = Intervened {
                preview: query.preview,
                seq: saga.seq,
                status: saga.status,
                sends: Vec::new(),
                saga,
            };
            Ok((StatusCode::ACCEPTED, Json(before)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Go on in a new saga
///
/// From a step of a saga that has ended, with the outputs of the steps before it. They are the new saga's to undo from then
/// on. If steps from there on completed and were not undone, `repeat_completed` must say that they are to be done again.
#[utoipa::path(post, path = "/v1/sagas/{id}/restart", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch), request_body = RestartBody, responses(
    (status = 201, description = "Started", body = Restarted, headers(("location" = String, description = "The saga"))),
    (status = 200, description = "Started by the same request before, or what would be", body = Restarted),
    NotFound, Conflict, Changed
))]
async fn restart_saga(request: Request<RestartBody>) -> Result<Response, Problem> {
    let Request { api, saga, by, is_preview, expected, body } = request;
    let asked = Asked { action: "restart", step: body.from.parse().ok(), by };
    let terms = Terms { expected, asked: (!is_preview).then_some(asked), ..Terms::of_request() };
    let restarted = api.engine.restart(saga, &body.from, body.repeat_completed, terms).await?;
    let operator::Restarted { preview, is_new, repeated } = restarted;
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

/// Let a saga go on with another version of its definition
///
/// Only if it can: otherwise the answer says what is in the way, and nothing is changed.
#[utoipa::path(post, path = "/v1/sagas/{id}/migrate", tag = "interventions",
    params(SagaPath, PreviewQuery, IfMatch),
    request_body = MigrateBody, responses(
    (status = 200, description = "Whether it can, and does", body = Migration),
    NotFound, Conflict, Changed
))]
async fn migrate_saga(request: Request<MigrateBody>) -> Result<Json<Migration>, Problem> {
    let Request { api, saga, by, is_preview, expected, body } = request;
    let migration = api.engine.migrate(saga, body.version, by, expected, is_preview).await?;
    Ok(Json(convert::migration(migration, is_preview)))
}

/// An intervention as it is asked for.
struct Request<B> {
    api: Api,
    saga: SagaId,
    by: By,
    is_preview: bool,
    /// The `seq` that the saga must have.
    expected: Option<u32>,
    body: B,
}

/// How often a decision is made anew because something came in between.
const TRIES: u32 = 10;

impl<B> Request<B> {
    async fn intervene(self, action: Intervention) -> Result<Json<Intervened>, Problem> {
        let (name, step) = (action.name(), action.step().cloned());
        self.make(name, step, |by| Input::Intervene { action, by }).await
    }

    async fn make(
        self,
        action: &'static str,
        step: Option<StepPath>,
        input: impl FnOnce(By) -> Input,
    ) -> Result<Json<Intervened>, Problem> {
        Ok(Json(self.decide(action, step, input).await?))
    }

    /// Takes in the very decision that it has seen, so that what is answered is what happened.
    async fn decide(
        self,
        action: &'static str,
        step: Option<StepPath>,
        input: impl FnOnce(By) -> Input,
    ) -> Result<Intervened, Refusal> {
        let Self { api, saga, by, is_preview, expected, .. } = self;
        let input = input(by.clone());
        let asked = Asked { action, step, by };
        let mut tries = 0;
        loop {
            tries += 1;
            let preview = api.engine.preview(saga, &input, expected).await?;
            if is_preview {
                return convert::intervened(&preview, true);
            }
            let terms = Terms {
                expected: Some(preview.decision.state.seq - 1),
                asked: Some(asked.clone()),
                ..Terms::of_request()
            };
            match api.engine.submit_on(terms, saga, input.clone()).await {
                Ok(_) => return convert::intervened(&preview, false),
                Err(SubmitError::Changed { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<B: Reasoned + DeserializeOwned + Serialize> FromRequest<Api> for Request<B> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, api).await?;
        let Path(id) = Path::<Uuid>::from_request_parts(&mut parts, api).await?;
        // Restart has no preview, and its route lets none through.
        let Query(PreviewQuery { preview }) = Query::from_request_parts(&mut parts, api).await?;
        let expected = if_match(&parts.headers)?;
        let request = axum::extract::Request::from_parts(parts, body);
        let Json(body) = Json::<B>::from_request(request, api).await?;
        let by = caller.by(body.reason(), body.actor())?;
        Ok(Self { api: api.clone(), saga: SagaId(id), by, is_preview: preview, expected, body })
    }
}

fn path(step: &str) -> Result<StepPath, Problem> {
    step.parse().map_err(|_| {
        Problem::invalid_body("`step` is the path of a step, as in `book` or `book[2]`")
            .at("/step", format!("`{step}` is none"))
    })
}
