//! Access to the fields of a mapping, which tells of every key that has no business there.

use std::ops::Range;

use super::super::code;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::source::{Entry, Node, Value};
use super::words::{Shape, Stranger};

/// The fields of a mapping of a known shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    shape: &'static Shape,
    /// Where to point at for what is not there.
    pub(super) head: &'a Range<usize>,
}

impl<'a> Fields<'a> {
    /// The fields of `node`, after a look at its keys. `None` if it is no mapping.
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

    /// The fields of `node`, whose keys have been looked at before.
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

    /// Whether it has a key that `is` is true of, known or not.
    pub(super) fn has(&self, is: fn(&str) -> bool) -> bool {
        self.entries.iter().any(|entry| is(&entry.key))
    }

    /// What stands under a wrong key that seems to mean this one: the wrong key was told.
    pub(super) fn misspelt(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| {
            !self.shape.takes(&entry.key) && self.shape.meant(&entry.key).is_some_and(|meant| meant == key)
        })
    }

    /// The entry of a key that must be there; `example` is what to write if it is not. A misspelt one is taken for it, so
    /// that one mistake is not told twice.
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
