//! Converts properties to lapin's and back.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString, ShortStringError};

use snorri_ports::broker::{HeaderValue, Properties};
use snorri_wire::header::{CUT, MALFORMED};

/// AMQP's `delivery_mode` of a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;
/// Most bytes of a message's own headers on the copy that is its dead letter.
const KEPT_HEADER_BYTES: usize = 16 * 1024;

/// An error if a text is longer than AMQP can carry: 255 bytes, except in the value of a header.
pub(super) fn to_amqp(properties: &Properties) -> Result<BasicProperties, ShortStringError> {
    let mut amqp = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if let Some(kind) = &properties.kind {
        amqp = amqp.with_type(short(kind)?);
    }
    if let Some(message_id) = &properties.message_id {
        amqp = amqp.with_message_id(short(message_id)?);
    }
    if let Some(correlation_id) = &properties.correlation_id {
        amqp = amqp.with_correlation_id(short(correlation_id)?);
    }
    if let Some(reply_to) = &properties.reply_to {
        amqp = amqp.with_reply_to(short(reply_to)?);
    }
    if let Some(content_type) = &properties.content_type {
        amqp = amqp.with_content_type(short(content_type)?);
    }
    if let Some(content_encoding) = &properties.content_encoding {
        amqp = amqp.with_content_encoding(short(content_encoding)?);
    }
    if let Some(app_id) = &properties.app_id {
        amqp = amqp.with_app_id(short(app_id)?);
    }
    if let Some(timestamp) = properties.timestamp {
        amqp = amqp.with_timestamp(timestamp);
    }
    if let Some(expiration) = properties.expiration {
        amqp = amqp.with_expiration(short(&expiration.as_millis().to_string())?);
    }
    if properties.headers.is_empty() {
        return Ok(amqp);
    }
    let mut headers = FieldTable::default();
    for (name, value) in &properties.headers {
        let value = match value {
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            HeaderValue::Integer(integer) => AMQPValue::LongLongInt(*integer),
        };
        headers.insert(short(name)?, value);
    }
    Ok(amqp.with_headers(headers))
}

pub(super) fn short(text: &str) -> Result<ShortString, ShortStringError> {
    ShortString::try_new(text)
}

/// Headers that are neither text nor an integer are left out.
pub(super) fn from_amqp(amqp: &BasicProperties) -> Properties {
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    Properties {
        kind: text(amqp.kind()),
        message_id: text(amqp.message_id()),
        correlation_id: text(amqp.correlation_id()),
        reply_to: text(amqp.reply_to()),
        content_type: text(amqp.content_type()),
        content_encoding: text(amqp.content_encoding()),
        app_id: text(amqp.app_id()),
        timestamp: *amqp.timestamp(),
        expiration: text(amqp.expiration()).and_then(|text| text.parse().ok()).map(Duration::from_millis),
        headers: amqp.headers().as_ref().map(headers_from_amqp).unwrap_or_default(),
    }
}

fn headers_from_amqp(table: &FieldTable) -> BTreeMap<String, HeaderValue> {
    let headers = table.inner().iter();
    headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), header_from_amqp(value)?))).collect()
}

fn header_from_amqp(value: &AMQPValue) -> Option<HeaderValue> {
    let integer = match value {
        AMQPValue::LongString(text) => {
            return std::str::from_utf8(text.as_bytes()).ok().map(|text| HeaderValue::Text(text.to_owned()));
        }
        AMQPValue::ShortString(text) => return Some(HeaderValue::Text(text.as_str().to_owned())),
        AMQPValue::ShortShortInt(value) => i64::from(*value),
        AMQPValue::ShortShortUInt(value) => i64::from(*value),
        AMQPValue::ShortInt(value) => i64::from(*value),
        AMQPValue::ShortUInt(value) => i64::from(*value),
        AMQPValue::LongInt(value) => i64::from(*value),
        AMQPValue::LongUInt(value) => i64::from(*value),
        AMQPValue::LongLongInt(value) => *value,
        _ => return None,
    };
    Some(HeaderValue::Integer(integer))
}

