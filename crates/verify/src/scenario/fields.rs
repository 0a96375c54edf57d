//! Access to the keys of a scenario file, with diagnostics for unknown keys and wrong values.

use std::ops::Range;
use std::time::Duration;

use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::Problems;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::duration;
use snorri_definition::entry::{DURATION_HELP, bad_value, without_unit};
use snorri_definition::source::{Entry, Node, Value};

pub(super) use snorri_definition::entry::{choice, text, wrong_type};

/// A kind of mapping: its name, and its keys.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
}

/// The fields of a mapping of a known shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) entries: &'a [Entry],
    shape: &'static Shape,
    /// The place that diagnostics for missing keys point at.
    pub(super) head: &'a Range<usize>,
}

impl<'a> Fields<'a> {
    /// `None` if the node is not a mapping.
    pub(super) fn of(node: &'a Node, shape: &'static Shape, problems: &mut Problems) -> Option<Self> {
        let entries = mapping(node, shape.name, problems)?;
        for entry in entries.iter().filter(|entry| !shape.keys.contains(&entry.key.as_str())) {
            let message = format!("{} has no `{}`", shape.name, entry.key);
            problems.report(
                Diagnostic::new(code::UNKNOWN_KEY, entry.key_span.clone(), message)
                    .label("unknown key")
                    .maybe_help(match suggest_field(&entry.key, shape.keys.iter().copied()) {
                        Some(key) => Some(format!("did you mean `{key}`?")),
                        None => suggest::did_you_mean(&entry.key, shape.keys.iter().copied()),
                    }),
            );
        }
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        Some(Self { entries, shape, head })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(self.shape.keys.contains(&key), "{} does not take `{key}`", self.shape.name);
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn require(&self, key: &str, example: &str, problems: &mut Problems) -> Option<&'a Entry> {
        let entry = self.get(key);
        if entry.is_none() {
            let message = format!("{} needs `{key}`", self.shape.name);
            problems.report(
                Diagnostic::new(code::MISSING_KEY, self.head.clone(), message)
                    .label(format!("`{key}` is missing"))
                    .help(format!("add `{example}`")),
            );
        }
        entry
    }
}

/// The entries of a mapping, whatever their keys.
pub(super) fn mapping<'a>(node: &'a Node, name: &str, problems: &mut Problems) -> Option<&'a [Entry]> {
    let Value::Mapping(entries) = &node.value else {
        let message = match node.value {
            Value::Null => format!("{name} is empty"),
            _ => format!("{name} must be a mapping, not {}", node.kind()),
        };
        problems.report(
            Diagnostic::new(code::WRONG_TYPE, node.span.clone(), message).label("expected keys and values"),
        );
        return None;
    };
    Some(entries)
}

/// Suggests the nearest of these words, or one with the same beginning: `fail` is short for `failure`.
pub(super) fn suggest_field<'a>(
    wrong: &str,
    right: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    const SHORTEST: usize = 4;
    let beginning = wrong.to_lowercase().chars().take(SHORTEST).collect::<String>();
    let begins = |word: &&str| beginning.len() >= SHORTEST && word.starts_with(&beginning);
    suggest::nearest(wrong, right.clone()).or_else(|| right.into_iter().find(begins))
}

/// The items of a list.
pub(super) fn list<'a>(entry: &'a Entry, example: &str, problems: &mut Problems) -> Option<&'a [Node]> {
    let Value::Sequence(items) = &entry.value.value else {
        problems
            .report(wrong_type(entry, "a list").help(format!("write it like `{}: {example}`", entry.key)));
        return None;
    };
    Some(items)
}

pub(super) fn duration(entry: &Entry, problems: &mut Problems) -> Option<Duration> {
    match &entry.value.value {
        Value::String(text) => parse_duration(text, &entry.value.span, problems),
        Value::Number(number) => {
            problems.report(without_unit(entry, number));
            None
        }
        _ => {
            problems.report(wrong_type(entry, "a duration").help(DURATION_HELP));
            None
        }
    }
}

pub(super) fn parse_duration(text: &str, span: &Range<usize>, problems: &mut Problems) -> Option<Duration> {
    let parsed = duration::parse_duration(text).ok();
    if parsed.is_none() {
        problems.report(
            bad_value(span.clone(), format!("`{text}` is not a duration"))
                .label("expected a duration")
                .help(DURATION_HELP),
        );
    }
    parsed
}
