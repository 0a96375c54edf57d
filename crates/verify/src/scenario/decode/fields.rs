//! Access to the keys of a scenario file, with diagnostics for unknown keys and wrong values.

use std::ops::Range;
use std::time::Duration;

use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::Problems;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::duration;
use snorri_definition::entry::{DURATION_HELP, bad_value, without_unit};
use snorri_definition::source::{Entry, Node, Value, fields};

pub(super) use snorri_definition::entry::{choice, text, wrong_type};
pub(super) use snorri_definition::source::fields::mapping;

/// A kind of mapping: its name, and its keys.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
}

pub(super) type Fields<'a> = fields::Fields<'a, Shape>;

impl fields::MappingKind for Shape {
    fn name(&self) -> &'static str {
        self.name
    }

    fn example(&self) -> &'static str {
        self.keys.first().copied().unwrap_or_default()
    }

    fn takes(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    fn suggest_keyword(&self, wrong: &str) -> Option<&'static str> {
        suggest_field(wrong, self.keys.iter().copied())
    }

    fn stranger(&self, entry: &Entry) -> Diagnostic {
        let message = format!("{} has no `{}`", self.name, entry.key);
        let help = match self.suggest_keyword(&entry.key) {
            Some(key) => Some(format!("did you mean `{key}`?")),
            None => suggest::did_you_mean(&entry.key, self.keys.iter().copied()),
        };
        Diagnostic::new(code::UNKNOWN_KEY, entry.key_span.clone(), message)
            .label("unknown key")
            .maybe_help(help)
    }
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
