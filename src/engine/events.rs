//! Domain events: what they start, and which sagas they may be about.
//!
//! An event names no saga. Each definition that listens for it says how the business key is made from the event's body,
//! and the key gives the saga's id, so that nothing has to be looked up. Whether the saga wants it is for the core to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::buffer::{self, EarlyArrival};
use super::computing;
use super::start::StartRequest;
use super::{Engine, SubmitError, intake};
use crate::broker::{Delivery, Verdict, envelope};
use crate::catalog::Compiled;
use crate::json::number_text;
use crate::saga::definition::{Definition, EventPattern, Trigger};
use crate::saga::expression::{EvaluationError, Expression, Scope, Variable};
use crate::saga::journal::{Arrival, Source};
use crate::saga::template::Template;
use crate::saga::{Ignored, Input, SagaId};

/// What an expression outside of a saga sees: one variable.
pub(super) struct Only<'a>(pub &'static str, pub &'a Value);

impl Scope for Only<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == self.0).then_some(Variable::Json(self.1))
    }
}

/// What became of the parts of one event.
#[derive(Default)]
struct Tally {
    again: bool,
    /// Whether a saga started by it, or is there for it to be about.
    matched: bool,
    /// Whether it waits for a saga to start.
    buffered: bool,
    refused: Vec<String>,
    /// The sagas that it was not buffered for, because there is no room.
    no_room: Vec<SagaId>,
}

/// Starts what the event starts, then gives it to the sagas that it may be about: it can be both for the same saga.
pub(super) async fn take_in(engine: Engine, delivery: Arc<Delivery>) -> Verdict {
    let arrival = match engine.wire().decode_event(&delivery) {
        Ok(arrival) => Arc::new(arrival),
        Err(undecodable) => return intake::dead_letter("undecodable", undecodable.to_string()),
    };
    let trace_id = envelope::trace_id_of(&delivery.properties);
    let is_known = || engine.definitions().all().iter().any(|compiled| listens(compiled, &arrival.source));
    if !is_known()
        && let Err(error) = engine.refresh().await
    {
        // Another process has bound the queue for it.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot look for the definitions of an event"
        );
        return Verdict::Requeue;
    }
    let mut tally = Tally::default();
    for compiled in engine.definitions().latest() {
        start(&engine, &compiled, &arrival, trace_id.as_deref(), &mut tally).await;
    }
    let mut early = Vec::new();
    for (saga, may_start) in addressees(&engine, &arrival) {
        match engine.submit(saga, Input::Arrival(Arc::clone(&arrival))).await {
            Err(SubmitError::Ignored(Ignored::UnknownSaga)) => early.extend(may_start.then_some(saga)),
            decided => tally.take(saga, decided.map(|_| ())),
        }
    }
    for saga in early {
        buffer(&engine, saga, &arrival, &mut tally).await;
    }
    if tally.is_unmatched() {
        engine.metrics().observe_unmatched_event(&arrival.source, is_known());
    }
    tally.verdict()
}

/// Keeps an event for a saga that has not started yet.
async fn buffer(engine: &Engine, saga: SagaId, arrival: &Arc<Arrival>, tally: &mut Tally) {
    let queue = engine.wire().names.events.clone();
    let early = EarlyArrival { saga, arrival: Arc::clone(arrival), queue, matched: tally.matched };
    match engine.buffer(early).await {
        Ok(buffer::Outcome::Kept) => tally.buffered = true,
        Ok(buffer::Outcome::Delivered(decided)) => tally.take(saga, decided),
        Ok(buffer::Outcome::Full) => tally.no_room.push(saga),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot buffer an event now");
            tally.again = true;
        }
    }
}

impl Tally {
    /// Takes in what a saga that has started decided.
    fn take(&mut self, saga: SagaId, decided: Result<(), SubmitError>) {
        match decided {
            Ok(()) => self.matched = true,
            Err(SubmitError::Ignored(ignored)) => {
                self.matched = true;
                tracing::debug!(%saga, reason = %ignored, "the event changes nothing");
            }
            Err(error) if error.is_temporary() => self.again = true,
            Err(error) => self.refused.push(error.to_string()),
        }
    }

    fn is_unmatched(&self) -> bool {
        !self.again && !self.matched && !self.buffered && self.refused.is_empty()
    }