/// The properties of a dead letter: those of the message, with its reason and origin.
///
/// Left out are properties that would make the broker treat the copy differently: `user_id` (it must be Snorri's), `expiration`
/// (a dead letter stays) and the headers `CC` and `BCC` (further queues). So are tables, arrays, and everything beyond
/// [`KEPT_HEADER_BYTES`]: the copy has more headers than the message, and must fit into a frame all the same. Properties that
/// were repaired are valid in the copy, and the body of the copy is whole.
pub(super) fn dead_letter(
    amqp: &BasicProperties,
    known: impl IntoIterator<Item = (&'static str, String)>,
) -> BasicProperties {
    let kept = amqp.headers().iter().flat_map(FieldTable::inner);
    let mut headers = FieldTable::default();
    let mut room = KEPT_HEADER_BYTES;
    for (name, value) in kept.filter(|(name, _)| !matches!(name.as_str(), "CC" | "BCC" | MALFORMED | CUT)) {
        let left = value_bytes(value).and_then(|bytes| room.checked_sub(name.as_str().len() + bytes));
        if let Some(left) = left {
            room = left;
            headers.insert(name.clone(), value.clone());
        }
    }
    for (name, text) in known {
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    }
    let mut copy = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<ShortString>, Set); 7] = [
        (amqp.kind(), BasicProperties::with_type),
        (amqp.message_id(), BasicProperties::with_message_id),
        (amqp.correlation_id(), BasicProperties::with_correlation_id),
        (amqp.reply_to(), BasicProperties::with_reply_to),
        (amqp.content_type(), BasicProperties::with_content_type),
        (amqp.content_encoding(), BasicProperties::with_content_encoding),
        (amqp.app_id(), BasicProperties::with_app_id),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            copy = set(copy, text.clone());
        }
    }
    match amqp.timestamp() {
        Some(timestamp) => copy.with_timestamp(*timestamp),
        None => copy,
    }
}

/// The approximate size of the value of a header, if it is a single value.
fn value_bytes(value: &AMQPValue) -> Option<usize> {
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes().len()),
        AMQPValue::ShortString(text) => Some(text.as_str().len()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice().len()),
        AMQPValue::FieldTable(_) | AMQPValue::FieldArray(_) => None,
        _ => Some(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snorri_wire::header;

    fn properties() -> Properties {
        let text = |text: &str| Some(text.to_owned());
        let headers = BTreeMap::from([
            ("a".to_owned(), HeaderValue::Text("x".repeat(300))),
            ("b".to_owned(), HeaderValue::Integer(-7)),
        ]);
        Properties {
            kind: text("k"),
            message_id: text("m"),
            correlation_id: text("c"),
            reply_to: text("r"),
            content_type: text("t"),
            content_encoding: text("e"),
            app_id: text("a"),
            timestamp: Some(5),
            expiration: Some(Duration::from_millis(1_500)),
            headers,
        }
    }

    #[test]
    fn properties_come_back_as_they_went() {
        assert_eq!(to_amqp(&properties()).map(|amqp| from_amqp(&amqp)), Ok(properties()));
        assert_eq!(to_amqp(&Properties::default()).map(|amqp| from_amqp(&amqp)), Ok(Properties::default()));
        let too_long = Properties { correlation_id: Some("x".repeat(256)), ..Properties::default() };
        assert!(to_amqp(&too_long).is_err());
    }

    #[test]
    fn a_dead_letter_keeps_what_is_the_messages_own() {
        let mut headers = FieldTable::default();
        headers.insert("CC".into(), AMQPValue::FieldArray(Vec::new().into()));
        headers.insert("odd".into(), AMQPValue::Boolean(true));
        let letter = to_amqp(&Properties { headers: BTreeMap::new(), ..properties() }).expect("short enough");
        let letter = letter.with_headers(headers).with_user_id("someone".into()).with_expiration("1".into());
        let copy =
            dead_letter(&letter, [(header::QUEUE, "q".to_owned()), (header::REASON, "no JSON".to_owned())]);
        assert_eq!((copy.user_id(), copy.expiration()), (&None, &None));
        let names: Vec<&str> =
            copy.headers().iter().flat_map(FieldTable::inner).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["odd", "snorri-queue", "snorri-reason"]);
        let read = from_amqp(&copy);
        assert_eq!(read.headers.get("snorri-reason"), Some(&HeaderValue::Text("no JSON".to_owned())));
        assert_eq!(
            Properties { headers: properties().headers, expiration: None, ..properties() },
            Properties { headers: properties().headers, ..read }
        );
    }
}
