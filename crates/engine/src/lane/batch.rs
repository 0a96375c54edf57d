//! Collects the decisions of a lane until they are committed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::dead_letters::letter::{self, Received};
use crate::lane::audit::{AuditContext, summary};
use crate::lane::request::Request;
use crate::lane::size;
use snorri_core::input::{Reply, ReplyResult};
use snorri_core::journal::{EventSource, Fact, Problem, ProblemCode};
use snorri_core::transition::Consequences;
use snorri_core::{Entry, Input, Message, SagaId, State, Status, StepPath, Time};
use snorri_ports::store::{
    Appended, Attributes, AuditEntry, Batch, ChangedSaga, DeadLetter, MessageRef, OpenIncidents, SagaRow,
};
use snorri_wire::envelope::Wire;

/// Decisions that are to be committed together. Later ones about a saga build on earlier ones.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    entries: Vec<Appended>,
    messages: Vec<(MessageRef, Arc<Message>)>,
    sagas: HashMap<SagaId, ChangedSaga>,
    dead_letters: Vec<DeadLetter>,
    incidents: HashMap<SagaId, (Time, Vec<String>)>,
    attributes: Vec<Attributes>,
    audit: Vec<AuditEntry>,
    bytes: usize,
}

/// What is compared with the state after a decision.
#[derive(Debug)]
pub struct Before {
    columns: Option<Columns>,
    codes: Vec<String>,
    /// For the audit.
    summary: Value,
}

impl Before {
    pub fn of(state: &State, audit: Option<&AuditContext>) -> Self {
        let summary = audit.map(|_| summary(state)).unwrap_or_default();
        Self { columns: columns(state), codes: codes(state), summary }
    }
}

/// The code of the incident of a saga that cannot be read or decided about.
pub(crate) const UNREADABLE: &str = "unreadable";

impl BatchBuilder {
    /// Adds one decision about a saga, with the state after it.
    pub fn add(
        &mut self,
        before: Before,
        state: &State,
        audit: Option<&AuditContext>,
        consequences: Consequences,
    ) {
        let Consequences { entry, messages } = consequences;
        self.bytes += size::of_entry(&entry) + messages.iter().map(size::of_message).sum::<usize>();
        if before.columns != columns(state)
            && let Some(row) = saga_row(state, entry.at)
        {
            let is_new = state.seq == 1 || self.sagas.get(&state.id).is_some_and(|saga| saga.is_new);
            self.sagas.insert(state.id, ChangedSaga { row, is_new, timer: state.wake });
        }
        let codes = codes(state);
        if before.codes != codes {
            self.incidents.insert(state.id, (state.started_at, codes));
        }
        if state.seq == 1
            && let Some(attributes) = attributes(state)
        {
            self.attributes.push(attributes);
        }
        let at = |index| MessageRef { saga: state.id, seq: state.seq, index };
        let messages = (0..).zip(messages).map(|(index, message)| (at(index), Arc::new(message)));
        self.messages.extend(messages);
        self.audit.extend(audit.map(|audit| audit.entry(before.summary, state, entry.at)));
        self.entries.push(Appended { saga: state.id, started_at: state.started_at, seq: state.seq, entry });
    }

    /// Keeps a copy of the message behind `entry` as a dead letter, if the input could only be an error: a reply that could not
    /// be decoded, or one, direct or by an event, that violates its schema. The journal has only the problem.
    pub fn keep_unusable(&mut self, wire: &Wire, saga: SagaId, request: &Request, entry: &Entry) {
        let Some((step, problem)) = problem_of(request, entry) else { return };
        let received = match &request.options.unreadable {
            Some(received) => Some(Received::clone(received)),
            None => received_as(wire, saga, &request.input),
        };
        let Some(Received { queue, properties, body }) = received else { return };
        self.dead_letters.push(DeadLetter {
            id: Uuid::now_v7(),
            at: entry.at,
            queue,
            code: problem.code.to_string(),
            reason: problem.message.clone(),
            saga: Some(saga),
            step: Some(step.to_string()),
            properties,
            body,
            resolved_at: None,
        });
    }

