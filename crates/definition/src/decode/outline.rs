//! A step before it is decoded.

use std::ops::Range;

use crate::decode::words::COMMAND;
use crate::source::{Entry, Node, Value};
use snorri_core::definition::StepKind;

/// A step before it is decoded.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub(super) node: &'a Node,
    pub(super) kind: StepKind,
    /// The place to report for the step as a whole.
    pub(super) span: Range<usize>,
    /// Whether it has a name of its own.
    pub(super) is_named: bool,
}

impl<'a> Outline<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        let Value::Mapping(entries) = &self.node.value else { return None };
        let is_misspelt = |entry: &&Entry| {
            let is_unknown = self.kind == StepKind::Command && !COMMAND.takes(&entry.key);
            is_unknown && COMMAND.suggest_keyword(&entry.key).is_some_and(|meant| meant == key)
        };
        entries.iter().find(|entry| entry.key == key).or_else(|| entries.iter().find(is_misspelt))
    }

    /// The place of a key whose value is `true`.
    pub(super) fn flag(&self, key: &str) -> Option<&'a Range<usize>> {
        self.get(key).filter(|entry| entry.value.value == Value::Bool(true)).map(|entry| &entry.key_span)
    }
}
