//! Repairs what the AMQP client cannot read in a message. Pure, and total: any bytes give a readable message.
//!
//! RabbitMQ passes on short strings that are not UTF-8, and tables of any depth. lapin drops the connection over the former,
//! and reads the latter recursively. Either would recur forever, because the broker redelivers the message. So a text that is
//! not UTF-8 is read as Latin-1, a table below `MAX_DEPTH` becomes void, and the invalid properties are named in the header
//! [`MALFORMED`].

pub mod frames;
pub(in crate::amqp) mod stream;

use std::ops::Range;

use snorri_wire::header::{CUT, MALFORMED};

/// Most levels of nested tables and arrays that are kept. Snorri reads none; RabbitMQ's own `x-death` has two levels.
const MAX_DEPTH: usize = 8;
/// A frame of this many bytes fits every connection.
const FRAME_MIN: usize = 4096;
/// Most bytes of a short string.
const MAX_SHORT: usize = 255;
/// Class, weight and body size, before the properties.
const HEADER_FIXED: usize = 12;
const BODY_SIZE: Range<usize> = 4..HEADER_FIXED;
/// `basic.deliver`: its class and its method.
const DELIVER: [u8; 4] = [0, 60, 0, 60];

/// The faults of a message: names of its properties.
pub type Faults = Vec<&'static str>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Headers,
    Bytes(usize),
}

/// The properties of a message, in the order of their flags.
const PROPERTIES: [(&str, Kind); 14] = [
    ("content_type", Kind::Text),
    ("content_encoding", Kind::Text),
    ("headers", Kind::Headers),
    ("delivery_mode", Kind::Bytes(1)),
    ("priority", Kind::Bytes(1)),
    ("correlation_id", Kind::Text),
    ("reply_to", Kind::Text),
    ("expiration", Kind::Text),
    ("message_id", Kind::Text),
    ("timestamp", Kind::Bytes(8)),
    ("type", Kind::Text),
    ("user_id", Kind::Text),
    ("app_id", Kind::Text),
    ("cluster_id", Kind::Text),
];
const HEADERS: usize = 2;

/// Repairs the payload of a method frame. Only `basic.deliver` carries texts of a publisher.
pub fn method(payload: &[u8]) -> (Vec<u8>, Faults) {
    deliver(payload).unwrap_or_else(|| (payload.to_vec(), Faults::new()))
}

fn deliver(payload: &[u8]) -> Option<(Vec<u8>, Faults)> {
    let mut input = Reader(payload.strip_prefix(&DELIVER)?);
    let (mut output, mut faults) = (DELIVER.to_vec(), Faults::new());
    push_text(&mut output, input.short()?); // the consumer tag
    output.extend_from_slice(input.take(9)?); // the delivery tag, and whether it was delivered before
    for name in ["exchange", "routing_key"] {
        if !push_text(&mut output, input.short()?) {
            faults.push(name);
        }
    }
    Some((output, faults))
}

/// The size of the body by a content header.
pub fn body_bytes(payload: &[u8]) -> Option<u64> {
    let size: [u8; 8] = payload.get(BODY_SIZE)?.try_into().ok()?;
    Some(u64::from_be_bytes(size))
}

/// Repairs the payload of a content header frame. `faults` are those of the method before it. With `cut` the header has this
/// size for the body, and the header [`CUT`] has the original size.
pub fn content_header(payload: &[u8], mut faults: Faults, cut: Option<u64>) -> Vec<u8> {
    let Some((fixed, rest)) = payload.split_at_checked(HEADER_FIXED) else {
        return payload.to_vec();
    };
    let mut fixed = fixed.to_vec();
    let mut marks = Vec::new();
    if let (Some(size), Some(was)) = (cut, body_bytes(payload)) {
        fixed[BODY_SIZE].copy_from_slice(&size.to_be_bytes());
        marks.push((CUT, was.to_string()));
    }
    let mut properties = Properties::default();
    if properties.read(rest, &mut faults).is_none() {
        faults.push("properties");
    }
    let mut repaired = properties.write(&fixed, &marks, &faults);
    if repaired.len() > payload.len().max(FRAME_MIN) {
        // It may exceed the connection's largest frame.
        properties.headers = None;
        faults.push("headers");
        repaired = properties.write(&fixed, &marks, &faults);
    }
    repaired
}

/// The encoded properties of a message.
#[derive(Default)]
struct Properties {
    flags: u16,
    before_headers: Vec<u8>,
    headers: Option<Vec<u8>>,
    after_headers: Vec<u8>,
}

