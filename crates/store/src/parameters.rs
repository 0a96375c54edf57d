//! The parameters of statements: arrays for PostgreSQL, JSON for SQLite and for the rare parts of a batch.

use sea_orm::Value;
use sea_orm::sea_query::ArrayType;
use serde::Serialize;
use uuid::Uuid;

use crate::session::error::SqlError;
use snorri_ports::store::Error;

/// The longest code of an incident by which sagas are found: an index cannot hold text of any length.
const LONGEST_CODE: usize = 200;

pub(crate) fn uuids(values: impl IntoIterator<Item = Uuid>) -> Value {
    array(ArrayType::Uuid, values)
}

pub(crate) fn bigints(values: impl IntoIterator<Item = i64>) -> Value {
    array(ArrayType::BigInt, values)
}

pub(crate) fn strings(values: impl IntoIterator<Item = String>) -> Value {
    array(ArrayType::String, values)
}

pub(crate) fn array<T: Into<Value>>(kind: ArrayType, values: impl IntoIterator<Item = T>) -> Value {
    Value::Array(kind, Some(Box::new(values.into_iter().map(Into::into).collect())))
}

/// A JSON array of these keys, for SQLite's `unhex`.
pub(crate) fn json_keys<'a>(keys: impl Iterator<Item = &'a Uuid>) -> String {
    // Hexadecimal digits need no escaping.
    let keys = keys.map(|key| format!("\"{}\"", key.simple())).collect::<Vec<_>>();
    format!("[{}]", keys.join(","))
}

pub(crate) fn hex(key: &Uuid) -> String {
    key.simple().to_string()
}

pub(crate) fn json(value: &impl Serialize) -> Result<String, SqlError> {
    Ok(serde_json::to_string(value).map_err(|error| Error::Corrupt(error.to_string()))?)
}

/// PostgreSQL's texts cannot hold a NUL.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The code of an incident in its stored form.
pub(crate) fn code(code: &str) -> String {
    text(code).chars().take(LONGEST_CODE).collect()
}

/// Bytes as hexadecimal digits. Not with `format!`: a body of 256 KiB would keep a thread busy for many milliseconds.
pub(crate) fn hex_digits(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(DIGITS[usize::from(byte >> 4)]);
        digits.push(DIGITS[usize::from(byte & 0xf)]);
    }
    digits
}
