//! For whoever runs the process: is it alive, can it work, what has it done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Api;

/// Whether the process wants work: true once everything is up, false from the moment it shall stop.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    database: String,
    broker: String,
}

/// Says that the process answers, and nothing of what it depends on.
pub(super) async fn live() -> &'static str {
    "ok"
}

/// Asks the database, its schema, and the broker, by a confirmed message.
pub(super) async fn ready(State(api): State<Api>) -> Response {
    let (database, broker) = tokio::join!(api.engine.store().check(), api.engine.broker().check());
    let ready = api.readiness.get() && database.is_ok() && broker.is_ok();
    let told = |result: Result<(), String>| result.err().unwrap_or_else(|| "ok".to_owned());
    let report = Report {
        ready,
        database: told(database.map_err(|error| error.to_string())),
        broker: told(broker.map_err(|error| error.to_string())),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// All metrics, in the OpenMetrics text format.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &api.metrics) {
        Ok(()) => {
            let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
