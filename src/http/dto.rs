//! What goes over the wire of the admin API.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::view::{Filter, SagaRow, SagaView, StepView};
use crate::engine::{StartRequest, Started};
use crate::saga::state::Incident;
use crate::saga::{Entry, SagaId, Status, Time};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    definition: String,
    version: Option<u32>,
    #[serde(default)]
    input: Value,
}

impl From<StartBody> for StartRequest {
    fn from(body: StartBody) -> Self {
        Self {
            definition: body.definition,
            version: body.version,
            input: body.input,
            message_id: None,
            answer: None,
            trace_id: None,
            parent: None,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct StartedBody {
    id: SagaId,
    key: Option<String>,
    /// `false`: it was started before.
    created: bool,
}

impl From<Started> for StartedBody {
    fn from(started: Started) -> Self {
        Self { id: started.id, key: started.key, created: started.is_new }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    pub actor: String,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub struct CancelledBody {
    pub id: SagaId,
    pub status: Status,
}

#[derive(Debug, Serialize)]
pub struct SignalledBody {
    /// The saga's journal entries so far.
    pub seq: u32,
    pub status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    definition: Option<String>,
    status: Option<Status>,
    key: Option<String>,
    /// Sagas on one page, from 1 to 500.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

impl ListQuery {
    /// `None`: `after` is not what a page has given.
    pub fn filter(&self) -> Option<Filter> {
        let after = match &self.after {
            None => None,
            Some(cursor) => Some(parse_cursor(cursor)?),
        };
        Some(Filter {
            definition: self.definition.clone(),
            status: self.status,
            key: self.key.clone(),
            after,
            ..Filter::default()
        })
    }
}

fn cursor(row: &SagaRow) -> String {
    format!("{}_{}", row.started_at.0, row.id)
}

fn parse_cursor(cursor: &str) -> Option<(Time, SagaId)> {
    let (time, id) = cursor.split_once('_')?;
    Some((Time(time.parse().ok()?), id.parse().ok()?))
}

#[derive(Debug, Serialize)]
pub struct Page {
    sagas: Vec<Row>,
    /// Where the next page begins, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Page {
    pub fn new(rows: &[SagaRow], limit: u32) -> Self {
        let next = rows.last().filter(|_| rows.len() >= limit as usize).map(cursor);
        Self { sagas: rows.iter().map(Row::from).collect(), next }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    id: SagaId,
    definition: String,
    version: u32,
    key: Option<String>,
    status: Status,
    started_at: String,
    changed_at: String,
}

impl From<&SagaRow> for Row {
    fn from(row: &SagaRow) -> Self {
        Self {
            id: row.id,
            definition: row.definition.to_string(),
            version: row.version,
            key: row.key.clone(),
            status: row.status,
            started_at: rfc3339(row.started_at),
            changed_at: rfc3339(row.changed_at),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct SagaBody {
    id: SagaId,
    definition: String,
    version: u32,
    key: Option<String>,
    status: Status,
    input: Value,
    output: Option<Value>,
    started_at: String,
    changed_at: String,
    steps: Vec<StepView>,
    incidents: Vec<IncidentBody>,
    journal: Vec<EntryBody>,
}

#[derive(Debug, Serialize)]
struct IncidentBody {
    #[serde(flatten)]
    incident: Incident,
    since: String,
}

#[derive(Debug, Serialize)]
struct EntryBody {
    /// From 1.
    seq: usize,
    time: String,
    #[serde(flatten)]
    entry: Entry,
}

impl SagaBody {
    /// `None`: the saga was never started.
    pub fn new(view: SagaView) -> Option<Self> {
        let started = view.state.started.clone()?;
        let since =
            |incident: &Incident| IncidentBody { since: rfc3339(incident.at), incident: incident.clone() };
        Some(Self {
            id: view.state.id,
            definition: started.definition.to_string(),
            version: started.version,
            key: started.key.clone(),
            status: view.status(),
            input: Value::clone(&started.input),
            output: view.state.ended.as_ref().and_then(|end| end.output.as_deref().cloned()),
            started_at: rfc3339(view.state.started_at),
            changed_at: rfc3339(view.changed_at()),
            steps: view.steps(),
            incidents: view.incidents().iter().map(since).collect(),
            journal: (1..)
                .zip(view.journal)
                .map(|(seq, entry)| EntryBody { seq, time: rfc3339(entry.at), entry })
                .collect(),
        })
    }
}

fn rfc3339(time: Time) -> String {
    DateTime::<Utc>::from_timestamp_millis(time.0)
        .map_or_else(|| time.0.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
