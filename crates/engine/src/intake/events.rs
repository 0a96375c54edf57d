//! Domain events: the sagas that they start, and the sagas that they may be about.
//!
//! An event names no saga. Each definition that listens for it makes a business key from the event's body, and the key gives
//! the saga's id, so that no look-up is needed. The core decides whether the saga accepts the event.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tracing::Instrument;

use crate::definitions::{Definitions, computing};
use crate::event_buffer::{BufferResult, EarlyArrival, EventBuffer, FULL};
use crate::intake::verdict::dead_letter;
use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use crate::operations::start::{StartRequest, Starter};
use snorri_core::definition::{Definition, EventPattern, Trigger};
use snorri_core::expression::template::Template;
use snorri_core::expression::{EvaluationError, Expression, Scope, Variable};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::json::number_text;
use snorri_core::{Input, Rejection, SagaId};
use snorri_definition::Compiled;
use snorri_ports::broker::{Delivery, Verdict};
use snorri_wire::envelope::{self, Wire};

/// The scope of an expression outside of a saga: one variable.
pub(crate) struct Only<'a>(pub &'static str, pub &'a Value);

impl Scope for Only<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == self.0).then_some(Variable::Json(self.1))
    }
}

/// Submits events to the sagas that they start, and to those that they may be about.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) starter: Arc<Starter>,
    pub(crate) submitter: Submitter,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) event_buffer: Arc<EventBuffer>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) wire: Wire,
}

/// The results of one event.
#[derive(Default)]
struct EventResult {
    again: bool,
    /// Whether a saga was started by it, or exists for it to be about.
    matched: bool,
    /// Whether it is buffered for a saga.
    buffered: bool,
    refused: Vec<String>,
    /// The sagas for which it was not buffered, because there is no room.
    no_room: Vec<SagaId>,
}

impl Events {
    /// Starts sagas by the event, then gives it to the sagas that it may be about: one saga can be both.
    pub(crate) async fn take_in(&self, delivery: &Delivery) -> Verdict {
        let span = tracing::debug_span!("event", event = delivery.routing_key);
        self.distribute(delivery).instrument(span).await
    }

    async fn distribute(&self, delivery: &Delivery) -> Verdict {
        let arrival = match self.wire.decode_event(delivery) {
            Ok(arrival) => Arc::new(arrival),
            Err(undecodable) => return dead_letter("undecodable", undecodable.to_string()),
        };
        let trace_id = envelope::trace_id_of(&delivery.properties);
        let is_known = || self.definitions.all().iter().any(|compiled| listens(compiled, &arrival.source));
        if !is_known()
            && let Err(error) = self.definitions.refresh().await
        {
            // Another process has bound the queue for it.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot look for the definitions of an event"
            );
            return Verdict::Requeue;
        }
        let mut tally = EventResult::default();
        for compiled in self.definitions.latest() {
            self.start(&compiled, &arrival, trace_id.as_deref(), &mut tally).await;
        }
        let mut early = Vec::new();
        for (saga, may_start) in self.addressees(&arrival) {
            match self.submitter.submit(saga, Input::Event(Arc::clone(&arrival))).await {
                Err(SubmitError::Rejected(Rejection::UnknownSaga)) => early.extend(may_start.then_some(saga)),
                decided => tally.take(saga, decided.map(|_| ())),
            }
        }
        for saga in early {
            self.buffer(saga, &arrival, &mut tally).await;
        }
        if tally.is_unmatched() {
            self.metrics.observe_unmatched_event(&arrival.source, is_known());
        }
        tally.verdict()
    }

    /// Buffers an event for a saga that has not started yet.
    async fn buffer(&self, saga: SagaId, arrival: &Arc<ReceivedEvent>, tally: &mut EventResult) {
        let queue = self.wire.names.events.clone();
        let early = EarlyArrival { saga, arrival: Arc::clone(arrival), queue, matched: tally.matched };
        match self.event_buffer.buffer(early).await {
            Ok(BufferResult::Kept) => tally.buffered = true,
            Ok(BufferResult::Delivered(decided)) => tally.take(saga, decided),
            Ok(BufferResult::Full) => tally.no_room.push(saga),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot buffer an event now");
                tally.again = true;
            }
        }
    }

    async fn start(
        &self,
        compiled: &Compiled,
        arrival: &ReceivedEvent,
        trace_id: Option<&str>,
        tally: &mut EventResult,
    ) {
        let definition = &compiled.definition;
        for trigger in &definition.starts {
            let Trigger::Event { exchange, event, when, input } = trigger else { continue };
            if !is(&arrival.source, exchange, event) {
                continue;
            }
            let refused = |why: String| format!("`{}` was not started: {why}", definition.name);
            let mut templates = input.iter().flat_map(Template::expressions);
            let may_take_long = when.as_ref().is_some_and(Expression::may_take_long)
                || templates.any(Expression::may_take_long);
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
            match self.starter.start(request).await {
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

    /// The sagas that the event may be about, each once, and whether a saga that has not started can start.
    fn addressees(&self, arrival: &ReceivedEvent) -> BTreeMap<SagaId, bool> {
        let mut sagas = BTreeMap::new();
        for compiled in self.definitions.all() {
            for pattern in compiled.definition.events() {
                if is(&arrival.source, &pattern.exchange, &pattern.event)
                    && let Some(key) = key_of(pattern, &arrival.body)
                {
                    let Definition { name, version, .. } = &*compiled.definition;
                    *sagas.entry(SagaId::of_key(name, &key)).or_default() |=
                        self.definitions.is_active(name, *version);
                }
            }
        }
        sagas
    }
}

impl EventResult {
    /// Records the decision of a saga that has started.
    fn take(&mut self, saga: SagaId, decided: Result<(), SubmitError>) {
        match decided {
            Ok(()) => self.matched = true,
            Err(SubmitError::Rejected(ignored)) => {
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
            refused if !refused.is_empty() => dead_letter("refused", refused.join("; ")),
            // An event that another saga accepted has found its saga.
            _ if self.matched || self.no_room.is_empty() => Verdict::Ack,
            _ => {
                let sagas: Vec<_> = self.no_room.iter().map(ToString::to_string).collect();
                let reason = format!(
                    "the buffer for events of sagas that have not started has no room; it is about {}",
                    sagas.join(", ")
                );
                dead_letter(FULL, reason)
            }
        }
    }
}

/// The input of a start by an event. `None`: the trigger's condition is not true.
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

/// The business key that an event names. An event without one is about no saga.
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

fn listens(compiled: &Compiled, source: &EventSource) -> bool {
    let definition = &compiled.definition;
    let starts = definition.starts.iter().any(|trigger| match trigger {
        Trigger::Event { exchange, event, .. } => is(source, exchange, event),
        Trigger::Schedule { .. } => false,
    });
    starts || definition.events().any(|pattern| is(source, &pattern.exchange, &pattern.event))
}

fn is(source: &EventSource, from: &str, name: &str) -> bool {
    matches!(source, EventSource::Event { exchange, event } if **exchange == *from && **event == *name)
}
