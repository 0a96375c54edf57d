//! Reading what participants answer.

use std::sync::Arc;

use serde_json::Value;

use super::token::Token;
use super::{Undecodable, json, kind};
use crate::broker::Delivery;
use crate::saga::input::{Reply, ReplyResult};
use crate::saga::journal::{Problem, Reason};
use crate::saga::{MAX_PAYLOAD_BYTES, SagaId};

/// The code of a failure or error whose body names none.
const UNSPECIFIED: &str = "unspecified";

/// Reads a participant's reply: the `correlation_id` of the command echoed, a `type` of `success`, `failure` or
/// `error`, and as JSON body the output or `{code, message, details}`.
///
/// A body of more than [`MAX_PAYLOAD_BYTES`] counts as an error with the code [`Reason::PayloadTooLarge`].
pub fn decode_reply(delivery: &Delivery) -> Result<(SagaId, Reply), Undecodable> {
    let Token { saga, attempt } = token(delivery)?;
    let kind = reply_kind(delivery)?;
    if delivery.body.len() > MAX_PAYLOAD_BYTES {
        let message =
            format!("the reply has {} bytes; at most {MAX_PAYLOAD_BYTES} are taken", delivery.body.len());
        let problem = Problem::new(Reason::PayloadTooLarge, message);
        return Ok((saga, Reply { attempt, result: ReplyResult::Error(problem) }));
    }
    let body = json(&delivery.body)?;
    let result = match kind {
        Kind::Success => ReplyResult::Success(Arc::new(body)),
        Kind::Failure => ReplyResult::Failure(problem(body)),
        Kind::Error => ReplyResult::Error(problem(body)),
    };
    Ok((saga, Reply { attempt, result }))
}

enum Kind {
    Success,
    Failure,
    Error,
}

fn reply_kind(delivery: &Delivery) -> Result<Kind, Undecodable> {
    const INSTEAD: &str = "set it to `success`, `failure` or `error`";
    match kind(delivery) {
        Some("success") => Ok(Kind::Success),
        Some("failure") => Ok(Kind::Failure),
        Some("error") => Ok(Kind::Error),
        Some(other) => Err(Undecodable::new(format!("`{other}` is not the `type` of a reply: {INSTEAD}"))),
        None => Err(Undecodable::new(format!("the reply has no `type`: {INSTEAD}"))),
    }
}

fn token(delivery: &Delivery) -> Result<Token, Undecodable> {
    const INSTEAD: &str = "echo the `correlation_id` of the command as it came";
    let Some(text) = &delivery.properties.correlation_id else {
        return Err(Undecodable::new(format!("the reply has no `correlation_id`: {INSTEAD}")));
    };
    text.parse().map_err(|_| {
        Undecodable::new(format!(
            "the `correlation_id` is not one that Snorri sent with a command: {INSTEAD}"
        ))
    })
}

/// Takes what there is: a refusal counts, however badly it is explained.
fn problem(body: Value) -> Problem {
    let (code, message, details) = match body {
        Value::Null => (None, "the participant gave no reason".to_owned(), None),
        Value::String(message) => (None, message, None),
        Value::Object(mut fields) => {
            let mut text = |name: &str| match fields.get(name) {
                Some(Value::String(_)) => {
                    fields.remove(name).and_then(|text| text.as_str().map(str::to_owned))
                }
                _ => None,
            };
            let code = text("code").filter(|code| !code.is_empty());
            let message = text("message").unwrap_or_default();
            // Without the usual `details`, whatever else was sent is kept in their place.
            let details = match fields.remove("details") {
                Some(details) if fields.is_empty() => Some(details),
                Some(details) => {
                    fields.insert("details".to_owned(), details);
                    Some(Value::Object(fields))
                }
                None if fields.is_empty() => None,
                None => Some(Value::Object(fields)),
            };
            (code, message, details)
        }
        other => (None, String::new(), Some(other)),
    };
    let details = details.filter(|details| !details.is_null());
    let code = code.unwrap_or_else(|| UNSPECIFIED.to_owned());
    Problem { details, ..Problem::of_participant(code, message) }
}
