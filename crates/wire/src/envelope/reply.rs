//! Decodes replies.
//!
//! A participant that echoes the `correlation_id` is never ignored. Its `failure` is a failure, whatever the body, because only
//! the participant knows that nothing happened. Everything else that cannot be decoded is an error of that attempt, with the
//! problem as its message.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::body::{self, compression};
use super::keys::Keyring;
use super::token::{Token, TokenError};
use super::{Undecodable, json, kind};
use crate::message::Delivery;
use snorri_core::input::{Reply, ReplyResult};
use snorri_core::journal::{Problem, ProblemCode};
use snorri_core::text::escape_in_lines;
use snorri_core::{MAX_PAYLOAD_BYTES, SagaId};

/// The code of a failure or error whose body has none.
const UNSPECIFIED: &str = "unspecified";
/// Most characters of a message that is made of a body that is not JSON.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// Most bytes of a participant's code.
const MAX_CODE_BYTES: usize = 200;

/// A reply, and whether it could be decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedReply {
    pub saga: SagaId,
    pub reply: Reply,
    /// `false`: the message could not be decoded, and the reply is that error. The message itself is to be kept.
    pub is_readable: bool,
}

/// Decodes a participant's reply: the `correlation_id` of the command echoed, a `type` of `success`, `failure` or `error`, and
/// as JSON body the output or `{code, message, details}`.
///
/// # Errors
///
/// Only if the `correlation_id` is missing, is no token, or is a forged one.
pub(super) fn decode(delivery: &Delivery, keys: &Keyring) -> Result<DecodedReply, Undecodable> {
    let Token { saga, attempt } = token(delivery, keys)?;
    let (result, is_readable) = match result(delivery) {
        Ok(result) => (result, true),
        Err(problem) => (ReplyResult::Error(problem), false),
    };
    Ok(DecodedReply { saga, reply: Reply { attempt, result }, is_readable })
}

fn token(delivery: &Delivery, keys: &Keyring) -> Result<Token, Undecodable> {
    const INSTEAD: &str = "echo the `correlation_id` of the command as it came";
    let Some(text) = &delivery.properties.correlation_id else {
        return Err(Undecodable::new(format!("the reply has no `correlation_id`: {INSTEAD}")));
    };
    Token::verify(text, keys).map_err(|error| match error {
        TokenError::Foreign => Undecodable::new(format!(
            "the `correlation_id` is not one that Snorri sent with a command: {INSTEAD}"
        )),
        TokenError::Forged => Undecodable {
            code: Undecodable::FORGED,
            reason: format!(
                "the `correlation_id` was not made with a key of this installation, so the reply changes nothing: {INSTEAD}"
            ),
        },
    })
}

fn result(delivery: &Delivery) -> Result<ReplyResult, Problem> {
    const INSTEAD: &str = "set it to `success`, `failure` or `error`";
    let unreadable = |reason: String| Err(Problem::new(ProblemCode::UnreadableReply, reason));
    match kind(delivery) {
        Some("success") => Ok(ReplyResult::Success(Arc::new(output(delivery)?))),
        Some("failure") => Ok(ReplyResult::Failure(problem(delivery))),
        Some("error") => Ok(ReplyResult::Error(problem(delivery))),
        Some(other) if matches!(&*other.to_ascii_lowercase(), "success" | "failure" | "error") => {
            unreadable(format!("the `type` of the reply is `{other}`: write it in lower case"))
        }
        Some(other) => {
            unreadable(format!("`{}` is not the `type` of a reply: {INSTEAD}", escape_in_lines(other)))
        }
        None => unreadable(format!("the reply has no `type`: {INSTEAD}")),
    }
}

/// The output of a success.
fn output(delivery: &Delivery) -> Result<Value, Problem> {
    let bytes = delivery.body_bytes();
    if bytes > MAX_PAYLOAD_BYTES as u64 {
        let message = format!(
            "the reply has {bytes} bytes: send at most {MAX_PAYLOAD_BYTES}, and large data by reference"
        );
        return Err(Problem::new(ProblemCode::PayloadTooLarge, message));
    }
    body::decode(delivery).map_err(|error| Problem::new(ProblemCode::UnreadableReply, error.reason))
}

/// The description of a failure or an error: its JSON, or else its text.
fn problem(delivery: &Delivery) -> Problem {
    if let Some(coding) = compression(&delivery.properties) {
        let message = format!("the participant's reason is compressed (`{coding}`) and was not read");
        return Problem::of_participant(UNSPECIFIED, message);
    }
    let is_small = delivery.body_bytes() <= MAX_PAYLOAD_BYTES as u64;
    let read =
        is_small.then(|| json(&delivery.body).or_else(|_| json(body::text(&delivery.body).as_bytes())));
    match read {
        Some(Ok(Value::Object(fields))) => explained(fields),
        Some(Ok(Value::Null)) => Problem::of_participant(UNSPECIFIED, "the participant gave no reason"),
        Some(Ok(Value::String(message))) => Problem::of_participant(UNSPECIFIED, message),
        Some(Ok(details)) => Problem { details: Some(details), ..Problem::of_participant(UNSPECIFIED, "") },
        Some(Err(_)) | None => Problem::of_participant(UNSPECIFIED, excerpt(&delivery.body)),
    }
}

/// Reads `{code, message, details}`. All other fields become part of the details.
fn explained(mut fields: Map<String, Value>) -> Problem {
    let mut text = |name: &str| match fields.get(name) {
        Some(Value::String(_)) => fields.remove(name).and_then(|text| text.as_str().map(str::to_owned)),
        _ => None,
    };
    let code = text("code").filter(|code| !code.is_empty()).map(|code| shortened(&code));
    let message = text("message").unwrap_or_default();
    let details = match fields.remove("details") {
        Some(details) if fields.is_empty() => Some(details),
        Some(details) => {
            fields.insert("details".to_owned(), details);
            Some(Value::Object(fields))
        }
        None if fields.is_empty() => None,
        None => Some(Value::Object(fields)),
    };
    let details = details.filter(|details| !details.is_null());
    let code = code.unwrap_or_else(|| UNSPECIFIED.to_owned());
    Problem { details, ..Problem::of_participant(code, message) }
}

/// A code is stored and searched for as it is: without control characters, and of bounded length.
fn shortened(code: &str) -> String {
    let code = escape_in_lines(code);
    code[..code.floor_char_boundary(MAX_CODE_BYTES)].to_owned()
}

/// The beginning of a body as text.
fn excerpt(body: &[u8]) -> String {
    // No character has more than four bytes.
    let beginning = body::beginning(body, 4 * MAX_MESSAGE_CHARS);
    let text = body::text(beginning);
    let text = text.trim();
    let shown: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
    let mut excerpt = escape_in_lines(&shown).into_owned();
    if beginning.len() < body.len() || text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
        excerpt.push('…');
    }
    if excerpt.is_empty() { "the participant gave no reason".to_owned() } else { excerpt }
}

#[cfg(test)]
mod tests;