    fn verdict(self) -> Verdict {
        match self.refused {
            _ if self.again => Verdict::Requeue,
            refused if !refused.is_empty() => intake::dead_letter("refused", refused.join("; ")),
            // An event that another saga accepted has found whom it is about.
            _ if self.matched || self.no_room.is_empty() => Verdict::Ack,
            _ => {
                let sagas: Vec<_> = self.no_room.iter().map(ToString::to_string).collect();
                let reason = format!(
                    "the buffer for events of sagas that have not started has no room; it is about {}",
                    sagas.join(", ")
                );
                intake::dead_letter(buffer::FULL, reason)
            }
        }
    }
}

async fn start(
    engine: &Engine,
    compiled: &Compiled,
    arrival: &Arrival,
    trace_id: Option<&str>,
    tally: &mut Tally,
) {
    let definition = &compiled.definition;
    for trigger in &definition.starts {
        let Trigger::Event { exchange, event, when, input } = trigger else { continue };
        if !is(&arrival.source, exchange, event) {
            continue;
        }
        let refused = |why: String| format!("`{}` was not started: {why}", definition.name);
        let mut templates = input.iter().flat_map(Template::expressions);
        let may_take_long =
            when.as_ref().is_some_and(Expression::may_take_long) || templates.any(Expression::may_take_long);
        let make = || input_of(when.as_ref(), input.as_ref(), &arrival.body);
        let input = match computing::evaluate(may_take_long, &arrival.body, make) {
            Ok(Some(input)) => input,
            Ok(None) => continue,
            Err(error) => {
                tally.refused.push(refused(error.to_string()));
                continue;
            }
        };
        let request = StartRequest {
            definition: definition.name.to_string(),
            version: Some(definition.version),
            input,
            message_id: arrival.id.clone(),
            trace_id: trace_id.map(str::to_owned),
            ..StartRequest::default()
        };
        match engine.start(request).await {
            Ok(started) => {
                tally.matched = true;
                match started.conflict("message id") {
                    None => {
                        tracing::debug!(saga = %started.id, is_new = started.is_new, "started by an event");
                    }
                    Some(reason) => tracing::warn!(reason, "an event starts no further saga"),
                }
            }
            Err(error) if error.is_temporary() => tally.again = true,
            Err(error) => tally.refused.push(refused(error.to_string())),
        }
    }
}

/// The input that an event makes. `None`: its condition is not true.
fn input_of(
    when: Option<&Expression>,
    input: Option<&Template>,
    body: &Value,
) -> Result<Option<Value>, EvaluationError> {
    let scope = Only("event", body);
    if let Some(condition) = when {
        match condition.evaluate(&scope)? {
            Value::Bool(true) => {}
            Value::Bool(false) => return Ok(None),
            _ => {
                let message = "neither true nor false".to_owned();
                return Err(EvaluationError { expression: condition.source().to_owned(), message });
            }
        }
    }
    Ok(Some(match input {
        Some(template) => template.render(&scope)?,
        None => body.clone(),
    }))
}

/// The sagas that the event may be about, each once, and whether one can start if it has not.
fn addressees(engine: &Engine, arrival: &Arrival) -> BTreeMap<SagaId, bool> {
    let mut sagas = BTreeMap::new();
    for compiled in engine.definitions().all() {
        for pattern in compiled.definition.events() {
            if is(&arrival.source, &pattern.exchange, &pattern.event)
                && let Some(key) = key_of(pattern, &arrival.body)
            {
                let Definition { name, version, .. } = &*compiled.definition;
                *sagas.entry(SagaId::of_key(name, &key)).or_default() |=
                    engine.definitions().is_active(name, *version);
            }
        }
    }
    sagas
}

/// The business key that an event names. One that has none is about no saga.
fn key_of(pattern: &EventPattern, body: &Value) -> Option<String> {
    let correlate = || pattern.correlate.evaluate(&Only("event", body));
    match computing::evaluate(pattern.correlate.may_take_long(), body, correlate) {
        Ok(Value::String(key)) => Some(key),
        Ok(Value::Number(key)) => Some(number_text(&key)),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(event = %pattern.event, %error, "the event names no business key");
            None
        }
    }
}

fn listens(compiled: &Compiled, source: &Source) -> bool {
    let definition = &compiled.definition;
    let starts = definition.starts.iter().any(|trigger| match trigger {
        Trigger::Event { exchange, event, .. } => is(source, exchange, event),
        Trigger::Schedule { .. } => false,
    });
    starts || definition.events().any(|pattern| is(source, &pattern.exchange, &pattern.event))
}

fn is(source: &Source, from: &str, name: &str) -> bool {
    matches!(source, Source::Event { exchange, event } if **exchange == *from && **event == *name)
}
