//! Decodes texts and keywords of definitions and scenarios, with a diagnostic for any other value.

use std::ops::Range;

use crate::diagnostic::code;
use crate::diagnostic::suggest;
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::{Entry, Value};

pub const DURATION_HELP: &str = "write a number with its unit: `200ms`, `10s`, `5m`, `1h 30m` or `2d`";

pub fn wrong_type(entry: &Entry, wanted: &str) -> Diagnostic {
    let message = match entry.value.value {
        Value::Null => format!("`{}` is empty", entry.key),
        _ => format!("`{}` must be {wanted}, not {}", entry.key, entry.value.kind()),
    };
    Diagnostic::new(code::WRONG_TYPE, place(entry), message).label(format!("expected {wanted}"))
}

/// The place of a value, or of its key if the value is empty.
fn place(entry: &Entry) -> Range<usize> {
    if entry.value.span.is_empty() { entry.key_span.clone() } else { entry.value.span.clone() }
}

pub fn bad_value(span: Range<usize>, message: String) -> Diagnostic {
    Diagnostic::new(code::BAD_VALUE, span, message)
}

pub fn text<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    match &entry.value.value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => {
            problems.report(wrong_type(entry, "a text").help("put quotes around it"));
            None
        }
        _ => {
            problems.report(wrong_type(entry, "a text"));
            None
        }
    }
}

/// Decodes one of a few keywords.
pub fn choice<T: Copy>(entry: &Entry, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let words = || choices.iter().map(|(word, _)| *word);
    let Value::String(text) = &entry.value.value else {
        let wanted = suggest::one_of(words());
        problems.report(wrong_type(entry, &wanted).help(format!("write {wanted}")));
        return None;
    };
    let chosen = choices.iter().find(|(word, _)| word == text).map(|&(_, value)| value);
    if chosen.is_none() {
        let message = format!("`{}` cannot be `{text}`", entry.key);
        problems.report(
            bad_value(entry.value.span.clone(), message)
                .label(format!("expected {}", suggest::one_of(words())))
                .help(suggest_choice(text, words())),
        );
    }
    chosen
}

/// The help for a wrong keyword. There are so few that the same first two letters are near enough.
fn suggest_choice<'a>(wrong: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    let start = wrong.get(..2);
    let begins = || words.clone().find(|word| start.is_some() && word.get(..2) == start);
    match suggest::nearest(wrong, words.clone()).or_else(begins) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write {}", suggest::one_of(words)),
    }
}

pub fn without_unit(entry: &Entry, number: &serde_json::Number) -> Diagnostic {
    let message = format!("`{}` must be a duration, and `{number}` has no unit", entry.key);
    Diagnostic::new(code::WRONG_TYPE, entry.value.span.clone(), message)
        .label("seconds? milliseconds?")
        .help(format!("write `{number}s` or `{number}ms`"))
}
