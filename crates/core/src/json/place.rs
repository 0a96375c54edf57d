//! JSON Pointers into a text, for errors.

use std::collections::HashSet;

use super::MAX_POINTER;
use super::scan::end_of_string;
use crate::text;

/// A list or an object around a place.
enum Around {
    List { index: usize },
    Object { key: String, seen: HashSet<String>, expects_key: bool },
}

/// The pointer to the token that begins at `offset` of a JSON text.
pub(super) fn of_offset(text: &str, offset: usize) -> String {
    walk(text, |at, _| at >= offset)
}

/// The pointer to the first member of a JSON text whose key its object already has. Empty if there is no such key.
pub(super) fn of_repeated_key(text: &str) -> String {
    walk(text, |_, is_repeated| is_repeated)
}

/// The pointer with these parts.
pub(super) fn pointer(parts: impl IntoIterator<Item = String>) -> String {
    let whole: String =
        parts.into_iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect();
    let escaped = text::escape(&whole);
    match escaped.chars().count() {
        0..=MAX_POINTER => escaped.into_owned(),
        _ => escaped.chars().take(MAX_POINTER - 1).chain(['…']).collect(),
    }
}

/// Visits the tokens of a JSON text until `is_there` accepts one: it gets the token's place, and whether it is a key that its
/// object already has.
fn walk(text: &str, is_there: impl Fn(usize, bool) -> bool) -> String {
    let bytes = text.as_bytes();
    let mut around: Vec<Around> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut end = at + 1;
        let mut is_repeated = false;
        if byte == b'"' {
            end = end_of_string(bytes, at);
            is_repeated = around.last_mut().is_some_and(|around| around.enter_member(&text[at..end]));
        }
        if is_there(at, is_repeated) {
            return pointer(around.into_iter().map(Around::part));
        }
        match byte {
            b'[' => around.push(Around::List { index: 0 }),
            b'{' => {
                around.push(Around::Object { key: String::new(), seen: HashSet::new(), expects_key: true });
            }
            b']' | b'}' => drop(around.pop()),
            b',' => around.iter_mut().next_back().into_iter().for_each(Around::next_element),
            _ => {}
        }
        at = end;
    }
    String::new()
}

impl Around {
    /// If this string is the key of a member: records it, and returns whether its object already has it.
    fn enter_member(&mut self, string: &str) -> bool {
        match self {
            Self::Object { key, seen, expects_key: expects @ true } => {
                *expects = false;
                *key = serde_json::from_str(string).unwrap_or_default();
                !seen.insert(key.clone())
            }
            _ => false,
        }
    }

    /// After a comma.
    fn next_element(&mut self) {
        match self {
            Self::List { index } => *index += 1,
            Self::Object { expects_key, .. } => *expects_key = true,
        }
    }

    fn part(self) -> String {
        match self {
            Self::List { index } => index.to_string(),
            Self::Object { key, .. } => key,
        }
    }
}