impl Properties {
    /// `None`: they end too early.
    fn read(&mut self, bytes: &[u8], faults: &mut Faults) -> Option<()> {
        let mut input = Reader(bytes);
        let flags = input.u16()?;
        for (index, (name, kind)) in PROPERTIES.into_iter().enumerate() {
            let flag = 1 << (15 - index);
            if flags & flag == 0 {
                continue;
            }
            let output = if index < HEADERS { &mut self.before_headers } else { &mut self.after_headers };
            let is_sound = match kind {
                Kind::Text => push_text(output, input.short()?),
                Kind::Bytes(count) => {
                    output.extend_from_slice(input.take(count)?);
                    true
                }
                Kind::Headers => table(input.long()?, 0, self.headers.insert(Vec::new())),
            };
            self.flags |= flag;
            if !is_sound {
                faults.push(name);
            }
        }
        Some(())
    }

    fn write(&self, fixed: &[u8], marks: &[(&str, String)], faults: &Faults) -> Vec<u8> {
        let mut headers = self.headers.clone();
        let malformed = (!faults.is_empty()).then(|| (MALFORMED, faults.join(", ")));
        for (name, text) in marks.iter().chain(&malformed) {
            let headers = headers.get_or_insert_default();
            push_text(headers, name.as_bytes());
            headers.push(b'S');
            push_long(headers, text.as_bytes());
        }
        let flag = 1 << (15 - HEADERS);
        let flags = if headers.is_some() { self.flags | flag } else { self.flags & !flag };
        let mut output = fixed.to_vec();
        output.extend_from_slice(&flags.to_be_bytes());
        output.extend_from_slice(&self.before_headers);
        if let Some(headers) = headers {
            push_long(&mut output, &headers);
        }
        output.extend_from_slice(&self.after_headers);
        output
    }
}

/// Copies the entries of a table, up to the first invalid one. Returns whether all are sound.
fn table(entries: &[u8], depth: usize, output: &mut Vec<u8>) -> bool {
    let mut input = Reader(entries);
    let mut is_sound = true;
    while !input.0.is_empty() {
        let start = output.len();
        let Some(name) = input.short() else { return false };
        is_sound &= push_text(output, name);
        match value(&mut input, depth, output) {
            Some(sound) => is_sound &= sound,
            None => {
                output.truncate(start);
                return false;
            }
        }
        if depth == 0 && [MALFORMED, CUT].iter().any(|mark| name == mark.as_bytes()) {
            output.truncate(start); // a publisher's claim
        }
    }
    is_sound
}

fn array(elements: &[u8], depth: usize, output: &mut Vec<u8>) -> bool {
    let mut input = Reader(elements);
    let mut is_sound = true;
    while !input.0.is_empty() {
        let start = output.len();
        match value(&mut input, depth, output) {
            Some(sound) => is_sound &= sound,
            None => {
                output.truncate(start);
                return false;
            }
        }
    }
    is_sound
}

/// Copies one value, and returns whether it is sound. `None`: its kind is unknown, or it is truncated.
fn value(input: &mut Reader<'_>, depth: usize, output: &mut Vec<u8>) -> Option<bool> {
    let kind = input.u8()?;
    let fixed = match kind {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'U' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' => {
            output.push(kind);
            push_long(output, input.long()?);
            return Some(true);
        }
        b'A' | b'F' => return nested(kind, input.long()?, depth + 1, output),
        _ => return None,
    };
    output.push(kind);
    output.extend_from_slice(input.take(fixed)?);
    Some(true)
}

fn nested(kind: u8, content: &[u8], depth: usize, output: &mut Vec<u8>) -> Option<bool> {
    if depth > MAX_DEPTH {
        output.push(b'V');
        return Some(true);
    }
    let mut copied = Vec::with_capacity(content.len());
    let is_sound = match kind {
        b'A' => array(content, depth, &mut copied),
        _ => table(content, depth, &mut copied),
    };
    output.push(kind);
    push_long(output, &copied);
    Some(is_sound)
}

/// Writes a short string. Returns whether it is UTF-8; otherwise it is read as Latin-1, up to the length that fits.
fn push_text(output: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if std::str::from_utf8(bytes).is_ok() {
        push_short(output, bytes);
        return true;
    }
    let text: String = bytes.iter().copied().map(char::from).collect();
    push_short(output, &text.as_bytes()[..text.floor_char_boundary(MAX_SHORT)]);
    false
}

fn push_short(output: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_SHORT)];
    output.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    output.extend_from_slice(bytes);
}

/// A frame has at most 4 GiB, and so has everything in it.
fn push_long(output: &mut Vec<u8>, bytes: &[u8]) {
    output.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    output.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.take(4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests;
