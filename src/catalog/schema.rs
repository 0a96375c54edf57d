//! The JSON Schema of a saga's input.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator, draft202012};
use serde_json::Value as Json;

use super::code;
use super::diagnostic::{Diagnostic, Problems};
use super::source::{Entry, Node, Value};
use super::suggest;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// A schema, and the validator made of it.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) json: Json,
    pub(super) validator: Validator,
}

/// What a schema says of a property.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    Known(&'a Json),
    /// It may be there, and nothing more is known of it.
    Open,
    /// It cannot be there: these can.
    Impossible(Vec<&'a str>),
}

/// The schema in `input`.
pub(super) fn decode(entry: &Entry, problems: &mut Problems) -> Option<Schema> {
    let node = &entry.value;
    if !matches!(node.value, Value::Mapping(_)) {
        let span = if node.span.is_empty() { &entry.key_span } else { &node.span };
        let message = format!("`input` must be a JSON Schema, but is {}", node.kind());
        problems.report(
            Diagnostic::new(code::WRONG_TYPE, span.clone(), message)
                .label("expected a mapping")
                .help("write it like `input: { type: object, required: [id] }`"),
        );
        return None;
    }
    let json = node.to_json();
    let mut told = Vec::new();
    for error in draft202012::meta::validator().iter_errors(&json) {
        let path = error.instance_path().as_str().to_owned();
        // What is wrong for one reason is reported once for each part of the standard that says so.
        if !told.contains(&path) {
            problems.report(explain(node, &error));
            told.push(path);
        }
    }
    if !told.is_empty() {
        return None;
    }
    // Patterns without backtracking: whoever starts a saga must not be able to keep a processor busy with one.
    match draft202012::options().with_pattern_options(PatternOptions::regex()).build(&json) {
        Ok(validator) => Some(Schema { json, validator }),
        Err(error) => {
            problems.report(explain(node, &error));
            None
        }
    }
}

/// What `schema` says of the property `name` of its objects. Only what is certain: a schema that names its
/// properties and refuses all others has only these, whatever else it says.
pub(super) fn lookup<'a>(schema: &'a Json, name: &str) -> Lookup<'a> {
    let properties = schema.get("properties").and_then(Json::as_object);
    let is_closed = schema.get("additionalProperties") == Some(&Json::Bool(false))
        && schema.get("patternProperties").is_none();
    match properties.and_then(|properties| properties.get(name)) {
        Some(property) => Lookup::Known(property),
        None if is_closed => {
            Lookup::Impossible(properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect())
        }
        None => Lookup::Open,
    }
}

fn explain(root: &Node, error: &ValidationError<'_>) -> Diagnostic {
    let pointer = error.instance_path().as_str();
    if let ValidationErrorKind::Referencing(_) = error.kind() {
        return unresolved(root, &error.to_string());
    }
    let node = root.at(pointer);
    let key = pointer.rsplit('/').next().unwrap_or_default();
    if let ("type", Value::String(wrong)) = (key, &node.value) {
        return Diagnostic::new(
            code::BAD_SCHEMA,
            node.span.clone(),
            format!("JSON Schema has no type `{wrong}`"),
        )
        .label("not a type")
        .maybe_help(suggest::did_you_mean(wrong, TYPES));
    }
    if let ValidationErrorKind::Format { .. } = error.kind()
        && key == "pattern"
    {
        return Diagnostic::new(
            code::BAD_SCHEMA,
            node.span.clone(),
            "`pattern` is not a regular expression that Snorri takes",
        )
        .label("cannot be compiled")
        .help("look-around and back-references are not known; escape special characters with a backslash");
    }
    let what = if key.is_empty() { "`input`".to_owned() } else { format!("`{key}`") };
    let message = error.masked_with(what.as_str()).to_string();
    Diagnostic::new(code::BAD_SCHEMA, node.span.clone(), format!("`input` is not a JSON Schema: {message}"))
        .label("see JSON Schema 2020-12")
}

/// A `$ref` that leads nowhere: the first of those that lead out of the schema, or that the error names.
fn unresolved(root: &Node, error: &str) -> Diagnostic {
    let mut references = Vec::new();
    collect_references(root, &mut references);
    let culprit = references
        .iter()
        .find(|(target, _)| !target.starts_with('#'))
        .or_else(|| references.iter().find(|(target, _)| error.contains(target.trim_start_matches('#'))));
    match culprit {
        Some((target, node)) if target.starts_with('#') => Diagnostic::new(
            code::SCHEMA_REFERENCE,
            node.span.clone(),
            format!("`{target}` leads nowhere in this schema"),
        )
        .label("not found")
        .help("define it under `$defs` and write `#/$defs/name`"),
        Some((target, node)) => Diagnostic::new(
            code::SCHEMA_REFERENCE,
            node.span.clone(),
            format!("`{target}` is outside of this schema"),
        )
        .label("not read")
        .help("write the schema here: under `$defs`, with `$ref: '#/$defs/name'`"),
        None => Diagnostic::new(
            code::SCHEMA_REFERENCE,
            root.span.clone(),
            format!("a reference in `input` cannot be followed: {error}"),
        ),
    }
}

fn collect_references<'a>(node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Mapping(entries) => {
            for entry in entries {
                match &entry.value.value {
                    Value::String(target) if entry.key == "$ref" || entry.key == "$dynamicRef" => {
                        found.push((target, &entry.value));
                    }
                    _ => collect_references(&entry.value, found),
                }
            }
        }
        _ => {}
    }
}
