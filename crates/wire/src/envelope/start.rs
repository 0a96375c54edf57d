//! Decodes starts, and encodes the answer to a refused one.

use std::collections::BTreeMap;

use serde_json::{Value, json as to_json};

use super::{APP_ID, CONTENT_TYPE, Undecodable, body, check_name, kind, seconds};
use crate::header;
use crate::message::{Delivery, HeaderValue, Properties, Publication};
use snorri_core::journal::{AnswerTo, Parent};
use snorri_core::text::escape;
use snorri_core::{MAX_PAYLOAD_BYTES, Time};

/// A message that starts a saga.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartRequest {
    pub definition: String,
    /// From 1. `None`: the latest.
    pub version: Option<u32>,
    pub input: Value,
    /// The attributes of the saga, in addition to those that its definition makes of the input.
    pub attributes: BTreeMap<String, String>,
    pub message_id: Option<String>,
    /// The address that the outcome of the saga is sent to.
    pub answer: Option<AnswerTo>,
    /// The W3C trace id of the sender: 32 hexadecimal digits in lower case.
    pub trace_id: Option<String>,
    /// The parent of the new saga.
    pub parent: Option<Parent>,
}

/// Decodes a start: its `type` names the definition, `order` or `order@2`, its JSON body is the input. With a `reply_to`, the
/// outcome is sent there with the `correlation_id` of the start.
///
/// An invalid `traceparent` header is ignored.
pub fn decode_start(delivery: &Delivery) -> Result<StartRequest, Undecodable> {
    let (definition, version) = definition(delivery)?;
    check_name("the `type` of the start", &definition)?;
    check_name(
        "the `message_id` of the start",
        delivery.properties.message_id.as_deref().unwrap_or_default(),
    )?;
    if delivery.body_bytes() > MAX_PAYLOAD_BYTES as u64 {
        return Err(Undecodable::new(format!(
            "the input has {} bytes: send at most {MAX_PAYLOAD_BYTES}, and large data by reference",
            delivery.body_bytes()
        )));
    }
    let properties = &delivery.properties;
    Ok(StartRequest {
        definition,
        version,
        input: body::decode(delivery)?,
        message_id: properties.message_id.clone(),
        answer: answer_to(properties),
        trace_id: trace_id_of(properties),
        ..StartRequest::default()
    })
}

/// The W3C trace id of a message with these properties, if it has a valid one.
pub fn trace_id_of(properties: &Properties) -> Option<String> {
    match properties.headers.get(header::TRACEPARENT) {
        Some(HeaderValue::Text(text)) => trace_id(text),
        _ => None,
    }
}

/// The answer to the sender of a refused start with these properties, with the reason. `None`: the start asks for no answer.
pub fn answer_refused(
    start: &Properties,
    code: &str,
    reason: &str,
    details: Option<Value>,
    at: Time,
) -> Option<Publication> {
    let AnswerTo { queue, correlation_id } = answer_to(start)?;
    let mut body = to_json!({ "code": code, "message": reason });
    if let Some(details) = details {
        body["details"] = details;
    }
    Some(Publication {
        exchange: String::new(),
        routing_key: queue,
        properties: Properties {
            kind: Some("rejected".to_owned()),
            correlation_id,
            content_type: Some(CONTENT_TYPE.to_owned()),
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(at)),
            ..Properties::default()
        },
        body: body.to_string().into_bytes(),
    })
}

fn answer_to(start: &Properties) -> Option<AnswerTo> {
    let queue = start.reply_to.clone().filter(|queue| !queue.is_empty())?;
    Some(AnswerTo { queue, correlation_id: start.correlation_id.clone() })
}

fn definition(delivery: &Delivery) -> Result<(String, Option<u32>), Undecodable> {
    const INSTEAD: &str =
        "set it to the name of a definition, as in `order`, or to name and version, as in `order@2`";
    let Some(kind) = kind(delivery) else {
        return Err(Undecodable::new(format!("the start has no `type`: {INSTEAD}")));
    };
    let wrong = || Undecodable::new(format!("`{}` is not the `type` of a start: {INSTEAD}", escape(kind)));
    let (name, version) = match kind.split_once('@') {
        Some((name, version)) => {
            (name, Some(version.parse().ok().filter(|version| *version > 0).ok_or_else(wrong)?))
        }
        None => (kind, None),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), version))
}

/// The trace id of a W3C `traceparent`, if it is valid. Versions after 00 may have more fields.
fn trace_id(traceparent: &str) -> Option<String> {
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let mut fields = traceparent.split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let valid = hex(version, 2)
        && version != "ff"
        && (version != "00" || fields.next().is_none())
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2);
    valid.then(|| trace.to_owned())
}
