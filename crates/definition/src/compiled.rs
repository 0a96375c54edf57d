//! A compiled definition, with its schemas, files and places.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::decode::{Decoded, Keys};
use crate::diagnostic::Diagnostics;
use crate::meaning;
use crate::schema::Schema;
use crate::source::Node;
use snorri_core::Definition;
use snorri_core::definition::StepIndex;
use snorri_core::expression::template::Template;
use snorri_core::expression::{EvaluationError, Scope, Variable};
use snorri_core::json::number_text;
use snorri_core::text::is_invisible;

/// Longest business key of a saga.
pub const MAX_KEY_BYTES: usize = 512;

/// Longest value of an attribute.
pub const MAX_ATTRIBUTE_BYTES: usize = 256;

/// A compiled definition.
#[derive(Debug)]
pub struct Compiled {
    pub definition: Arc<Definition>,
    /// SHA-256 of the content of the source and its files, in hexadecimal: comments and line ends do not change it.
    pub digest: String,
    pub source: String,
    /// The files that its schemas refer to, by their paths from the definitions' directory.
    pub files: BTreeMap<String, String>,
    /// The schema of the input, self-contained: referenced files are under its `$defs`.
    pub input_schema: Option<Value>,
    /// Whether evaluating its expressions may take long, up to the budget of an evaluation.
    pub may_take_long: bool,
    /// The diagnostics that did not prevent compilation.
    pub findings: Diagnostics,
    /// The place of each step in the source, in bytes, in the order of the definition's steps.
    pub places: Vec<Range<usize>>,
    /// The self-contained schema of the reply to each step, in the same order.
    pub replies: Vec<Option<Value>>,
    /// The places of its own keys and of those of its steps.
    keys: Keys,
    schema: Option<Schema>,
}

/// One error in the input of a saga.
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
        // Places are counted from the end of a byte order mark.
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

    /// The place of the saga's timeout.
    pub fn place_of_timeout(&self) -> Range<usize> {
        self.keys.of_saga.get("timeout").cloned().unwrap_or_default()
    }

    /// The place of the first of these keys that the step has, or else of the step.
    pub fn place_of(&self, step: StepIndex, keys: &[&str]) -> Range<usize> {
        let own = self.keys.of_steps.get(step.0);
        let found = own.and_then(|own| keys.iter().find_map(|key| own.get(*key)));
        found.or_else(|| self.places.get(step.0)).cloned().unwrap_or_default()
    }

    /// The place of the saga's key.
    pub fn place_of_key(&self) -> Range<usize> {
        self.keys.of_saga.get("key").cloned().unwrap_or_default()
    }

    /// The place of the first of these keys that an item of `start` has.
    pub fn place_of_start(&self, index: usize, keys: &[&str]) -> Range<usize> {
        let own = self.keys.of_starts.get(index);
        own.and_then(|own| keys.iter().find_map(|key| own.get(*key))).cloned().unwrap_or_default()
    }

    /// Validates the input of a saga. Without a schema, any input is valid.
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

    /// The attributes of a saga with `input`. An attribute that is null is left out.
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
#[derive(Debug, Clone, Copy)]
pub struct Only<'a>(pub &'static str, pub &'a Value);

impl Scope for Only<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == self.0).then_some(Variable::Json(self.1))
    }
}
