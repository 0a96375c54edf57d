//! The wire contract: the form of Snorri's messages, whichever broker carries them.
//!
//! [`Wire`] holds the names and keys for encoding and decoding messages: [`Wire::publication`] encodes the messages of a saga,
//! [`Wire::decode_reply`] decodes replies, [`Wire::decode_event`] and [`decode_signal`] the events and signals that a saga may
//! wait for, [`decode_start`] starts. Nothing here does IO. A message that cannot be decoded gives [`Undecodable`], with a
//! sentence for the operator who finds it among the dead letters.

mod address;
mod body;
mod event;
mod keys;
mod reply;
mod signal;
mod start;
mod token;
mod wire;

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::header;
use crate::message::{Delivery, HeaderValue, Properties, Publication};
use snorri_core::journal::AnswerTo;
use snorri_core::json;
use snorri_core::message::{Command, SagaOutcome};
use snorri_core::text;
use snorri_core::{Message, PAYLOAD_LIMITS, SagaId, Time};

pub use address::ReplyToPattern;
pub use keys::{Key, Keyring, Keys, SECRET_BYTES};
pub use reply::DecodedReply;
pub use signal::{Signal, decode_signal};
pub use start::{StartRequest, answer_refused, decode_start, trace_id_of};
pub use wire::{Wire, origin, sign_origin};

/// The `app_id` of Snorri's messages.
pub const APP_ID: &str = "snorri";
pub const CONTENT_TYPE: &str = "application/json";

/// A message that can never be decoded. It has a reason with what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// A stable code.
    pub code: &'static str,
    /// A sentence or two for people, without the message's body.
    pub reason: String,
}

impl Undecodable {
    /// The message lacks something, or has the wrong form.
    pub const UNDECODABLE: &str = "undecodable";
    /// Its `correlation_id` has no valid MAC of this installation.
    pub const FORGED: &str = "forged";
    /// A start whose outcome may not be sent to its `reply_to`.
    pub const REPLY_TO_REFUSED: &str = "reply_to_refused";

    fn new(reason: impl Into<String>) -> Self {
        Self { code: Self::UNDECODABLE, reason: reason.into() }
    }
}

impl Wire {
    /// Encodes a saga's message. `None`: it does not leave Snorri.
    pub fn publication(&self, message: &Message) -> Option<Publication> {
        match message {
            Message::Command(command) => Some(self.command_publication(command)),
            Message::Outcome(outcome) => Some(outcome_publication(outcome)),
            Message::Event(event) => Some(event::event_publication(event)),
            Message::Lifecycle(lifecycle) => {
                Some(event::lifecycle_publication(lifecycle, &self.names.lifecycle))
            }
            Message::ChildCommand(_) | Message::ChildResult(_) => None,
        }
    }

    fn command_publication(&self, command: &Command) -> Publication {
        let message_id = command.idempotency_key();
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let mut headers = BTreeMap::from([
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
        if let Some(exchange) = &self.reply_exchange {
            headers.insert(header::REPLY_EXCHANGE.to_owned(), text(exchange));
        }
        Publication {
            exchange: command.exchange.to_string(),
            routing_key: command.name.to_string(),
            properties: Properties {
                kind: Some(command.name.to_string()),
                message_id: Some(message_id.to_string()),
                correlation_id: Some(self.correlation_id(command.saga, &command.attempt())),
                reply_to: Some(self.names.replies.clone()),
                content_type: Some(CONTENT_TYPE.to_owned()),
                content_encoding: None,
                app_id: Some(APP_ID.to_owned()),
                timestamp: Some(seconds(command.sent_at)),
                expiration: None,
                headers,
            },
            body: command.payload.get().as_bytes().to_vec(),
        }
    }
}

fn outcome_publication(outcome: &SagaOutcome) -> Publication {
    let headers = BTreeMap::from([
        (header::SAGA.to_owned(), HeaderValue::Text(outcome.saga.to_string())),
        (header::DEFINITION.to_owned(), HeaderValue::Text(outcome.definition.to_string())),
    ]);
    Publication {
        exchange: String::new(),
        routing_key: outcome.to.queue.clone(),
        properties: Properties {
            kind: Some(outcome.status.as_str().to_owned()),
            message_id: Some(outcome_id(outcome).to_string()),
            correlation_id: outcome.to.correlation_id.clone(),
            reply_to: None,
            content_type: Some(CONTENT_TYPE.to_owned()),
            content_encoding: None,
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(outcome.sent_at)),
            expiration: None,
            headers,
        },
        body: outcome.body.get().as_bytes().to_vec(),
    }
}

/// A saga has one outcome for each address: the same outcome for another request is another message.
fn outcome_id(outcome: &SagaOutcome) -> Uuid {
    let AnswerTo { queue, correlation_id } = &outcome.to;
    let address = format!("outcome/{queue}/{}", correlation_id.as_deref().unwrap_or_default());
    Uuid::new_v5(&outcome.saga.0, address.as_bytes())
}

/// All commands of a saga belong to one trace: that of its start, or else one named after the saga itself.
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
    let body = without_mark(body);
    if body.is_empty() {
        return Ok(Value::Null);
    }
    json::read(body, PAYLOAD_LIMITS)
        .map_err(|error| Undecodable::new(format!("the body is refused: {error}")))
}

/// Refuses a name with an invisible character.
fn check_name(what: &str, name: &str) -> Result<(), Undecodable> {
    match text::find_invisible(name) {
        None => Ok(()),
        Some(found) => Err(Undecodable::new(format!(
            "{what} has the control or format character U+{:04X}: send it without",
            u32::from(found)
        ))),
    }
}

/// A body without the byte order mark with which some programs begin UTF-8.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The `type` of a delivery.
fn kind(delivery: &Delivery) -> Option<&str> {
    delivery.properties.kind.as_deref().filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests;
