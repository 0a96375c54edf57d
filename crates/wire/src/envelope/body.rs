//! Decodes the bodies of messages.

use std::borrow::Cow;

use serde_json::Value;

use super::{Undecodable, json, without_mark};
use crate::message::{Delivery, Properties};
use snorri_core::text::escape_in_lines;

/// Codings that `content_encoding` may name and that Snorri does not decompress. Some clients put a character set there, too.
const COMPRESSIONS: [&str; 12] = [
    "gzip",
    "x-gzip",
    "deflate",
    "compress",
    "x-compress",
    "zip",
    "br",
    "zstd",
    "lz4",
    "snappy",
    "bzip2",
    "xz",
];

/// Decodes the JSON body of a delivery. A delivery with repaired properties is refused: they may differ from what its publisher
/// wrote.
pub(super) fn decode(delivery: &Delivery) -> Result<Value, Undecodable> {
    if let Some(names) = &delivery.malformed {
        return Err(Undecodable::new(format!(
            "the message has properties that are not valid: {names}. Send text as UTF-8; what is shown of them was read as \
             Latin-1"
        )));
    }
    if let Some(coding) = compression(&delivery.properties) {
        return Err(Undecodable::new(format!(
            "the body is compressed (`content_encoding` is `{coding}`): send it uncompressed"
        )));
    }
    json(&delivery.body).map_err(|error| match delivery.properties.content_type.as_deref() {
        Some(kind) if !kind.contains("json") => {
            let reason = format!("{} (the `content_type` is `{}`)", error.reason, escape_in_lines(kind));
            Undecodable { reason, ..error }
        }
        _ => error,
    })
}

/// The coding that compressed a body, if its properties name one.
pub(super) fn compression(properties: &Properties) -> Option<&'static str> {
    let stated = properties.content_encoding.as_deref()?.to_ascii_lowercase();
    let mut stated = stated.split([',', ':', ';', ' ']).map(str::trim);
    stated.find_map(|stated| COMPRESSIONS.into_iter().find(|coding| *coding == stated))
}

/// A body as text for people. One that is not UTF-8 is read as Latin-1, unless that has control characters in it.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    let body = without_mark(body);
    match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(lossy) => {
            let latin: String = body.iter().map(|byte| char::from(*byte)).collect();
            let is_text = !latin.contains(|c: char| c.is_control() && !c.is_whitespace());
            Cow::Owned(if is_text { latin } else { lossy })
        }
    }
}

/// The beginning of a body, at most this many bytes, without a partial character at its end.
pub(super) fn beginning(body: &[u8], limit: usize) -> &[u8] {
    let Some(cut) = body.get(..limit) else { return body };
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}
