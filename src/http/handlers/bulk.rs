//! Bulk requests: starting many sagas, and applying an action to all sagas that match a query.

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

use crate::http::Api;
use crate::http::Caller;
use crate::http::dto::convert;
use crate::http::extract::{Json, content_type, read, unsupported};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::problem::ErrorResponse;
use crate::http::roles::{Operator, Role};
use crate::http::routes::{Group, needs};
use crate::http::state::MAX_BODY_BYTES;
use snorri_api::bulk::{BulkLine, BulkRequest, DependentBulkRequest};
use snorri_api::sagas::{BulkStarted, StartRequest};
use snorri_core::SagaId;
use snorri_core::input::BulkAction;
use snorri_engine::operations::bulk::{Action, BulkResult};

const NDJSON: &str = "application/x-ndjson";
/// Maximum number of concurrent starts.
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
/// Each line of the request (NDJSON) is a body of `POST /v1/sagas`. The response has one line for each, in the same order, as
/// soon as it is decided. An invalid line does not prevent the other sagas from starting.
#[utoipa::path(post, path = "/v1/sagas/bulk-start", tag = "bulk",
    request_body(content = StartRequest, content_type = "application/x-ndjson"), responses(
    (status = 200, description = "One line for each line of the request", body = BulkStarted,
        content_type = "application/x-ndjson")
))]
async fn start_many(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErrorResponse> {
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
        let text = text.map_err(|error| ErrorResponse::invalid_body(error.to_string()))?;
        let request: StartRequest = read(text.as_bytes())?;
        super::start(&api, request, None).await
    };
    match started.await {
        Ok(started) => BulkStarted { line, started: Some(convert::started(started)), problem: None },
        Err(problem) => BulkStarted { line, started: None, problem: Some(problem.0) },
    }
}

/// Apply an action to many sagas
///
/// Applies one action to all sagas that match a query. Without `confirm`, the request is a dry run. The response (NDJSON) is
/// streamed: a `summary`, an `item` for each saga, and `complete`. If the client disconnects, the remaining sagas are not
/// changed. `migrate` also requires the role `deployer`.
#[utoipa::path(post, path = "/v1/bulk", tag = "bulk", request_body = DependentBulkRequest, responses(
    (status = 200, description = "A summary, each saga, and the totals", body = BulkLine,
        content_type = "application/x-ndjson"),
    NotFound, Conflict
))]
async fn change_many(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<BulkRequest>,
) -> Result<Response, ErrorResponse> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    if body.action == BulkAction::Migrate && !caller.role.covers(Role::Deployer) {
        return Err(ErrorResponse::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "`migrate` also requires the role `deployer`",
        ));
    }
    let limit = body.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let detail = format!("`limit` must be a number from 1 to {LARGEST_LIMIT}");
        return Err(ErrorResponse::invalid_body(detail).at("/limit", format!("it is {limit}")));
    }
    let action = action(&api, &body).await?;
    let query = convert::query(&body.query, None).map_err(|ErrorResponse(problem)| {
        ErrorResponse::invalid_body(problem.detail.clone()).at("/query", problem.detail)
    })?;
    let outcomes = api.engine.bulk.try_on(&action, &query, limit, &by).await?;
    let accepted: Vec<SagaId> =
        outcomes.iter().filter(|one| one.refused.is_none()).map(|one| one.saga).collect();
    let affected = accepted.len() as u64;
    let found =
        BulkLine::Summary { matching: outcomes.len() as u64, affected, dry_run: body.confirm.is_none() };
    match body.confirm {
        None => Ok(ndjson(with_sum(found, stream::iter(outcomes)))),
        Some(confirmed) if confirmed != affected => {
            let detail =
                format!("the action would now change {affected} sagas, not {confirmed}: repeat the dry run");
            Err(ErrorResponse::new(StatusCode::CONFLICT, "confirmed_other", detail))
        }
        Some(_) => Ok(ndjson(with_sum(found, api.engine.bulk.run(action, accepted, by)))),
    }
}

async fn action(api: &Api, body: &BulkRequest) -> Result<Action, ErrorResponse> {
    let wrong_version = |detail| Err(ErrorResponse::invalid_body(detail).at("/version", detail));
    match (Action::new(body.action), body.version) {
        (Some(action), None) => Ok(action),
        (Some(_), Some(_)) => wrong_version("only `migrate` takes `version`"),
        (None, None) => wrong_version("`migrate` requires `version`"),
        (None, Some(version)) => {
            let Some(name) = &body.query.definition else {
                let detail = "`migrate` requires `query.definition`";
                return Err(ErrorResponse::invalid_body(detail).at("/query/definition", "it is missing"));
            };
            Ok(Action::migrate(api.engine.definitions.find(name, Some(version)).await?))
        }
    }
}

/// The lines of the response: the summary, the outcomes and the totals.
fn with_sum(
    found: BulkLine,
    outcomes: impl Stream<Item = BulkResult> + Send + 'static,
) -> impl Stream<Item = BulkLine> + Send + 'static {
    let lines = outcomes.map(Some).chain(stream::iter([None])).scan((0_u64, 0_u64), |sum, outcome| {
        let line = match outcome {
            Some(outcome) => {
                let counted = if outcome.refused.is_none() { &mut sum.0 } else { &mut sum.1 };
                *counted += 1;
                BulkLine::Item {
                    id: outcome.saga.0,
                    accepted: outcome.refused.is_none(),
                    status: outcome.status,
                    code: outcome.refused.as_ref().map(|refused| refused.code().to_owned()),
                    detail: outcome.refused.map(|refused| refused.to_string()),
                }
            }
            None => BulkLine::Complete { accepted: sum.0, refused: sum.1 },
        };
        std::future::ready(Some(line))
    });
    stream::iter([found]).chain(lines)
}

fn ndjson<T: Serialize>(lines: impl Stream<Item = T> + Send + 'static) -> Response {
    let bytes = lines.map(|line| {
        // The types of the API can always be encoded.
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(text))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(bytes)).into_response()
}
