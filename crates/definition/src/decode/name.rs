//! The names of sagas and steps.

use std::ops::Range;

use crate::code;
use crate::decode::scalar;
use crate::diagnostic::{Diagnostic, Problems};
use crate::expression::reserved::RESERVED;
use crate::source::{Entry, Value};

const MOST_BYTES: usize = 100;
/// The default name of an item of a `for_each`.
pub(super) const DEFAULT_ITEM: &str = "item";

/// A saga's name stands in queues, URLs and file names: small letters, digits and dashes.
pub(super) fn saga<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    let name = scalar::text(entry, problems)?;
    let is_right = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let help = "a saga's name has small letters, digits and dashes, and begins with a letter";
    check(
        &entry.value.span,
        name,
        is_right,
        "a saga",
        help,
        suggestion(name, '-', &name.to_lowercase()),
        problems,
    )
}

/// A step's name stands in expressions, so that it must be a CEL identifier.
pub(super) fn step<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    identifier(entry, "a step", problems)
}

/// The name of an item of a `for_each` stands in expressions too. The default is `item`.
pub(super) fn item<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    match &entry.value.value {
        Value::String(name) if name == DEFAULT_ITEM => Some(DEFAULT_ITEM),
        _ => identifier(entry, "an item", problems),
    }
}

/// An attribute's name stands in URLs: letters, digits and underscores.
pub(super) fn attribute<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    let name = entry.key.as_str();
    let help = "an attribute's name has letters, digits and underscores, and begins with a letter";
    let suggestion = suggestion(name, '_', name);
    check(&entry.key_span, name, is_identifier(name), "an attribute", help, suggestion, problems)
}

fn identifier<'a>(entry: &'a Entry, what: &str, problems: &mut Problems) -> Option<&'a str> {
    let name = scalar::text(entry, problems)?;
    if RESERVED.contains(&name) {
        let message = format!("{what} cannot be named `{name}`");
        problems.report(
            Diagnostic::new(code::BAD_NAME, entry.value.span.clone(), message)
                .label("means something else in expressions")
                .help(match what {
                    "a step" => format!("write `{name}_step`, or what it does"),
                    _ => "write what it is".into(),
                }),
        );
        return None;
    }
    let is_right = is_identifier(name);
    let help = format!("{what}'s name has letters, digits and underscores, and begins with a letter");
    check(&entry.value.span, name, is_right, what, &help, suggestion(name, '_', name), problems)
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check<'a>(
    span: &Range<usize>,
    name: &'a str,
    is_right: bool,
    what: &str,
    rule: &str,
    suggestion: Option<String>,
    problems: &mut Problems,
) -> Option<&'a str> {
    let span = span.clone();
    if name.len() > MOST_BYTES {
        let message = format!("the name of {what} has at most {MOST_BYTES} bytes");
        problems
            .report(Diagnostic::new(code::BAD_NAME, span, message).label(format!("{} bytes", name.len())));
        return None;
    }
    if is_right {
        return Some(name);
    }
    let help = suggestion.map_or_else(|| rule.to_owned(), |suggestion| format!("{rule}: `{suggestion}`"));
    let message = format!("{what} cannot be named `{name}`");
    problems.report(Diagnostic::new(code::BAD_NAME, span, message).label("not a name").help(help));
    None
}

/// The name with `separator` in the place of invalid characters, if that makes it valid.
fn suggestion(name: &str, separator: char, base: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == separator;
    let fixed: String = base.chars().map(|c| if fits(c) { c } else { separator }).collect();
    let starts = fixed.starts_with(|first: char| first.is_ascii_alphabetic());
    (starts && name.is_ascii() && fixed != name).then_some(fixed)
}
