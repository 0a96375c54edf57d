//! Between the engine's words and what goes over the wire.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::api::interventions::{Blocked, Intervened, Migration, Sends};
use crate::api::journal::JournalEntry;
use crate::api::problem::Problem;
use crate::api::sagas::{
    Ahead, Count, Incident, Parent, Saga, SagaPage, SagaProblem, SagaQuery, SagaSummary, SentCommand,
    StartRequest, Started, Step, StepStatus, Timer,
};
use crate::engine::operator::{self, Preview, Refusal};
use crate::engine::search::{Found, Query};
use crate::engine::view::{Filter, SagaRow, SagaView};
use crate::engine::{self, SubmitError};
use crate::saga::journal::Entry;
use crate::saga::migration::Obstacle;
use crate::saga::sent::{self, sent_commands};
use crate::saga::state::{self, Outcome, Pending, StepState};
use crate::saga::{Definition, Direction, Ignored, Message, SagaId, State, StepPath, Time, outlook};

pub fn start(body: StartRequest, idempotency_key: Option<String>) -> engine::StartRequest {
    engine::StartRequest {
        definition: body.definition,
        version: body.version,
        input: body.input,
        attributes: body.attributes,
        message_id: idempotency_key,
        ..engine::StartRequest::default()
    }
}

impl From<engine::Started> for Started {
    fn from(started: engine::Started) -> Self {
        Self { id: started.id.0, key: started.key, created: started.is_new }
    }
}

/// What to look for, and from where on.
pub fn query(query: &SagaQuery, after: Option<&str>) -> Result<Query, Problem> {
    if query.version.is_some() && query.definition.is_none() {
        return Err(Problem::invalid_query("`version` goes with a `definition`"));
    }
    let attribute = query.attribute.as_deref().map(|text| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Problem::invalid_query("`attribute` is `name=value`"))
    });
    let filter = Filter {
        definition: query.definition.clone(),
        version: query.version,
        status: query.status,
        unfinished: false,
        key: query.key.clone(),
        started_from: time("started_from", query.started_from.as_deref())?,
        started_until: time("started_until", query.started_until.as_deref())?,
        incident: query.incident.clone(),
        attribute: attribute.transpose()?,
        paused: query.paused,
        after: position(after)?.map(|(at, id)| (at, SagaId(id))),
    };
    Ok(Query { filter, step: query.step.clone() })
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Time>, Problem> {
    let invalid =
        || Problem::invalid_query(format!("`{name}` is a time as RFC 3339 writes it, 2026-11-21T08:00:00Z"));
    text.map(|text| Time::from_rfc3339(text).ok_or_else(invalid)).transpose()
}

/// Of the time in a cursor: thousands of years, in milliseconds.
const MOST_DIGITS: usize = 15;

/// Where a page begins, as [`next`] has told.
pub fn position(after: Option<&str>) -> Result<Option<(Time, Uuid)>, Problem> {
    // As it was written here and not otherwise: what looks different is not ours.
    let parse = |text: &str| {
        let (time, id) = text.split_once('_')?;
        let position = (Time(time.parse().ok()?), id.parse().ok()?);
        (time.len() <= MOST_DIGITS && cursor(position) == text).then_some(position)
    };
    let invalid = || Problem::invalid_query("`after` is the `next` of the page before");
    after.map(|cursor| parse(cursor).ok_or_else(invalid)).transpose()
}

/// Where the next page begins, if this one of `length` items is full.
pub fn next(last: Option<(Time, Uuid)>, length: usize, limit: u32) -> Option<String> {
    last.filter(|_| length >= limit as usize).map(cursor)
}

fn cursor((time, id): (Time, Uuid)) -> String {
    format!("{}_{id}", time.0)
}

pub fn saga_page(found: &Found) -> SagaPage {
    let next = found.next.map(|(time, id)| cursor((time, id.0)));
    SagaPage { sagas: found.sagas.iter().map(summary).collect(), next }
}

pub fn count(count: &engine::view::Count) -> Count {
    Count {
        definition: count.definition.clone(),
        version: count.version,
        status: count.status,
        count: count.count,
    }
}

fn summary(row: &SagaRow) -> SagaSummary {
    SagaSummary {
        id: row.id.0,
        definition: row.definition.to_string(),
        version: row.version,
        key: row.key.clone(),
        status: row.status,
        paused: row.paused,
        started_at: rfc3339(row.started_at),
        changed_at: rfc3339(row.changed_at),
    }
}

