//! For whoever runs the process: is it alive, can it work, what has it done, and who is asking.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::problem::Problem;
use crate::api::records::WhoAmI;
use crate::engine::health::Availability;
use crate::engine::load_errors::LoadError;
use crate::http::extract::Json;
use crate::http::roles::Viewer;
use crate::http::routes::{Group, needs, open};
use crate::http::{Api, Caller, Readiness};

/// What is committed is what the code says, by a test: made anew, it would cost each process some megabytes.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Viewer>(routes!(metrics)))
        .route(needs::<Viewer>(routes!(who_am_i)))
        .route(open(routes!(openapi_json)))
}

pub(super) fn health() -> Group {
    Group::default().route(open(routes!(live))).route(open(routes!(ready)))
}

/// Whether the process can work, and if not, because of what. Why is in the logs.
#[derive(Debug, Serialize, ToSchema)]
struct Report {
    ready: bool,
    /// `ok` or `unavailable`.
    database: String,
    /// `ok` or `unavailable`.
    broker: String,
    /// `ok`, or `unavailable` if this machine's clock is more than 30 s from that of the database.
    clock: String,
    /// `ok`, `unavailable` before they are loaded, or `incomplete` if this process could not load some. Those start no sagas; the process is ready for all others.
    definitions: String,
    /// The definitions that could not be loaded: `name@version`, or the file. `GET /v1/definitions` says why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    load_errors: Vec<String>,
    /// What the start waits for, with the reason for each part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    waiting_for: BTreeMap<String, String>,
}

/// Ask whether the process answers
///
/// It says nothing of what it depends on. A process of which a task has ended, or makes no progress, is to be restarted.
#[utoipa::path(get, path = "/livez", tag = "process", responses(
    (status = 200, description = "It does", body = String, content_type = "text/plain"),
    (status = 503, description = "It is to be restarted (`not_alive`)", body = Problem, content_type = "application/problem+json")
))]
async fn live(State(api): State<Api>) -> Result<&'static str, Problem> {
    match api.engine.liveness().fault() {
        None => Ok("ok"),
        Some(fault) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_alive", fault)),
    }
}

/// The readiness of a process that starts.
pub fn starting(readiness: &Readiness) -> Response {
    let waiting = readiness.waiting();
    let report = Report {
        ready: false,
        database: word(false),
        broker: word(false),
        clock: word(false),
        definitions: word(false),
        load_errors: Vec::new(),
        waiting_for: waiting.into_iter().map(|(part, reason)| (part.to_owned(), reason)).collect(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response()
}

/// Ask whether the process can work
///
/// Once a second the process checks that the database has the right schema and takes a write, and that the broker confirms a
/// message, and compares the machine's clock with that of the database. This is the last result.
#[utoipa::path(get, path = "/readyz", tag = "process", responses(
    (status = 200, description = "It can", body = Report),
    (status = 503, description = "It cannot", body = Report),
))]
async fn ready(State(api): State<Api>) -> Response {
    let availability = api.engine.health().get();
    let Availability { database, broker, clock } = availability;
    let ready = api.readiness.is_up() && availability.is_complete();
    let load_errors: Vec<_> = api.engine.definitions().load_errors().iter().map(LoadError::label).collect();
    let definitions = if load_errors.is_empty() { "ok" } else { "incomplete" }.to_owned();
    let report = Report {
        ready,
        database: word(database),
        broker: word(broker),
        clock: word(clock),
        definitions,
        load_errors,
        waiting_for: BTreeMap::new(),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

fn word(is_available: bool) -> String {
    if is_available { "ok" } else { "unavailable" }.to_owned()
}

/// Read all metrics
#[utoipa::path(get, path = "/metrics", tag = "process", responses(
    (status = 200, description = "In the OpenMetrics text format", body = String, content_type = "application/openmetrics-text")
))]
async fn metrics(State(api): State<Api>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &api.metrics) {
        Ok(()) => {
            let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ask who the credentials say you are
#[utoipa::path(get, path = "/v1/whoami", tag = "process", responses(
    (status = 200, description = "You", body = WhoAmI)
))]
async fn who_am_i(caller: Caller) -> Result<Json<WhoAmI>, Problem> {
    Ok(Json(WhoAmI { name: caller.name, role: caller.role.name().to_owned() }))
}

/// Read this document
#[utoipa::path(get, path = "/v1/openapi.json", tag = "process", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)
))]
async fn openapi_json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
