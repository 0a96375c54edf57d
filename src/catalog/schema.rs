//! JSON Schemas: of a saga's input and output, and of what participants answer.

mod cost;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator, draft202012};
use serde_json::Value as Json;

use super::bundle::{bundle, collect_references};
use super::code;
use super::diagnostic::{Diagnostic, Problems};
use super::files::Files;
use super::source::{Entry, Node, Value};
use super::suggest;
use crate::saga::definition;
use crate::saga::journal::{Problem, Reason};
use cost::{Costs, MAX_STEPS, TooCostly};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Most complaints about one value.
const MOST_INVALID: usize = 20;
/// Most steps of a check after which all complaints are gathered: the validator makes all that there are.
const MOST_EXPLAINED: u64 = 20_000;
/// Most references that are followed to find a property.
const MOST_FOLLOWED: usize = 16;

/// A schema that needs nothing beside it, and the validator made of it.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) json: Json,
    validator: Validator,
    costs: Costs,
}

impl Schema {
    /// What is wrong with a value, each with its place: a JSON Pointer. Values are not repeated: they may be large or
    /// secret.
    ///
    /// A value that takes longer to check than it may is refused. Of a large one at most one complaint is told.
    pub(super) fn complaints(&self, value: &Json) -> Vec<(String, String)> {
        let told =
            |error: ValidationError<'_>| (error.instance_path().to_string(), error.masked().to_string());
        let whole = |message: &str| vec![(String::new(), message.to_owned())];
        match self.costs.steps(&self.json, value) {
            Err(TooCostly) => whole(&format!(
                "checking it takes more than {MAX_STEPS} steps: send fewer values and shorter texts, or simplify the schema"
            )),
            Ok(steps) if steps <= MOST_EXPLAINED => {
                self.validator.iter_errors(value).take(MOST_INVALID).map(told).collect()
            }
            Ok(_) if self.validator.is_valid(value) => Vec::new(),
            Ok(_) if self.costs.has_alternatives => whole(
                "it does not match, and is too large to say where: check it against the schema before it is sent",
            ),
            Ok(_) => self.validator.validate(value).err().map(told).into_iter().collect(),
        }
    }
}

impl definition::Schema for Schema {
    fn check(&self, value: &Json) -> Result<(), Problem> {
        let complaints: Vec<_> =
            self.complaints(value).into_iter().map(|(path, message)| format!("{path}: {message}")).collect();
        if complaints.is_empty() { Ok(()) } else { Err(Problem::new(Reason::Schema, complaints.join("; "))) }
    }

    fn document(&self) -> Option<&Json> {
        Some(&self.json)
    }
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

/// The schema in an entry, with the files that it refers to.
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
    let mut told = Vec::new();
    for error in draft202012::meta::validator().iter_errors(&node.to_json()) {
        let path = error.instance_path().as_str().to_owned();
        // What is wrong for one reason is reported once for each part of the standard that says so.
        if !told.contains(&path) {
            problems.report(explain(key, node, &error));
            told.push(path);
        }
    }
    if !told.is_empty() {
        return None;
    }
    let json = bundle(node, files, problems)?;
    report_slow_patterns(node, problems);
    // Patterns without backtracking: whoever starts a saga must not be able to keep a processor busy with one.
    match draft202012::options().with_pattern_options(PatternOptions::regex()).build(&json) {
        Ok(validator) => Some(Schema { costs: Costs::of(&json), json, validator }),
        Err(error) => {
            problems.report(explain(key, node, &error));
            None
        }
    }
}

/// Reports the patterns that take too long for a text of a size that may come.
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
                            .help("say `maxLength` beside it, or write a shorter pattern")
                            .warning(),
                    );
                }
                todo.extend(entries.iter().map(|entry| &entry.value));
            }
            _ => {}
        }
    }
}

/// Why something is not a JSON Schema.
pub(super) fn first_error(json: &Json) -> Option<String> {
    let validator = draft202012::meta::validator();
    let error = validator.iter_errors(json).next()?;
    Some(format!("at `{}`: {}", error.instance_path(), error.masked()))
}

/// What `schema`, a part of `root`, says of the property `name` of its objects. Only what is certain: a schema that names
/// its properties and refuses all others has only these, whatever else it says.
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
            "`pattern` is not a regular expression that Snorri takes",
        )
        .label("cannot be compiled")
        .help("look-around and back-references are not known; escape special characters with a backslash");
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