/// `None`: the saga was never started.
pub fn saga(view: &SagaView) -> Option<Saga> {
    saga_in(&view.compiled.definition, &view.state, view.changed_at())
}

/// Most bytes of payloads that are shown of a saga.
const MOST_PAYLOADS: usize = 1024 * 1024;

/// The same with the payloads of commands, as far as they fit.
pub fn saga_with_payloads(view: &SagaView) -> Option<Saga> {
    let (definition, state) = (&view.compiled.definition, &view.state);
    let mut saga = saga(view)?;
    let mut left = MOST_PAYLOADS;
    let steps = sorted_steps(definition, state);
    for (shown, (path, step)) in saga.steps.iter_mut().zip(steps) {
        for (command, sent) in shown.commands.iter_mut().zip(sent_commands(definition, state, path, step)) {
            let Some(payload) = sent.payload() else { continue };
            let Some(rest) = left.checked_sub(payload.to_string().len()) else { return Some(saga) };
            left = rest;
            command.payload = Some(Arc::unwrap_or_clone(payload));
        }
    }
    Some(saga)
}

/// The saga in `state`, which something last happened to at `changed_at`.
fn saga_in(definition: &Definition, state: &State, changed_at: Time) -> Option<Saga> {
    let State { started, ended, stopping, .. } = state;
    let started = started.clone()?;
    let problem = stopping.as_ref().map(|stop| SagaProblem {
        code: stop.problem.code.to_string(),
        owner: stop.problem.code.owner(),
        message: stop.problem.message.clone(),
        details: stop.problem.details.clone(),
    });
    Some(Saga {
        id: state.id.0,
        definition: started.definition.to_string(),
        version: state.version(),
        key: started.key.clone(),
        status: state.status(),
        ended: state.status().is_final(),
        seq: state.seq,
        paused_at: state.paused.map(rfc3339),
        started_at: rfc3339(state.started_at),
        changed_at: rfc3339(changed_at),
        ended_at: ended.as_ref().map(|end| rfc3339(end.at)),
        input: Value::clone(&started.input),
        output: ended.as_ref().and_then(|end| end.output.as_deref().cloned()),
        attributes: started.attributes.clone(),
        waits_for: outlook::waits_for(definition, state),
        problem,
        steps: steps(definition, state),
        remaining: outlook::remaining(definition, state).into_iter().map(ahead).collect(),
        incidents: state.incidents.iter().map(|one| incident(definition, state, one)).collect(),
        timers: outlook::timers(state).into_iter().map(timer).collect(),
        parent: started
            .parent
            .as_ref()
            .map(|parent| Parent { saga: parent.saga.0, step: parent.step.to_string() }),
        restart_of: started.carried.as_ref().map(|carried| carried.saga.0),
        dead_letters: Vec::new(),
    })
}

/// In the order of the definition.
fn steps(definition: &Definition, state: &State) -> Vec<Step> {
    let view = |(path, step): (&StepPath, &StepState)| {
        let direction = if step.undo.is_some() { Direction::Compensate } else { Direction::Forward };
        Step {
            step: path.to_string(),
            status: step_status(step),
            attempt: step.attempts(direction).last,
            output: step.output().cloned(),
            commands: sent_commands(definition, state, path, step).iter().map(sent_command).collect(),
        }
    };
    sorted_steps(definition, state).into_iter().map(view).collect()
}

fn sorted_steps<'a>(definition: &Definition, state: &'a State) -> Vec<(&'a StepPath, &'a StepState)> {
    let mut steps: Vec<_> = state.steps.iter().collect();
    steps.sort_by_key(|(path, _)| (definition.index_of(path.name()), path.items()));
    steps
}

fn sent_command(sent: &sent::SentCommand<'_>) -> SentCommand {
    SentCommand {
        direction: sent.direction,
        exchange: sent.command.exchange.to_string(),
        name: sent.command.name.to_string(),
        message_id: sent.message_id,
        attempts: sent.attempts,
        payload: None,
    }
}

