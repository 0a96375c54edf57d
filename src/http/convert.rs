//! Between the engine's words and what goes over the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::api::problem::Problem;
use crate::api::sagas::{
    Incident, JournalEntry, PageQuery, Parent, Saga, SagaPage, SagaProblem, SagaQuery, SagaSummary,
    StartRequest, Started, Step, StepStatus,
};
use crate::engine;
use crate::engine::view::{self, Filter, SagaRow, SagaView, StepView};
use crate::saga::{Entry, SagaId, State, Time, state};

impl From<StartRequest> for engine::StartRequest {
    fn from(body: StartRequest) -> Self {
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

impl From<engine::Started> for Started {
    fn from(started: engine::Started) -> Self {
        Self { id: started.id.0, key: started.key, created: started.is_new }
    }
}

/// What to look for.
pub fn filter(query: &SagaQuery, page: &PageQuery) -> Result<Filter, Problem> {
    let after = match &page.after {
        None => None,
        Some(cursor) => Some(
            parse_cursor(cursor)
                .ok_or_else(|| Problem::invalid_query("`after` is the `next` of the page before"))?,
        ),
    };
    Ok(Filter { definition: query.definition.clone(), status: query.status, key: query.key.clone(), after })
}

fn cursor(row: &SagaRow) -> String {
    format!("{}_{}", row.started_at.0, row.id)
}

fn parse_cursor(cursor: &str) -> Option<(Time, SagaId)> {
    let (time, id) = cursor.split_once('_')?;
    Some((Time(time.parse().ok()?), id.parse().ok()?))
}

/// A page of at most `limit` sagas.
pub fn saga_page(rows: &[SagaRow], limit: u32) -> SagaPage {
    let next = rows.last().filter(|_| rows.len() >= limit as usize).map(cursor);
    SagaPage { sagas: rows.iter().map(summary).collect(), next }
}

fn summary(row: &SagaRow) -> SagaSummary {
    SagaSummary {
        id: row.id.0,
        definition: row.definition.to_string(),
        version: row.version,
        key: row.key.clone(),
        status: row.status,
        paused: false,
        started_at: rfc3339(row.started_at),
        changed_at: rfc3339(row.changed_at),
    }
}

/// `None`: the saga was never started.
pub fn saga(view: &SagaView) -> Option<Saga> {
    let State { started, ended, stopping, .. } = &view.state;
    let started = started.clone()?;
    let problem = stopping.as_ref().map(|stop| SagaProblem {
        code: stop.problem.code.clone(),
        message: stop.problem.message.clone(),
        details: stop.problem.details.clone(),
    });
    Some(Saga {
        id: view.state.id.0,
        definition: started.definition.to_string(),
        version: started.version,
        key: started.key.clone(),
        status: view.status(),
        ended: view.status().is_final(),
        seq: view.state.seq,
        paused_at: None,
        started_at: rfc3339(view.state.started_at),
        changed_at: rfc3339(view.changed_at()),
        ended_at: ended.as_ref().map(|end| rfc3339(end.at)),
        input: Value::clone(&started.input),
        output: ended.as_ref().and_then(|end| end.output.as_deref().cloned()),
        attributes: BTreeMap::new(),
        waits_for: String::new(),
        problem,
        steps: view.steps().into_iter().map(step).collect(),
        remaining: Vec::new(),
        incidents: view.incidents().iter().map(incident).collect(),
        timers: Vec::new(),
        parent: started
            .parent
            .as_ref()
            .map(|parent| Parent { saga: parent.saga.0, step: parent.step.to_string() }),
        restart_of: None,
    })
}

fn step(view: StepView) -> Step {
    let status = match view.status {
        view::StepStatus::Awaiting => StepStatus::Awaiting,
        view::StepStatus::Backoff => StepStatus::Backoff,
        view::StepStatus::Held => StepStatus::Held,
        view::StepStatus::Completed => StepStatus::Completed,
        view::StepStatus::Failed => StepStatus::Failed,
        view::StepStatus::Omitted => StepStatus::Omitted,
        view::StepStatus::Waiting => StepStatus::Waiting,
        view::StepStatus::Sleeping => StepStatus::Sleeping,
        view::StepStatus::Unknown => StepStatus::Unknown,
        view::StepStatus::Compensating => StepStatus::Compensating,
        view::StepStatus::Compensated => StepStatus::Compensated,
    };
    Step { step: view.step, status, attempt: view.attempt, output: view.output }
}

fn incident(incident: &state::Incident) -> Incident {
    Incident {
        step: incident.step.as_ref().map(ToString::to_string),
        direction: incident.direction,
        code: incident.problem.code.clone(),
        message: incident.problem.message.clone(),
        details: incident.problem.details.clone(),
        since: rfc3339(incident.at),
        can: Vec::new(),
    }
}

/// An entry of a journal.
pub fn journal_entry(seq: u32, entry: &Entry) -> JournalEntry {
    let json = |fact| serde_json::to_value(fact).unwrap_or_default();
    JournalEntry {
        seq,
        at: rfc3339(entry.at),
        cause: serde_json::to_value(&entry.cause).unwrap_or_default(),
        facts: entry.facts.iter().map(json).collect(),
    }
}

/// A time, as people and programs can read it.
pub fn rfc3339(time: Time) -> String {
    DateTime::<Utc>::from_timestamp_millis(time.0)
        .map_or_else(|| time.0.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
