//! Bundles a schema and the files that it refers to into one schema.
//!
//! The files go under `$defs`, each by its path, and references to them are rewritten, so that the schema is self-contained
//! where it is stored and shown.

use std::collections::BTreeMap;
use std::ops::Range;

use jsonschema::draft202012;
use serde_json::{Map, Value as Json};

use crate::diagnostic::code;
use crate::diagnostic::{Diagnostic, Problems};
use crate::files::{Files, Reference, Refusal, is_reference};
use crate::source::{Node, Value};

/// Bundles the schema in `node` with all that it refers to. Reports references that cannot be used, and returns `None` then.
pub(super) fn bundle(node: &Node, files: &mut Files<'_>, problems: &mut Problems) -> Option<Json> {
    let mut json = node.to_json();
    let mut references = Vec::new();
    collect_references(node, &mut references);
    references.retain(|(target, _)| !target.starts_with('#'));
    if references.is_empty() {
        return Some(json);
    }
    let before = problems.count();
    let taken = json.get("$defs").and_then(Json::as_object).cloned().unwrap_or_default();
    let mut bundle = Bundle { files, problems, taken, found: BTreeMap::new(), todo: Vec::new() };
    let mut rewritten = BTreeMap::new();
    for (target, place) in references {
        // Each with its own place, although they may be the same.
        rewritten.extend(bundle.follow("", target, &place.span).map(|new| (target, new)));
    }
    rewrite(&mut json, &mut |target| rewritten.get(target).cloned());
    let mut done = Map::new();
    while let Some((path, at)) = bundle.todo.pop() {
        let Some(mut file) = bundle.found.get(&path).cloned() else { continue };
        rewrite(&mut file, &mut |target| bundle.follow(&path, target, &at));
        if let Some(fields) = file.as_object_mut() {
            // It is a part of the bundle now, without an address of its own.
            fields.remove("$id");
            fields.remove("$schema");
        }
        done.insert(bundle.name_of(&path), file);
    }
    let complete = problems.count() == before;
    let definitions = json.as_object_mut()?.entry("$defs").or_insert_with(|| Json::Object(Map::new()));
    definitions.as_object_mut()?.extend(done);
    complete.then_some(json)
}

struct Bundle<'a, 'b, 'c> {
    files: &'a mut Files<'b>,
    problems: &'c mut Problems,
    /// The definitions of the schema itself.
    taken: Map<String, Json>,
    /// The files that are part of it, as they were written.
    found: BTreeMap<String, Json>,
    /// The files whose references are not followed yet, and the place to report for them.
    todo: Vec<(String, Range<usize>)>,
}

impl Bundle<'_, '_, '_> {
    /// The replacement of the reference `target` in the file `from`; `at` is the place to report for it.
    fn follow(&mut self, from: &str, target: &str, at: &Range<usize>) -> Option<String> {
        let reference = match Reference::of(from, target) {
            None if from.is_empty() => return None,
            None => Reference { path: from.to_owned(), fragment: target.trim_start_matches('#').to_owned() },
            Some(Ok(reference)) => reference,
            Some(Err(refusal)) => {
                self.refuse(from, refusal, code::SCHEMA_REFERENCE, at);
                return None;
            }
        };
        let Reference { path, fragment } = reference;
        if !self.found.contains_key(&path) {
            let file = match self.files.open(&path) {
                Ok(file) => file,
                Err(refusal) => {
                    self.refuse(from, refusal, code::SCHEMA_FILE, at);
                    Json::Bool(true)
                }
            };
            if let Some(message) = first_error(&file) {
                let message = format!("`{path}` is not a JSON Schema: {message}");
                let refusal = Refusal { message, help: "correct the file; see JSON Schema 2020-12".into() };
                self.refuse("", refusal, code::SCHEMA_FILE, at);
            }
            self.found.insert(path.clone(), file);
            self.todo.push((path.clone(), at.clone()));
        }
        let leads_somewhere = fragment.is_empty()
            || !fragment.starts_with('/')
            || fragment.contains('%')
            || self
                .found
                .get(&path)
                .is_none_or(|file| file == &Json::Bool(true) || file.pointer(&fragment).is_some());
        if !leads_somewhere {
            let message = format!("`#{fragment}` leads nowhere in `{path}`");
            let refusal = Refusal { message, help: "define it under `$defs` of that file".into() };
            self.refuse("", refusal, code::SCHEMA_REFERENCE, at);
        }
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return Some(format!("#{fragment}"));
        }
        let name = self.name_of(&path).replace('~', "~0").replace('/', "~1");
        Some(format!("#/$defs/{name}{fragment}"))
    }

    /// The name of a file under `$defs`.
    fn name_of(&self, path: &str) -> String {
        let mut name = path.to_owned();
        while self.taken.contains_key(&name) {
            name.push('_');
        }
        name
    }

    fn refuse(&mut self, from: &str, refusal: Refusal, code: &'static str, at: &Range<usize>) {
        let Refusal { message, help } = refusal;
        let message = if from.is_empty() { message } else { format!("in `{from}`: {message}") };
        self.problems.report(Diagnostic::new(code, at.clone(), message).label("referred to here").help(help));
    }
}

/// Replaces all references for which `replace` returns another one.
fn rewrite(json: &mut Json, replace: &mut impl FnMut(&str) -> Option<String>) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| rewrite(item, replace)),
        Json::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Json::String(target) if is_reference(key) => {
                        if let Some(new) = replace(target) {
                            *target = new;
                        }
                    }
                    _ => rewrite(value, replace),
                }
            }
        }
        _ => {}
    }
}

/// The first reason why a value is not a JSON Schema.
fn first_error(json: &Json) -> Option<String> {
    let validator = draft202012::meta::validator();
    let error = validator.iter_errors(json).next()?;
    Some(format!("at `{}`: {}", error.instance_path(), error.masked()))
}

/// The references in a schema, with their places.
pub(super) fn collect_references<'a>(node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Mapping(entries) => {
            for entry in entries {
                match &entry.value.value {
                    Value::String(target) if is_reference(&entry.key) => found.push((target, &entry.value)),
                    _ => collect_references(&entry.value, found),
                }
            }
        }
        _ => {}
    }
}
