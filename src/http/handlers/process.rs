//! Liveness, readiness, metrics, the identity of the caller and the OpenAPI document.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::http::extract::Json;
use crate::http::problem::ErrorResponse;
use crate::http::roles::Viewer;
use crate::http::routes::{Group, needs, open};
use crate::http::{Api, Caller, Readiness};
use snorri_api::records::WhoAmI;
use snorri_engine::definitions::load_errors::LoadError;
use snorri_engine::supervision::health::Availability;

/// The committed document. A test compares it with the code; generating it would cost each process some megabytes.
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

/// The readiness of the process and its dependencies. The logs have the reasons.
#[derive(Debug, Serialize, ToSchema)]
struct Report {
    ready: bool,
    /// `ok` or `unavailable`.
    database: String,
    /// `ok` or `unavailable`.
    broker: String,
    /// `ok`, or `unavailable` if the clock of this machine is more than 30 s from that of the database.
    clock: String,
    /// `ok`, `unavailable` before definitions are loaded, or `incomplete` if this process could not load some. Those start no
    /// sagas; the process is ready for all others.
    definitions: String,
    /// The definitions that could not be loaded: `name@version`, or the file. `GET /v1/definitions` has the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    load_errors: Vec<String>,
    /// The parts that the start waits for, each with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    waiting_for: BTreeMap<String, String>,
}

/// Check liveness
///
/// Does not check the database or the broker. A process in which a task has ended or makes no progress must be restarted.
#[utoipa::path(get, path = "/livez", tag = "process", responses(
    (status = 200, description = "The process is alive", body = String, content_type = "text/plain"),
    (status = 503, description = "The process must be restarted (`not_alive`)", body = snorri_api::problem::Problem, content_type = "application/problem+json")
))]
async fn live(State(api): State<Api>) -> Result<&'static str, ErrorResponse> {
    match api.engine.liveness.fault() {
        None => Ok("ok"),
        Some(fault) => Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "not_alive", fault)),
    }
}

/// The readiness of a starting process.
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

/// Check readiness
///
/// Once a second, the process checks that the database has the right schema and accepts a write and that the broker confirms
/// a message, and compares the clock of the machine with that of the database. The response is the last result.
#[utoipa::path(get, path = "/readyz", tag = "process", responses(
    (status = 200, description = "Ready", body = Report),
    (status = 503, description = "Not ready", body = Report),
))]
async fn ready(State(api): State<Api>) -> Response {
    let availability = api.engine.health.get();
    let Availability { database, broker, clock } = availability;
    let ready = api.readiness.is_up() && availability.is_complete();
    let load_errors: Vec<_> = api.engine.definitions.load_errors().iter().map(LoadError::label).collect();
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

/// Get the metrics
#[utoipa::path(get, path = "/metrics", tag = "process", responses(
    (status = 200, description = "The metrics in the OpenMetrics text format", body = String, content_type = "application/openmetrics-text")
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

/// Get the owner of the credentials
#[utoipa::path(get, path = "/v1/whoami", tag = "process", responses(
    (status = 200, description = "The name and the role", body = WhoAmI)
))]
async fn who_am_i(caller: Caller) -> Result<Json<WhoAmI>, ErrorResponse> {
    Ok(Json(WhoAmI { name: caller.name, role: caller.role.name().to_owned() }))
}

/// Get this document
#[utoipa::path(get, path = "/v1/openapi.json", tag = "process", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)
))]
async fn openapi_json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
