//! The files that the schemas of a definition refer to.
//!
//! A file is identified by its path from the definitions' directory, with forward slashes. Files outside of that directory
//! have no such path.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::diagnostic::Problems;
use crate::source::{self, MAX_SOURCE_BYTES};
use snorri_core::MAX_PAYLOAD_DEPTH;
use snorri_core::json::{self, Limits};

/// Most files of one definition, and most bytes of all of them.
const MAX_FILES: usize = 100;
const MAX_FILES_BYTES: usize = 4 * MAX_SOURCE_BYTES;

/// The available files, and those of them that are used.
#[derive(Debug)]
pub(super) struct Files<'a> {
    given: &'a BTreeMap<String, String>,
    /// The content of the opened files.
    parsed: BTreeMap<&'a str, Json>,
    bytes: usize,
}

/// A reference to another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) path: String,
    /// The part after the `#`, or empty.
    pub(super) fragment: String,
}

/// Why a file cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) help: String,
}

fn refusal(message: String, help: &str) -> Refusal {
    Refusal { message, help: help.to_owned() }
}

impl Reference {
    /// Resolves `target` in the file `from`, which is empty for the definition itself. `None` if it stays within that file.
    pub(super) fn of(from: &str, target: &str) -> Option<Result<Self, Refusal>> {
        let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
        if file.is_empty() {
            return None;
        }
        let path = normal(from, file).map_err(|help| refusal(format!("`{target}` is not read"), help));
        Some(path.map(|path| Self { path, fragment: fragment.to_owned() }))
    }
}

/// The path from the definitions' directory of `file`, which is relative to `from`.
fn normal(from: &str, file: &str) -> Result<String, &'static str> {
    if file.contains(':') || file.starts_with("//") {
        return Err("only files below the definitions' directory are read, no URLs");
    }
    if file.starts_with(['/', '\\']) {
        return Err("write the path relative to the file with this reference");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-', '/'].contains(&c);
    if !file.chars().all(is_plain) {
        return Err("a path has letters, digits, `.`, `_`, `-` and `/`");
    }
    if !is_schema(file) {
        return Err("a schema's file ends in `.json`, `.yaml` or `.yml`");
    }
    let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut parts: Vec<_> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => {
                return Err("only files below the definitions' directory are read");
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn is_schema(path: &str) -> bool {
    [".json", ".yaml", ".yml"].iter().any(|extension| path.ends_with(extension))
}

impl<'a> Files<'a> {
    pub(super) fn new(given: &'a BTreeMap<String, String>) -> Self {
        Self { given, parsed: BTreeMap::new(), bytes: 0 }
    }

    /// The content of a file.
    pub(super) fn open(&mut self, path: &str) -> Result<Json, Refusal> {
        let Some((path, text)) = self.given.get_key_value(path) else {
            return Err(refusal(
                format!("there is no file `{path}`"),
                "write the path relative to the file with this reference; links out of the definitions' directory are not followed",
            ));
        };
        if let Some(parsed) = self.parsed.get(path.as_str()) {
            return Ok(parsed.clone());
        }
        self.bytes = self.bytes.saturating_add(text.len());
        if self.parsed.len() >= MAX_FILES || self.bytes > MAX_FILES_BYTES {
            let message =
                format!("at most {MAX_FILES} files of {MAX_FILES_BYTES} bytes together can be used");
            return Err(refusal(message, "leave out what is not needed"));
        }
        let parsed = parse(path, text)
            .map_err(|message| refusal(format!("`{path}` cannot be read: {message}"), "correct the file"))?;
        self.parsed.insert(path, parsed.clone());
        Ok(parsed)
    }

    /// The content of the opened files, by path.
    pub(super) fn parsed(&self) -> &BTreeMap<&'a str, Json> {
        &self.parsed
    }

    /// The texts of the opened files, by path.
    pub(super) fn used(&self) -> BTreeMap<String, String> {
        let used = self.given.iter().filter(|(path, _)| self.parsed.contains_key(path.as_str()));
        used.map(|(path, text)| (path.clone(), text.clone())).collect()
    }
}

/// JSON, or YAML within the bounds of a definition.
fn parse(path: &str, text: &str) -> Result<Json, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_SOURCE_BYTES {
        return Err(format!("it has {} bytes; at most {MAX_SOURCE_BYTES} are allowed", text.len()));
    }
    if path.ends_with(".json") {
        let limits = Limits { bytes: MAX_SOURCE_BYTES, depth: MAX_PAYLOAD_DEPTH };
        return json::read(text.as_bytes(), limits).map_err(|error| error.to_string());
    }
    let mut problems = Problems::default();
    let node = source::parse(text, &mut problems);
    let diagnostics = problems.into_diagnostics(path, text);
    match (node, diagnostics.list.first()) {
        (Some(node), None) => Ok(node.to_json()),
        (_, Some(diagnostic)) => {
            let before = text.get(..diagnostic.span.start).unwrap_or_default();
            Err(format!("{} (line {})", diagnostic.message, before.matches('\n').count() + 1))
        }
        (None, None) => Err("it is not YAML".into()),
    }
}

/// The paths of the files that a text may refer to: more than are used, if something else looks like a reference.
pub(super) fn wanted(from: &str, text: &str) -> Vec<String> {
    if !text.contains("$ref") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let name = if from.is_empty() { "definition.yaml" } else { from };
    if let Ok(json) = parse(name, text) {
        references_in(&json, &mut |target| {
            if let Some(Ok(reference)) = Reference::of(from, target) {
                found.push(reference.path);
            }
        });
    }
    found.truncate(MAX_FILES + 1);
    found
}

fn references_in(json: &Json, found: &mut impl FnMut(&str)) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| references_in(item, found)),
        Json::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Json::String(target) if is_reference(key) => found(target),
                    _ => references_in(value, found),
                }
            }
        }
        _ => {}
    }
}

/// Whether a key of a schema holds a reference.
pub(super) fn is_reference(key: &str) -> bool {
    key == "$ref" || key == "$dynamicRef"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_directory() {
        let path = |from, file| normal(from, file).ok();
        assert_eq!(path("", "schemas/./order.json"), Some("schemas/order.json".into()));
        assert_eq!(path("schemas/order.json", "address.yaml"), Some("schemas/address.yaml".into()));
        assert_eq!(path("schemas/order.json", "../address.yml"), Some("address.yml".into()));
        for file in
            ["../a.json", "a/../../b.json", "/a.json", "http://a/b.json", "\\a.json", "a b.json", "a.txt"]
        {
            assert_eq!(path("", file), None, "{file}");
        }
    }
}
