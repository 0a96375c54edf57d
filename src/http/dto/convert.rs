//! Conversion between the types of the engine and the types of the API.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::http::problem::ErrorResponse;
use snorri_api::interventions::{Blocked, EmittedMessage, Intervened, MessageKind, Migration};
use snorri_api::journal::JournalEntry;
use snorri_api::sagas::{
    Count, Incident, Parent, Saga, SagaPage, SagaProblem, SagaQuery, SagaSummary, SentCommand, StartRequest,
    Started, Step, StepStatus, Timer, UpcomingStep,
};
use snorri_core::journal::Entry;
use snorri_core::migration::Obstacle;
use snorri_core::outlook::sent::{self, sent_commands};
use snorri_core::state::{self, Pending, StepOutcome, StepState};
use snorri_core::{Definition, Direction, Message, Rejection, SagaId, State, StepPath, Time, outlook};
use snorri_engine::SubmitError;
use snorri_engine::operations::interventions::{self, Preview, Refusal};
use snorri_engine::queries::search::{Found, Query};
use snorri_engine::queries::view::{Filter, SagaRow, SagaView};

pub fn start(body: StartRequest, idempotency_key: Option<String>) -> snorri_engine::StartRequest {
    snorri_engine::StartRequest {
        definition: body.definition,
        version: body.version,
        input: body.input,
        attributes: body.attributes,
        message_id: idempotency_key,
        ..snorri_engine::StartRequest::default()
    }
}

pub fn started(started: snorri_engine::Started) -> Started {
    Started { id: started.id.0, key: started.key, created: started.is_new }
}

/// Decodes the filter and the position of a search.
pub fn query(query: &SagaQuery, after: Option<&str>) -> Result<Query, ErrorResponse> {
    if query.version.is_some() && query.definition.is_none() {
        return Err(ErrorResponse::invalid_query("`version` requires `definition`"));
    }
    let attribute = query.attribute.as_deref().map(|text| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| ErrorResponse::invalid_query("`attribute` must be `name=value`"))
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

fn time(name: &str, text: Option<&str>) -> Result<Option<Time>, ErrorResponse> {
    let invalid = || {
        ErrorResponse::invalid_query(format!(
            "`{name}` must be an RFC 3339 time, such as 2026-11-21T08:00:00Z"
        ))
    };
    text.map(|text| Time::from_rfc3339(text).ok_or_else(invalid)).transpose()
}

/// Maximum number of digits of the time in a cursor: thousands of years, in milliseconds.
const MOST_DIGITS: usize = 15;

/// Decodes the position that [`next`] encoded.
pub fn position(after: Option<&str>) -> Result<Option<(Time, Uuid)>, ErrorResponse> {
    // Accepts only the encoding of `cursor`.
    let parse = |text: &str| {
        let (time, id) = text.split_once('_')?;
        let position = (Time(time.parse().ok()?), id.parse().ok()?);
        (time.len() <= MOST_DIGITS && cursor(position) == text).then_some(position)
    };
    let invalid = || ErrorResponse::invalid_query("`after` must be the `next` of the previous page");
    after.map(|cursor| parse(cursor).ok_or_else(invalid)).transpose()
}

/// Encodes the position of the next page, if this one of `length` items is full.
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

pub fn count(count: &snorri_engine::queries::view::Count) -> Count {
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
        started_at: row.started_at.to_rfc3339(),
        changed_at: row.changed_at.to_rfc3339(),
    }
}

/// `None`: the saga was never started.
pub fn saga(view: &SagaView) -> Option<Saga> {
    saga_in(&view.compiled.definition, &view.state, view.changed_at())
}

/// Maximum number of bytes of payloads in a response.
const MOST_PAYLOADS: usize = 1024 * 1024;

/// The saga with the payloads of its commands, as far as they fit.
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

/// The saga in `state`, whose last journal entry is of `changed_at`.
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
        paused_at: state.paused.map(Time::to_rfc3339),
        started_at: state.started_at.to_rfc3339(),
        changed_at: changed_at.to_rfc3339(),
        ended_at: ended.as_ref().map(|end| end.at.to_rfc3339()),
        input: Value::clone(&started.input),
        output: ended.as_ref().and_then(|end| end.output.as_deref().cloned()),
        attributes: started.attributes.clone(),
        waits_for: outlook::waits_for(definition, state),
        problem,
        steps: steps(definition, state),
        upcoming_steps: outlook::upcoming_steps(definition, state).into_iter().map(upcoming_step).collect(),
        incidents: state.incidents.iter().map(|one| incident(definition, state, one)).collect(),
        timers: outlook::timers(state).into_iter().map(timer).collect(),
        parent: started
            .parent
            .as_ref()
            .map(|parent| Parent { saga: parent.saga.0, step: parent.step.to_string() }),
        restarted_from: started.inherited.as_ref().map(|carried| carried.saga.0),
        dead_letters: Vec::new(),
    })
}

