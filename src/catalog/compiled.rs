//! A definition that is ready to run, with what belongs to it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::decode::{Decoded, Keys};
use super::diagnostic::Diagnostics;
use super::meaning;
use super::schema::Schema;
use super::source::Node;
use crate::json::number_text;
use crate::saga::Definition;
use crate::saga::definition::StepIndex;
use crate::saga::expression::{EvaluationError, Scope, Variable};
use crate::saga::template::Template;
use crate::text::is_invisible;

/// Longest business key of a saga.
pub const MAX_KEY_BYTES: usize = 512;

/// Longest value of an attribute.
pub const MAX_ATTRIBUTE_BYTES: usize = 256;

/// A compiled definition.
#[derive(Debug)]
pub struct Compiled {
    pub definition: Arc<Definition>,
    /// SHA-256 of what the source and its files mean, in hexadecimal: comments and line ends make no difference.
    pub digest: String,
    pub source: String,
    /// The files that its schemas refer to, by their paths from the definitions' directory.
    pub files: BTreeMap<String, String>,
    /// It needs nothing beside it: what it refers to is under its `$defs`.
    pub input_schema: Option<Value>,
    /// Whether evaluating its expressions may take long, up to what they may take at all.
    pub may_take_long: bool,
    /// What was found wrong with it, although it can be run.
    pub findings: Diagnostics,
    /// Where each step stands in the source, in bytes, in the order of the definition's steps.
    pub places: Vec<Range<usize>>,
    /// What the reply to each step must be, in the same order: schemas that need nothing beside them.
    pub replies: Vec<Option<Value>>,
    /// Where its own keys and those of its steps stand.
    keys: Keys,
    schema: Option<Schema>,
}

/// One thing that is wrong with a saga's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidInput {
    /// Where: a JSON Pointer into the input, empty for all of it.
    pub path: String,
    /// What: it never repeats a value, which may be large or secret.
    pub message: String,
}

impl Compiled {
    pub(super) fn new(file: &str, source: &str, root: &Node, decoded: Decoded<'_>) -> Self {
        let files = decoded.files.used();
        // Places are counted from after a byte order mark.
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        Self {
            definition: Arc::new(decoded.definition),
            digest: meaning::digest(&root.to_json(), decoded.files.parsed()),
            source: source.to_owned(),
            files,
            may_take_long: decoded.may_take_long,
            findings: decoded.findings.into_diagnostics(file, text),
            places: decoded.places,
            replies: decoded.replies,
            keys: decoded.keys,
            input_schema: decoded.schema.as_ref().map(|schema| schema.json.clone()),
            schema: decoded.schema,
        }
    }

    /// `order@1`.
    pub fn label(&self) -> String {
        format!("{}@{}", self.definition.name, self.definition.version)
    }

    /// Where the saga's timeout stands.
    pub(crate) fn place_of_timeout(&self) -> Range<usize> {
        self.keys.of_saga.get("timeout").cloned().unwrap_or_default()
    }

    /// Where the first of these keys stands that the step has, or else the step.
    pub(crate) fn place_of(&self, step: StepIndex, keys: &[&str]) -> Range<usize> {
        let own = self.keys.of_steps.get(step.0);
        let found = own.and_then(|own| keys.iter().find_map(|key| own.get(*key)));
        found.or_else(|| self.places.get(step.0)).cloned().unwrap_or_default()
    }

    /// Where the saga's key stands.
    pub(crate) fn place_of_key(&self) -> Range<usize> {
        self.keys.of_saga.get("key").cloned().unwrap_or_default()
    }

    /// Where the first of these keys stands that an item of `start` has.
    pub(crate) fn place_of_start(&self, index: usize, keys: &[&str]) -> Range<usize> {
        let own = self.keys.of_starts.get(index);
        own.and_then(|own| keys.iter().find_map(|key| own.get(*key))).cloned().unwrap_or_default()
    }

    /// Whether a saga can be started with `input`. Without a schema, it can with any.
    pub fn check_input(&self, input: &Value) -> Result<(), Vec<InvalidInput>> {
        let complaints = self.schema.iter().flat_map(|schema| schema.complaints(input));
        let invalid: Vec<_> = complaints.map(|(path, message)| InvalidInput { path, message }).collect();
        if invalid.is_empty() { Ok(()) } else { Err(invalid) }
    }

    /// The business key of a saga with `input`, if the definition makes one: a text or a number that is not empty. Equal
    /// numbers make one key, different numbers different keys; a number makes the same key as the text that it is written as.
    pub fn key(&self, input: &Value) -> Result<Option<String>, EvaluationError> {
        let Some(template) = &self.definition.key else { return Ok(None) };
        let key = match template.render(&Only("input", input))? {
            Value::String(text) => text,
            Value::Number(number) => number_text(&number),
            _ => return Err(wrong(template, "a key must be a text or a number")),
        };
        match key.len() {
            // PostgreSQL's texts cannot hold a NUL, and people cannot read the others.
            _ if key.contains(is_invisible) => {
                Err(wrong(template, "a key must not have control or format characters in it"))
            }
            0 => Err(wrong(template, "a key must not be empty")),
            1..=MAX_KEY_BYTES => Ok(Some(key)),
            _ => Err(wrong(template, &format!("a key has at most {MAX_KEY_BYTES} bytes"))),
        }
    }

    /// What a saga with `input` can be found by, beside its key. What is null is left out.
    pub fn attributes(&self, input: &Value) -> Result<BTreeMap<String, String>, EvaluationError> {
        let mut attributes = BTreeMap::new();
        let budget = Arc::default();
        for (name, template) in &self.definition.attributes {
            let value = match template.render_within(&Only("input", input), &budget)? {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(number) => number_text(&number),
                Value::Bool(value) => value.to_string(),
                _ => return Err(wrong(template, "an attribute must be a text, a number, a boolean or null")),
            };
            if value.contains(is_invisible) {
                return Err(wrong(template, "an attribute must not have control or format characters in it"));
            }
            if value.len() > MAX_ATTRIBUTE_BYTES {
                let message = format!("an attribute has at most {MAX_ATTRIBUTE_BYTES} bytes");
                return Err(wrong(template, &message));
            }
            attributes.insert(name.to_string(), value);
        }
        Ok(attributes)
    }
}

fn wrong(template: &Template, message: &str) -> EvaluationError {
    let expressions = template.expressions();
    let sources: Vec<_> = expressions.iter().map(|expression| expression.source()).collect();
    EvaluationError { expression: sources.join(", "), message: message.to_owned() }
}

/// One variable by its name, and no others.
pub(crate) struct Only<'a>(pub(crate) &'static str, pub(crate) &'a Value);

impl Scope for Only<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == self.0).then_some(Variable::Json(self.1))
    }
}
