//! JSON Schemas of a saga's input and output, and of replies.

mod cost;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator, draft202012};
use serde_json::Value as Json;

use crate::bundle::{bundle, collect_references};
use crate::diagnostic::code;
use crate::diagnostic::suggest;
use crate::diagnostic::{Diagnostic, Problems};
use crate::files::Files;
use crate::source::{Entry, Node, Value};
use cost::{Costs, MAX_STEPS, TooCostly};
use snorri_core::definition;
use snorri_core::journal::{Problem, ProblemCode};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Most complaints about one value.
const MOST_INVALID: usize = 20;
/// Most steps of a check for which all complaints are collected: the validator does not limit their number.
const MOST_EXPLAINED: u64 = 20_000;
/// Most references that are followed to find a property.
const MOST_FOLLOWED: usize = 16;

/// A self-contained schema and its validator.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) json: Json,
    validator: Validator,
    costs: Costs,
}

impl Schema {
    /// Validates a value, and returns the complaints, each with its place, a JSON Pointer. They do not repeat values, which
    /// may be large or secret.
    ///
    /// Rejects a value whose check takes too long. Returns at most one complaint about a large value.
    pub(super) fn complaints(&self, value: &Json) -> Vec<(String, String)> {
        let complaint =
            |error: ValidationError<'_>| (error.instance_path().to_string(), error.masked().to_string());
        let whole = |message: &str| vec![(String::new(), message.to_owned())];
        match self.costs.steps(&self.json, value) {
            Err(TooCostly) => whole(&format!(
                "checking it takes more than {MAX_STEPS} steps: send fewer values and shorter texts, or simplify the schema"
            )),
            Ok(steps) if steps <= MOST_EXPLAINED => {
                self.validator.iter_errors(value).take(MOST_INVALID).map(complaint).collect()
            }
            Ok(_) if self.validator.is_valid(value) => Vec::new(),
            Ok(_) if self.costs.has_alternatives => whole(
                "it does not match, and is too large to locate the error: validate it with the schema before sending it",
            ),
            Ok(_) => self.validator.validate(value).err().map(complaint).into_iter().collect(),
        }
    }
}

impl definition::Schema for Schema {
    fn check(&self, value: &Json) -> Result<(), Problem> {
        let complaints: Vec<_> =
            self.complaints(value).into_iter().map(|(path, message)| format!("{path}: {message}")).collect();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(Problem::new(ProblemCode::Schema, complaints.join("; ")))
        }
    }

    fn document(&self) -> Option<&Json> {
        Some(&self.json)
    }
}

/// The result of the lookup of a property in a schema.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    Known(&'a Json),
    /// It may exist, with any value.
    Open,
    /// It cannot exist; these properties can.
    Impossible(Vec<&'a str>),
}

/// Decodes the schema in an entry, with the files that it refers to.
pub(super) fn decode(entry: &Entry, files: &mut Files<'_>, problems: &mut Problems) -> Option<Schema> {
    let (node, key) = (&entry.value, entry.key.as_str());
    if !matches!(node.value, Value::Mapping(_)) {
        let span = if node.span.is_empty() { &entry.key_span } else { &node.span };
        let message = format!("`{key}` must be a JSON Schema, but is {}", node.kind());
        problems.report(
            Diagnostic::new(code::WRONG_TYPE, span.clone(), message)
                .label("expected a mapping")
                .help(format!("write it like `{key}: {{ type: object, required: [id] }}`")),
        );
        return None;
    }
    let mut reported = Vec::new();
    for error in draft202012::meta::validator().iter_errors(&node.to_json()) {
        let path = error.instance_path().as_str().to_owned();
        // The validator returns one error for each part of the standard that the value violates.
        if !reported.contains(&path) {
            problems.report(explain(key, node, &error));
            reported.push(path);
        }
    }
    if !reported.is_empty() {
        return None;
    }
    let json = bundle(node, files, problems)?;
    report_slow_patterns(node, problems);
    // Patterns without backtracking: the input of a saga must not be able to keep a processor busy.
    match draft202012::options().with_pattern_options(PatternOptions::regex()).build(&json) {
        Ok(validator) => Some(Schema { costs: Costs::of(&json), json, validator }),
        Err(error) => {
            problems.report(explain(key, node, &error));
            None
        }
    }
}

/// Reports the patterns that take too long for the longest text that may come.
fn report_slow_patterns(node: &Node, problems: &mut Problems) {
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        match &node.value {
            Value::Sequence(items) => todo.extend(items),
            Value::Mapping(entries) => {
                let find =
                    |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
                let longest = find("maxLength").and_then(|longest| longest.to_json().as_u64());
                if let Some(Node { value: Value::String(pattern), span, .. }) = find("pattern")
                    && let Some(bytes) = cost::longest_text(pattern, longest)
                {
                    let message = format!(
                        "`pattern` takes too long for texts of more than {bytes} bytes, and they are refused"
                    );
                    problems.find(
                        Diagnostic::new(code::SLOW_PATTERN, span.clone(), message)
                            .label("long with its repetitions written out")
                            .help("add `maxLength`, or write a shorter pattern")
                            .warning(),
                    );
                }
                todo.extend(entries.iter().map(|entry| &entry.value));
            }
            _ => {}
        }
    }
}

/// Looks up the property `name` in `schema`, a part of `root`. Returns only what is certain: a schema that names its properties
/// and refuses all others has only these, whatever its other keywords are.
pub(super) fn lookup<'a>(root: &'a Json, mut schema: &'a Json, name: &str) -> Lookup<'a> {
    for _ in 0..MOST_FOLLOWED {
        let found = lookup_here(schema, name);
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
        match (found, target.and_then(|target| root.pointer(target))) {
            (Lookup::Open, Some(next)) => schema = next,
            (found, _) => return found,
        }
    }
    Lookup::Open
}

fn lookup_here<'a>(schema: &'a Json, name: &str) -> Lookup<'a> {
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

fn explain(key: &str, root: &Node, error: &ValidationError<'_>) -> Diagnostic {
    let whole = key;
    let pointer = error.instance_path().as_str();
    if let ValidationErrorKind::Referencing(_) = error.kind() {
        return unresolved(whole, root, &error.to_string());
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
            "`pattern` is not a regular expression that Snorri supports",
        )
        .label("cannot be compiled")
        .help(
            "look-around and back-references are not supported; escape special characters with a backslash",
        );
    }
    let what = if key.is_empty() { format!("`{whole}`") } else { format!("`{key}`") };
    let message = error.masked_with(what.as_str()).to_string();
    Diagnostic::new(code::BAD_SCHEMA, node.span.clone(), format!("`{whole}` is not a JSON Schema: {message}"))
        .label("see JSON Schema 2020-12")
}

/// A `$ref` that leads nowhere: the one that the error names.
fn unresolved(key: &str, root: &Node, error: &str) -> Diagnostic {
    let mut references = Vec::new();
    collect_references(root, &mut references);
    let culprit = references
        .iter()
        .find(|(target, _)| target.starts_with('#') && error.contains(target.trim_start_matches('#')));
    match culprit {
        Some((target, node)) => Diagnostic::new(
            code::SCHEMA_REFERENCE,
            node.span.clone(),
            format!("`{target}` leads nowhere in this schema"),
        )
        .label("not found")
        .help("define it under `$defs` and write `#/$defs/name`"),
        None => Diagnostic::new(
            code::SCHEMA_REFERENCE,
            root.span.clone(),
            format!("a reference in `{key}` cannot be followed: {error}"),
        ),
    }
}