/// The steps in the order of the definition.
fn steps(definition: &Definition, state: &State) -> Vec<Step> {
    let view = |(path, step): (&StepPath, &StepState)| {
        let direction = if step.compensation.is_some() { Direction::Compensate } else { Direction::Forward };
        Step {
            step: path.to_string(),
            status: step_status(step),
            skip_reason: step.skip_reason(),
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
    let compensation = step.compensation.as_ref().map(|compensation| compensation.pending);
    match (compensation, &step.outcome) {
        (Some(None), _) => StepStatus::Compensated,
        (Some(Some(Pending::Operator)), _) => StepStatus::Held,
        (Some(Some(_)), _) => StepStatus::Compensating,
        (None, StepOutcome::Pending(Pending::Reply { .. })) => StepStatus::Awaiting,
        (None, StepOutcome::Pending(Pending::Retry { .. })) => StepStatus::RetryScheduled,
        (None, StepOutcome::Pending(Pending::Route { .. })) => StepStatus::WaitingForRoute,
        (None, StepOutcome::Pending(Pending::Operator)) => StepStatus::Held,
        (None, StepOutcome::Pending(Pending::ReceivedEvent { .. } | Pending::Child)) => StepStatus::Waiting,
        (None, StepOutcome::Pending(Pending::Sleep { .. })) => StepStatus::Sleeping,
        (None, StepOutcome::Skipped) => StepStatus::Skipped,
        (None, StepOutcome::Completed(_)) => StepStatus::Completed,
        (None, StepOutcome::Failed(_)) => StepStatus::Failed,
        (None, StepOutcome::Unknown { .. }) if step.skipped_by_operator => StepStatus::Skipped,
        (None, StepOutcome::Unknown { .. }) => StepStatus::Unknown,
    }
}

fn upcoming_step(upcoming: outlook::UpcomingStep) -> UpcomingStep {
    UpcomingStep {
        step: upcoming.step.to_string(),
        action: upcoming.action,
        name: upcoming.name.map(|name| name.to_string()),
        conditional: upcoming.conditional,
    }
}

fn timer(timer: outlook::Timer) -> Timer {
    Timer { step: timer.step.map(|step| step.to_string()), kind: timer.kind, at: timer.at.to_rfc3339() }
}

fn incident(definition: &Definition, state: &State, incident: &state::Incident) -> Incident {
    Incident {
        step: incident.step.as_ref().map(ToString::to_string),
        direction: incident.direction,
        code: incident.problem.code.to_string(),
        owner: incident.problem.code.owner(),
        message: incident.problem.message.clone(),
        details: incident.problem.details.clone(),
        since: incident.at.to_rfc3339(),
        allowed_actions: outlook::allowed_actions(definition, state, incident),
    }
}

/// The result of a decision, or its preview.
pub fn intervened(preview: &Preview, is_preview: bool) -> Result<Intervened, Refusal> {
    let Preview { decision, compiled } = preview;
    let saga = saga_in(&compiled.definition, &decision.state, decision.entry.at);
    Ok(Intervened {
        preview: is_preview,
        seq: decision.state.seq,
        status: decision.state.status(),
        messages: decision.messages.iter().filter_map(emitted_message).collect(),
        saga: saga.ok_or(SubmitError::Rejected(Rejection::UnknownSaga))?,
    })
}

/// `None` for lifecycle events: they repeat the rest of the response.
fn emitted_message(message: &Message) -> Option<EmittedMessage> {
    let json = |payload: &RawValue| serde_json::from_str(payload.get()).unwrap_or_default();
    let of_kind = |kind, payload| EmittedMessage {
        kind,
        step: None,
        direction: None,
        attempt: None,
        destination: None,
        name: None,
        payload,
    };
    Some(match message {
        Message::Command(command) => EmittedMessage {
            step: Some(command.step.to_string()),
            direction: Some(command.direction),
            attempt: Some(command.attempt),
            destination: Some(command.exchange.to_string()),
            name: Some(command.name.to_string()),
            ..of_kind(MessageKind::Command, json(&command.payload))
        },
        Message::Event(event) => EmittedMessage {
            step: Some(event.step.to_string()),
            destination: Some(event.exchange.to_string()),
            name: Some(event.name.to_string()),
            ..of_kind(MessageKind::Event, json(&event.payload))
        },
        Message::ChildCommand(command) => EmittedMessage {
            step: Some(command.parent.step.to_string()),
            name: Some(format!("{}@{}", command.definition, command.version)),
            ..of_kind(MessageKind::ChildCommand, json(&command.input))
        },
        Message::ChildResult(result) => EmittedMessage {
            step: Some(result.attempt.step.to_string()),
            ..of_kind(MessageKind::ChildResult, Value::Null)
        },
        Message::Outcome(outcome) => EmittedMessage {
            destination: Some(outcome.to.queue.clone()),
            ..of_kind(MessageKind::Outcome, json(&outcome.body))
        },
        Message::Lifecycle(_) => return None,
    })
}

pub fn migration(migration: interventions::Migration, is_preview: bool) -> Migration {
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

/// A journal entry.
pub fn journal_entry(seq: u32, entry: &Entry) -> JournalEntry {
    let json = |fact| serde_json::to_value(fact).unwrap_or_default();
    JournalEntry {
        seq,
        at: entry.at.to_rfc3339(),
        cause: serde_json::to_value(&entry.cause).unwrap_or_default(),
        facts: entry.facts.iter().map(json).collect(),
    }
}
