//! The wire contract: what Snorri's messages look like, whichever broker carries them.
//!
//! [`publication`] writes what a saga sends, [`decode_reply`] reads what participants answer, [`decode_start`] what
//! asks for a new saga, [`decode_signal`] and [`decode_event`] what a saga may wait for. Nothing here does IO. What cannot be read is [`Undecodable`], with a sentence for the person
//! who will find the message among the dead letters.

mod event;
mod reply;
mod signal;
mod start;
mod token;

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use self::token::Token;
use super::topology::Names;
use super::{Delivery, HeaderValue, Properties, Publication};
use crate::json;
use crate::saga::input::Attempt;
use crate::saga::message::{Command, Outcome};
use crate::saga::{Message, PAYLOAD_LIMITS, SagaId, StepPath, Time};
use crate::text;

pub use reply::decode_reply;
pub use signal::{decode_event, decode_signal};
pub use start::{StartRequest, answer_refused, decode_start, trace_id_of};

/// The `app_id` of all that Snorri sends.
pub const APP_ID: &str = "snorri";
pub const CONTENT_TYPE: &str = "application/json";

/// The headers of the messages that Snorri sends.
pub mod header {
    pub const SAGA: &str = "snorri-saga";
    pub const DEFINITION: &str = "snorri-definition";
    /// On a signal: a saga's business key.
    pub const KEY: &str = "snorri-key";
    pub const STEP: &str = "snorri-step";
    /// `forward` or `compensate`.
    pub const DIRECTION: &str = "snorri-direction";
    /// An integer, from 1.
    pub const ATTEMPT: &str = "snorri-attempt";
    /// When the orchestrator stops waiting for this attempt: an integer, milliseconds since the Unix epoch.
    pub const DEADLINE: &str = "snorri-deadline";
    /// W3C Trace Context.
    pub const TRACEPARENT: &str = "traceparent";
    /// On a dead letter: why it is one, as a stable code and as a sentence.
    pub const CODE: &str = "snorri-code";
    pub const REASON: &str = "snorri-reason";
    /// On a dead letter: the queue it was taken from.
    pub const QUEUE: &str = "snorri-queue";
    /// On a dead letter: where it was published to, without which a replayed event could not be read.
    pub const EXCHANGE: &str = "snorri-exchange";
    pub const ROUTING_KEY: &str = "snorri-routing-key";
}

/// A message that nobody will ever understand. It says what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// A sentence or two for people, without the message's body.
    pub reason: String,
}

impl Undecodable {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What a saga's message looks like on the wire. `None`: it does not go there.
pub fn publication(message: &Message, names: &Names) -> Option<Publication> {
    match message {
        Message::Command(command) => Some(command_publication(command, &names.replies)),
        Message::Outcome(outcome) => Some(outcome_publication(outcome)),
        Message::Event(event) => Some(event::event_publication(event)),
        Message::Lifecycle(lifecycle) => Some(event::lifecycle_publication(lifecycle, &names.lifecycle)),
        Message::Order(_) | Message::Report(_) => None,
    }
}

fn command_publication(command: &Command, reply_queue: &str) -> Publication {
    let message_id = command.idempotency_key();
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let headers = BTreeMap::from([
        (header::SAGA.to_owned(), HeaderValue::Text(command.saga.to_string())),
        (header::DEFINITION.to_owned(), text(&command.definition)),
        (header::STEP.to_owned(), HeaderValue::Text(command.step.to_string())),
        (header::DIRECTION.to_owned(), text(command.direction.as_str())),
        (header::ATTEMPT.to_owned(), HeaderValue::Integer(command.attempt.into())),
        (header::DEADLINE.to_owned(), HeaderValue::Integer(command.deadline.0)),
        (
            header::TRACEPARENT.to_owned(),
            HeaderValue::Text(traceparent(command.saga, command.trace_id.as_deref(), message_id)),
        ),
    ]);
    Publication {
        exchange: command.exchange.to_string(),
        routing_key: command.name.to_string(),
        properties: Properties {
            kind: Some(command.name.to_string()),
            message_id: Some(message_id.to_string()),
            correlation_id: Some(Token::new(command.saga, command.attempt()).to_string()),
            reply_to: Some(reply_queue.to_owned()),
            content_type: Some(CONTENT_TYPE.to_owned()),
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(command.sent_at)),
            expiration: None,
            headers,
        },
        body: command.payload.get().as_bytes().to_vec(),
    }
}

fn outcome_publication(outcome: &Outcome) -> Publication {
    let headers = BTreeMap::from([
        (header::SAGA.to_owned(), HeaderValue::Text(outcome.saga.to_string())),
        (header::DEFINITION.to_owned(), HeaderValue::Text(outcome.definition.to_string())),
    ]);
    Publication {
        exchange: String::new(),
        routing_key: outcome.to.queue.clone(),
        properties: Properties {
            kind: Some(outcome.status.as_str().to_owned()),
            message_id: Some(outcome_id(outcome.saga).to_string()),
            correlation_id: outcome.to.correlation_id.clone(),
            reply_to: None,
            content_type: Some(CONTENT_TYPE.to_owned()),
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(outcome.sent_at)),
            expiration: None,
            headers,
        },
        body: outcome.body.get().as_bytes().to_vec(),
    }
}

/// A saga has one outcome, so that its id needs nothing but the saga's.
fn outcome_id(saga: SagaId) -> Uuid {
    Uuid::new_v5(&saga.0, b"outcome")
}

/// What the `correlation_id` of a reply to this attempt is.
pub fn correlation_id(saga: SagaId, attempt: &Attempt) -> String {
    Token::new(saga, attempt.clone()).to_string()
}

/// The saga, and the step, that a message seems to be about.
pub fn addressee(properties: &Properties) -> Option<(SagaId, Option<StepPath>)> {
    if let Some(token) = properties.correlation_id.as_deref().and_then(|text| text.parse::<Token>().ok()) {
        return Some((token.saga, Some(token.attempt.step)));
    }
    match properties.headers.get(header::SAGA) {
        Some(HeaderValue::Text(saga)) => Some((saga.parse().ok()?, None)),
        _ => None,
    }
}

/// All commands of a saga belong to one trace: that of whoever started it, or else one named after the saga itself.
fn traceparent(saga: SagaId, trace_id: Option<&str>, message_id: Uuid) -> String {
    let own = saga.0.simple();
    let message = message_id.simple().to_string();
    match trace_id {
        Some(trace_id) => format!("00-{trace_id}-{}-01", &message[..16]),
        None => format!("00-{own}-{}-01", &message[..16]),
    }
}

fn seconds(at: Time) -> u64 {
    u64::try_from(at.0 / 1000).unwrap_or(0)
}

/// Reads a JSON body; an empty one is null.
fn json(body: &[u8]) -> Result<Value, Undecodable> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    json::read(body, PAYLOAD_LIMITS)
        .map_err(|error| Undecodable::new(format!("the body is refused: {error}")))
}

/// Refuses a text that names something and has a character that is not seen.
fn check_name(what: &str, name: &str) -> Result<(), Undecodable> {
    match text::find_invisible(name) {
        None => Ok(()),
        Some(found) => Err(Undecodable::new(format!(
            "{what} has the control or format character U+{:04X}: send it without",
            u32::from(found)
        ))),
    }
}

/// The `type` of a delivery, or a sentence that begins with what is wrong with it.
fn kind(delivery: &Delivery) -> Option<&str> {
    delivery.properties.kind.as_deref().filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests;