fn step_status(step: &StepState) -> StepStatus {
    let undo = step.undo.as_ref().map(|undo| undo.pending);
    match (undo, &step.outcome) {
        (Some(None), _) => StepStatus::Compensated,
        (Some(Some(Pending::Operator)), _) => StepStatus::Held,
        (Some(Some(_)), _) => StepStatus::Compensating,
        (None, Outcome::Pending(Pending::Reply { .. })) => StepStatus::Awaiting,
        (None, Outcome::Pending(Pending::Backoff { .. })) => StepStatus::Backoff,
        (None, Outcome::Pending(Pending::Route { .. })) => StepStatus::WaitingForRoute,
        (None, Outcome::Pending(Pending::Operator)) => StepStatus::Held,
        (None, Outcome::Pending(Pending::Arrival { .. } | Pending::Child)) => StepStatus::Waiting,
        (None, Outcome::Pending(Pending::Sleep { .. })) => StepStatus::Sleeping,
        (None, Outcome::Omitted) => StepStatus::Omitted,
        (None, Outcome::Completed(_)) => StepStatus::Completed,
        (None, Outcome::Failed(_)) => StepStatus::Failed,
        (None, Outcome::Unknown { .. }) => StepStatus::Unknown,
    }
}

fn ahead(ahead: outlook::Ahead) -> Ahead {
    Ahead {
        step: ahead.step.to_string(),
        action: ahead.action.to_owned(),
        name: ahead.name.map(|name| name.to_string()),
        conditional: ahead.conditional,
    }
}

fn timer(timer: outlook::Timer) -> Timer {
    Timer {
        step: timer.step.map(|step| step.to_string()),
        what: timer.what.to_owned(),
        at: rfc3339(timer.at),
    }
}

fn incident(definition: &Definition, state: &State, incident: &state::Incident) -> Incident {
    let can = outlook::possible(definition, state, incident);
    Incident {
        step: incident.step.as_ref().map(ToString::to_string),
        direction: incident.direction,
        code: incident.problem.code.to_string(),
        owner: incident.problem.code.owner(),
        message: incident.problem.message.clone(),
        details: incident.problem.details.clone(),
        since: rfc3339(incident.at),
        can: can.into_iter().map(str::to_owned).collect(),
    }
}

/// What a decision led to, or would lead to.
pub fn intervened(preview: &Preview, is_preview: bool) -> Result<Intervened, Refusal> {
    let Preview { decision, compiled } = preview;
    let saga = saga_in(&compiled.definition, &decision.state, decision.entry.at);
    Ok(Intervened {
        preview: is_preview,
        seq: decision.state.seq,
        status: decision.state.status(),
        sends: decision.messages.iter().filter_map(sends).collect(),
        saga: saga.ok_or(SubmitError::Ignored(Ignored::UnknownSaga))?,
    })
}

/// What is told of a message. Lifecycle events are not: they only say what the rest of the answer says.
fn sends(message: &Message) -> Option<Sends> {
    let json = |payload: &RawValue| serde_json::from_str(payload.get()).unwrap_or_default();
    let told = |kind: &str, payload| Sends {
        kind: kind.to_owned(),
        step: None,
        direction: None,
        attempt: None,
        to: None,
        name: None,
        payload,
    };
    Some(match message {
        Message::Command(command) => Sends {
            step: Some(command.step.to_string()),
            direction: Some(command.direction),
            attempt: Some(command.attempt),
            to: Some(command.exchange.to_string()),
            name: Some(command.name.to_string()),
            ..told("command", json(&command.payload))
        },
        Message::Event(event) => Sends {
            step: Some(event.step.to_string()),
            to: Some(event.exchange.to_string()),
            name: Some(event.name.to_string()),
            ..told("event", json(&event.payload))
        },
        Message::Order(order) => Sends {
            step: Some(order.parent.step.to_string()),
            name: Some(format!("{}@{}", order.definition, order.version)),
            ..told("saga", json(&order.input))
        },
        Message::Report(report) => {
            Sends { step: Some(report.attempt.step.to_string()), ..told("report", Value::Null) }
        }
        Message::Outcome(outcome) => {
            Sends { to: Some(outcome.to.queue.clone()), ..told("outcome", json(&outcome.body)) }
        }
        Message::Lifecycle(_) => return None,
    })
}

pub fn migration(migration: operator::Migration, is_preview: bool) -> Migration {
    let blocked = |obstacle: Obstacle| Blocked {
        code: obstacle.code.to_owned(),
        step: obstacle.step.map(|step| step.to_string()),
        message: obstacle.message,
    };
    Migration {
        preview: is_preview,
        from: migration.from,
        to: migration.to,
        safe: migration.obstacles.is_empty(),
        blocked: migration.obstacles.into_iter().map(blocked).collect(),
        seq: migration.seq,
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