    /// Takes the messages to be sent once the batch is committed.
    pub fn take_messages(&mut self) -> Vec<(MessageRef, Arc<Message>)> {
        std::mem::take(&mut self.messages)
    }

    pub fn entries(&self) -> &[Appended] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.incidents.is_empty()
    }

    /// The approximate number of bytes of the entries and messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lists a saga among those with incidents although it cannot be read or decided about.
    pub fn set_aside(&mut self, saga: SagaId, started_at: Time) {
        let (_, codes) = self.incidents.entry(saga).or_insert((started_at, Vec::new()));
        codes.push(UNREADABLE.to_owned());
    }

    /// The batch, without its messages.
    pub fn into_batch(self) -> Batch {
        let incidents = self.incidents.into_iter().map(|(saga, (started_at, codes))| OpenIncidents {
            saga,
            started_at,
            codes,
        });
        Batch {
            entries: self.entries,
            sagas: self.sagas.into_values().collect(),
            dead_letters: self.dead_letters,
            incidents: incidents.collect(),
            attributes: self.attributes,
            audit: self.audit,
            ..Batch::default()
        }
    }
}

/// The problem of the message behind `entry`, and the step that the message was for.
fn problem_of<'a>(request: &'a Request, entry: &'a Entry) -> Option<(&'a StepPath, &'a Problem)> {
    if request.options.unreadable.is_some()
        && let Input::Reply(Reply { attempt, result: ReplyResult::Error(problem) }) = &request.input
    {
        return Some((&attempt.step, problem));
    }
    entry.facts.iter().find_map(|fact| match fact {
        Fact::RetryScheduled { step, problem, .. }
        | Fact::Held { step, problem, .. }
        | Fact::Unknown { step, problem } => problem.is(ProblemCode::Schema).then_some((step, problem)),
        _ => None,
    })
}

/// The message of a reply: its queue, its relevant properties, and its body.
fn received_as(wire: &Wire, saga: SagaId, input: &Input) -> Option<Received> {
    match input {
        Input::Reply(Reply { attempt, result: ReplyResult::Success(body) }) => {
            let correlation_id = wire.correlation_id(saga, attempt);
            let properties = json!({"type": "success", "correlation_id": correlation_id});
            let body = body.to_string().into_bytes();
            Some(Received { queue: wire.names.replies.clone(), properties, body })
        }
        Input::Event(arrival) => {
            let EventSource::Event { .. } = &arrival.source else { return None };
            let properties = letter::properties_of(saga, arrival);
            let body = arrival.body.to_string().into_bytes();
            Some(Received { queue: wire.names.events.clone(), properties, body })
        }
        _ => None,
    }
}

/// The columns of a saga's row that change: its status, its version, whether it is paused, and its timer.
type Columns = (Status, u32, bool, Option<Time>);

fn columns(state: &State) -> Option<Columns> {
    (state.seq > 0).then(|| (state.status(), state.version(), state.paused.is_some(), state.wake))
}

/// The codes of the incidents that an operator has to resolve.
fn codes(state: &State) -> Vec<String> {
    if state.incidents.is_empty() || state.ended.is_some() {
        return Vec::new();
    }
    let mut codes: Vec<_> =
        state.incidents.iter().map(|incident| incident.problem.code.to_string()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn attributes(state: &State) -> Option<Attributes> {
    let values = &state.started.as_ref()?.attributes;
    let attributes = || Attributes { saga: state.id, started_at: state.started_at, values: values.clone() };
    (!values.is_empty()).then(attributes)
}

fn saga_row(state: &State, changed_at: Time) -> Option<SagaRow> {
    let started = state.started.as_ref()?;
    Some(SagaRow {
        id: state.id,
        definition: Arc::clone(&started.definition),
        version: state.version(),
        key: started.key.clone(),
        status: state.status(),
        paused: state.paused.is_some(),
        started_at: state.started_at,
        changed_at,
    })
}
