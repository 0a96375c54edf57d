//! Access to the fields of a mapping. Reports every key that does not belong there.

use std::fmt::Debug;
use std::ops::Range;

use crate::diagnostic::code;
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::{Entry, Node, Value};

/// A kind of mapping: its name, as in "a step has no ...", and its keys.
pub trait MappingKind: Debug + 'static {
    fn name(&self) -> &'static str;

    /// One of its keys, as an example.
    fn example(&self) -> &'static str;

    fn takes(&self, key: &str) -> bool;

    /// The key for which a wrong one is probably a mistake.
    fn suggest_keyword(&self, wrong: &str) -> Option<&'static str>;

    /// The diagnostic of a key that it does not take.
    fn stranger(&self, entry: &Entry) -> Diagnostic;
}

/// The fields of a mapping of a known kind.
#[derive(Debug)]
pub struct Fields<'a, S: MappingKind> {
    pub entries: &'a [Entry],
    kind: &'static S,
    /// The place that diagnostics for missing keys point at.
    pub head: &'a Range<usize>,
}

impl<S: MappingKind> Clone for Fields<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: MappingKind> Copy for Fields<'_, S> {}

impl<'a, S: MappingKind> Fields<'a, S> {
    /// The fields of `node`; checks its keys. `None` if it is no mapping.
    pub fn of(node: &'a Node, kind: &'static S, problems: &mut Problems) -> Option<Self> {
        let entries = mapping(node, kind.name(), kind.example(), problems)?;
        for entry in entries.iter().filter(|entry| !kind.takes(&entry.key)) {
            problems.report_with(|| kind.stranger(entry));
        }
        Self::known(node, kind)
    }

    /// The fields of `node`, whose keys have been checked before.
    pub fn known(node: &'a Node, kind: &'static S) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return None };
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        Some(Self { entries, kind, head })
    }

    /// The entry of a key that may be left out.
    pub fn get(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(self.kind.takes(key), "{} does not take `{key}`", self.kind.name());
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether it has a key for which `is` is true, known or not.
    pub fn has(&self, is: fn(&str) -> bool) -> bool {
        self.entries.iter().any(|entry| is(&entry.key))
    }

    /// The entry of a wrong key that is probably this one. The wrong key has been reported.
    pub fn misspelt(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| {
            !self.kind.takes(&entry.key)
                && self.kind.suggest_keyword(&entry.key).is_some_and(|meant| meant == key)
        })
    }

    /// The entry of a required key; `example` is the help if it is missing. Accepts a misspelt key, so that one mistake is not
    /// reported twice.
    pub fn require(&self, key: &str, example: &str, problems: &mut Problems) -> Option<&'a Entry> {
        let entry = self.get(key).or_else(|| self.misspelt(key));
        if entry.is_none() {
            let message = format!("{} needs `{key}`", self.kind.name());
            problems.report(
                Diagnostic::new(code::MISSING_KEY, self.head.clone(), message)
                    .label(format!("`{key}` is missing"))
                    .help(format!("add `{example}`")),
            );
        }
        entry
    }
}

/// The entries of a mapping, whatever their keys. `name` is what it is, `example` one of its keys.
pub fn mapping<'a>(
    node: &'a Node,
    name: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<&'a [Entry]> {
    let Value::Mapping(entries) = &node.value else {
        let message = match node.value {
            Value::Null => format!("{name} is empty"),
            _ => format!("{name} must be a mapping, not {}", node.kind()),
        };
        problems.report(
            Diagnostic::new(code::WRONG_TYPE, node.span.clone(), message)
                .label("expected keys and values")
                .help(format!("it has keys like `{example}:`")),
        );
        return None;
    };
    Some(entries)
}
