//! Access to the fields of a mapping. Reports every key that does not belong there.

use std::ops::Range;

use crate::code;
use crate::decode::words::{Shape, Stranger};
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::{Entry, Node, Value};

/// The fields of a mapping of a known shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    shape: &'static Shape,
    /// The place to report for a missing key.
    pub(super) head: &'a Range<usize>,
}

impl<'a> Fields<'a> {
    /// The fields of `node`; checks its keys. `None` if it is no mapping.
    pub(super) fn of(node: &'a Node, shape: &'static Shape, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            let message = match node.value {
                Value::Null => format!("{} is empty", shape.name),
                _ => format!("{} must be a mapping, not {}", shape.name, node.kind()),
            };
            problems.report(
                Diagnostic::new(code::WRONG_TYPE, node.span.clone(), message)
                    .label("expected keys and values")
                    .help(format!("it has keys like `{}:`", shape.keys[0])),
            );
            return None;
        };
        for entry in entries.iter().filter(|entry| !shape.takes(&entry.key)) {
            problems.report_with(|| stranger(entry, shape));
        }
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        Some(Self { entries, shape, head })
    }

    /// The fields of `node`, whose keys have been checked before.
    pub(super) fn known(node: &'a Node, shape: &'static Shape) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return None };
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        Some(Self { entries, shape, head })
    }

    /// The entry of a key that may be left out.
    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(self.shape.takes(key), "{} does not take `{key}`", self.shape.name);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether it has a key for which `is` is true, known or not.
    pub(super) fn has(&self, is: fn(&str) -> bool) -> bool {
        self.entries.iter().any(|entry| is(&entry.key))
    }

    /// The entry of a wrong key that is probably this one. The wrong key has been reported.
    pub(super) fn misspelt(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| {
            !self.shape.takes(&entry.key)
                && self.shape.suggest_keyword(&entry.key).is_some_and(|meant| meant == key)
        })
    }

    /// The entry of a required key; `example` is the help if it is missing. Accepts a misspelt key, so that one mistake is not
    /// reported twice.
    pub(super) fn require(&self, key: &str, example: &str, problems: &mut Problems) -> Option<&'a Entry> {
        let entry = self.get(key).or_else(|| self.misspelt(key));
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

fn stranger(entry: &Entry, shape: &Shape) -> Diagnostic {
    let (key, span) = (&entry.key, entry.key_span.clone());
    match shape.stranger(key) {
        Stranger::Misplaced(help) => {
            Diagnostic::new(code::MISPLACED_KEY, span, format!("`{key}` does not belong {}", shape.place))
                .label("not here")
                .help(help)
        }
        Stranger::Unknown(help) => {
            Diagnostic::new(code::UNKNOWN_KEY, span, format!("{} has no `{key}`", shape.name))
                .label("unknown key")
                .maybe_help(help)
        }
    }
}
