//! Many sagas at once, line by line: starting them, and doing the same to all that a query finds.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;
use utoipa_axum::routes;

use crate::api::bulk::{BulkAction, BulkLine, BulkRequest};
use crate::api::problem::Problem;
use crate::api::sagas::{BulkStarted, StartRequest, Started};
use crate::engine::bulk::{Action, Outcome};
use crate::http::extract::{Json, content_type, read, unsupported};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::roles::{Operator, Role};
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller, MAX_BODY_BYTES, convert};
use crate::saga::SagaId;

const NDJSON: &str = "application/x-ndjson";
/// Starts that are under way side by side.
const STARTS_AT_ONCE: usize = 256;
const DEFAULT_LIMIT: u32 = 1_000;
const LARGEST_LIMIT: u32 = 10_000;

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Operator>(routes!(start_many)).bulk())
        .route(needs::<Operator>(routes!(change_many)).untimed())
}

/// Start many sagas
///
/// A line of JSON for each (NDJSON), as in `POST /v1/sagas`; a line of JSON answers each, in order and as soon as it is decided.
/// A line that is wrong keeps none of the others from being started.
#[utoipa::path(post, path = "/v1/sagas/bulk-start", tag = "bulk",
    request_body(content = StartRequest, content_type = "application/x-ndjson"), responses(
    (status = 200, description = "A line for each", body = BulkStarted, content_type = "application/x-ndjson")
))]
async fn start_many(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    if content_type(&headers) != NDJSON {
        return Err(unsupported(NDJSON));
    }
    let bytes = body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
    let lines = FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(MAX_BODY_BYTES));
    let numbered = stream::iter(1_u64..).zip(lines);
    let wanted = numbered.filter(|(_, line)| {
        let is_blank = matches!(line, Ok(line) if line.trim().is_empty());
        async move { !is_blank }
    });
    let started = wanted.map(move |(number, line)| start_one(api.clone(), number, line));
    Ok(ndjson(started.buffered(STARTS_AT_ONCE)))
}

async fn start_one(api: Api, line: u64, text: Result<String, LinesCodecError>) -> BulkStarted {
    let started = async {
        let text = text.map_err(|error| Problem::invalid_body(error.to_string()))?;
        let request: StartRequest = read(text.as_bytes())?;
        super::start(&api, request, None).await
    };
    match started.await {
        Ok(started) => BulkStarted { line, started: Some(Started::from(started)), problem: None },
        Err(problem) => BulkStarted { line, started: None, problem: Some(problem) },
    }
}

/// Do the same to many sagas
///
/// Without `confirm` it is a dry run. The lines of the answer (NDJSON) come as it goes on: what was found, each saga, and the
/// sum. Whoever stops reading stops it. `migrate` needs the role `deployer`, too.
#[utoipa::path(post, path = "/v1/bulk", tag = "bulk", request_body = BulkRequest, responses(
    (status = 200, description = "What was found, each saga, the sum", body = BulkLine,
        content_type = "application/x-ndjson"),
    NotFound, Conflict
))]
async fn change_many(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<BulkRequest>,
) -> Result<Response, Problem> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    if body.action == BulkAction::Migrate && !caller.role.covers(Role::Deployer) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "`migrate` needs the role `deployer`, too",
        ));
    }
    let limit = body.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let detail = format!("`limit` is a number from 1 to {LARGEST_LIMIT}");
        return Err(Problem::invalid_body(detail).at("/limit", format!("it is {limit}")));
    }
    let action = action(&api, &body).await?;
    let query = convert::query(&body.query, None)
        .map_err(|problem| Problem::invalid_body(problem.detail.clone()).at("/query", problem.detail))?;
    let outcomes = api.engine.try_bulk(&action, &query, limit, &by).await?;
    let accepted: Vec<SagaId> =
        outcomes.iter().filter(|one| one.refused.is_none()).map(|one| one.saga).collect();
    let would_change = accepted.len() as u64;
    let found =
        BulkLine::Found { matching: outcomes.len() as u64, would_change, dry_run: body.confirm.is_none() };
    match body.confirm {
        None => Ok(ndjson(with_sum(found, stream::iter(outcomes)))),
        Some(confirmed) if confirmed != would_change => {
            let detail = format!(
                "{would_change} sagas would be changed by now, not {confirmed}: make another dry run, and look at it"
            );
            Err(Problem::new(StatusCode::CONFLICT, "confirmed_other", detail))
        }
        Some(_) => Ok(ndjson(with_sum(found, api.engine.do_bulk(action, accepted, by)))),
    }
}

async fn action(api: &Api, body: &BulkRequest) -> Result<Action, Problem> {
    let migrate = body.action == BulkAction::Migrate;
    if migrate != body.version.is_some() {
        let detail = if migrate { "`migrate` needs a `version`" } else { "only `migrate` has a `version`" };
        return Err(Problem::invalid_body(detail).at("/version", detail));
    }
    Ok(match body.action {
        BulkAction::Cancel => Action::Cancel,
        BulkAction::Pause => Action::Pause,
        BulkAction::Resume => Action::Resume,
        BulkAction::Retry => Action::Retry,
        BulkAction::Skip => Action::Skip,
        BulkAction::RollBack => Action::RollBack,
        BulkAction::Abandon => Action::Abandon,
        BulkAction::Migrate => {
            let Some(name) = &body.query.definition else {
                let detail = "`migrate` needs `query.definition`: versions are of one definition";
                return Err(Problem::invalid_body(detail).at("/query/definition", "it is missing"));
            };
            Action::Migrate { to: api.engine.definitions().find(name, body.version).await? }
        }
    })
}

/// The lines of the outcomes, with what was found before them and their sum behind.
fn with_sum(
    found: BulkLine,
    outcomes: impl Stream<Item = Outcome> + Send + 'static,
) -> impl Stream<Item = BulkLine> + Send + 'static {
    let lines = outcomes.map(Some).chain(stream::iter([None])).scan((0_u64, 0_u64), |sum, outcome| {
        let line = match outcome {
            Some(outcome) => {
                let counted = if outcome.refused.is_none() { &mut sum.0 } else { &mut sum.1 };
                *counted += 1;
                BulkLine::Saga {
                    id: outcome.saga.0,
                    accepted: outcome.refused.is_none(),
                    status: outcome.status,
                    code: outcome.refused.as_ref().map(|refused| refused.code().to_owned()),
                    detail: outcome.refused.map(|refused| refused.to_string()),
                }
            }
            None => BulkLine::Done { accepted: sum.0, refused: sum.1 },
        };
        std::future::ready(Some(line))
    });
    stream::iter([found]).chain(lines)
}

fn ndjson<T: Serialize>(lines: impl Stream<Item = T> + Send + 'static) -> Response {
    let bytes = lines.map(|line| {
        // Nothing that goes over the wire fails to be written.
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(text))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(bytes)).into_response()
}
