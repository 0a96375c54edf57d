//! Strict reading of JSON at the edges: what is accepted is kept exactly, and every reader inside can read it again.
//!
//! [`read`] refuses what `serde_json` accepts and changes or loses silently: a number that has no exact value in 64 bits,
//! and all but the last of two equal keys. It refuses nesting that `serde_json` could write and not read again. A UTF-8
//! byte order mark at the beginning is skipped.
//!
//! - `scan`: one pass over the text, which finds the first token that is refused
//! - `number`: whether a number is kept exactly, and how it is written as text
//! - `place`: JSON Pointers for errors, computed only when there is one

mod number;
mod place;
mod scan;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

pub use number::{is_exact_double, is_same_number, number_text};

/// Longest JSON Pointer in an error, in characters. A longer one is cut.
const MAX_POINTER: usize = 200;

/// Bounds of one JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the text, without a byte order mark.
    pub bytes: usize,
    /// Most levels of nested lists and objects: `1` has none, `[1]` has one.
    pub depth: usize,
}

/// Why a JSON text, or a value, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", prefix(.path))]
pub struct Error {
    /// Where: a JSON Pointer, empty for the whole text. At most 200 characters; control characters are escaped.
    pub path: String,
    pub reason: Reason,
}

/// What is wrong and what to do about it. It never contains a value, which may be large or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("it is not JSON (line {line}, column {column}): send UTF-8 encoded JSON")]
    Syntax { line: usize, column: usize },
    #[error("it has {bytes} bytes; at most {most} are accepted: send large data by reference")]
    TooLarge { bytes: usize, most: usize },
    #[error("it nests deeper than {most} levels: send flatter data, or the document as a string")]
    TooDeep { most: usize },
    #[error(
        "this number cannot be kept exactly: an integer must fit in 64 bits and a decimal in a double (about 15 digits); \
         send it as a string"
    )]
    InexactNumber,
    #[error("this key occurs more than once in its object: send each key once")]
    RepeatedKey,
}

impl Reason {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "invalid_json",
            Self::TooLarge { .. } => "payload_too_large",
            Self::TooDeep { .. } => "too_deep",
            Self::InexactNumber => "inexact_number",
            Self::RepeatedKey => "repeated_key",
        }
    }
}

/// Reads one JSON text of at most `limits`.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Value, Error> {
    let text = text_of(bytes)?;
    if text.len() > limits.bytes {
        return Err(whole(Reason::TooLarge { bytes: text.len(), most: limits.bytes }));
    }
    let members = match scan::scan(text, limits.depth) {
        Ok(members) => members,
        Err(refused) => return Err(explain(text, refused, limits)),
    };
    let value: Value = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    if count_members(&value) == members {
        return Ok(value);
    }
    Err(Error { path: place::of_repeated_key(text), reason: Reason::RepeatedKey })
}

/// Whether a value, from a larger text or made by an expression, is within `limits`.
pub fn check(value: &Value, limits: Limits) -> Result<(), Error> {
    let mut path = Vec::new();
    if nests_deeper(value, limits.depth, &mut path) {
        path.reverse();
        return Err(Error { path: place::pointer(path), reason: Reason::TooDeep { most: limits.depth } });
    }
    let bytes = length(value);
    if bytes > limits.bytes {
        return Err(whole(Reason::TooLarge { bytes, most: limits.bytes }));
    }
    Ok(())
}

/// The length of a value as JSON, in bytes.
fn length(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A value has only text keys and counting does not fail, so this always succeeds.
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

/// The text without its byte order mark.
fn text_of(bytes: &[u8]) -> Result<&str, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        whole(Reason::Syntax { line, column: 1 + before.len() - line_start })
    })
}

/// The error for a token that the scan refused. A text that is not JSON is reported as such.
fn explain(text: &str, refused: scan::Refused, limits: Limits) -> Error {
    // Ignoring does not recurse, so the text may be of any depth.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return syntax(&error);
    }
    let reason = match refused.why {
        scan::Why::TooDeep => Reason::TooDeep { most: limits.depth },
        scan::Why::InexactNumber => Reason::InexactNumber,
    };
    Error { path: place::of_offset(text, refused.at), reason }
}

fn syntax(error: &serde_json::Error) -> Error {
    whole(Reason::Syntax { line: error.line(), column: error.column() })
}

fn whole(reason: Reason) -> Error {
    Error { path: String::new(), reason }
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("`{path}`: ") }
}

/// The number of members of all objects in a value.
fn count_members(value: &Value) -> usize {
    let of_object =
        |fields: &Map<String, Value>| fields.len() + fields.values().map(count_members).sum::<usize>();
    match value {
        Value::Array(items) => items.iter().map(count_members).sum(),
        Value::Object(fields) => of_object(fields),
        _ => 0,
    }
}

/// Whether a value nests more than `depth` levels; if so, `path` has the path to that level, the innermost part first.
fn nests_deeper(value: &Value, depth: usize, path: &mut Vec<String>) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => true,
        Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
            let deeper = nests_deeper(item, depth - 1, path);
            if deeper {
                path.push(index.to_string());
            }
            deeper
        }),
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            let deeper = nests_deeper(field, depth - 1, path);
            if deeper {
                path.push(name.clone());
            }
            deeper
        }),
        _ => false,
    }
}

/// The approximate size of a value as JSON: its texts and keys, and 8 bytes for each other value. The limits of a saga are
/// counted in these.
pub fn approximate_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(approximate_bytes).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 4 + approximate_bytes(value)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

#[cfg(test)]
mod tests;
