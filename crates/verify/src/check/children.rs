//! Cross-definition check: child sagas can be started, and do not start their parent again.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::iter;
use std::sync::Arc;

use serde_json::Value;

use snorri_core::definition::{Child, StepIndex};
use snorri_core::expression::template::Template;
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;

/// Most `$ref`s that are followed in a row.
const MOST_FOLLOWED: usize = 16;

pub(super) fn check(compiled: &Compiled, others: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let known = Known { compiled, others };
    compiled.definition.children().flat_map(|(step, child)| known.child(step, child)).collect()
}

/// The definitions that can be started.
struct Known<'a> {
    compiled: &'a Compiled,
    others: &'a [Arc<Compiled>],
}

impl<'a> Known<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Compiled> {
        iter::once(self.compiled).chain(self.others.iter().map(|other| &**other))
    }

    fn find(&self, child: &Child) -> Option<&'a Compiled> {
        self.all().find(|it| child.is_of(&it.definition))
    }

    fn child(&self, step: StepIndex, child: &Child) -> Vec<Diagnostic> {
        let Some(definition) = self.find(child) else { return vec![self.unknown(step, child)] };
        if let Some(circle) = self.circle(definition) {
            return vec![self.recursion(step, &circle)];
        }
        let Some(schema) = &definition.input_schema else { return Vec::new() };
        let mut complaints = Vec::new();
        compare(&child.input, schema, schema, "", &mut complaints);
        complaints.into_iter().map(|complaint| self.describe_complaint(step, definition, complaint)).collect()
    }

    fn unknown(&self, step: StepIndex, child: &Child) -> Diagnostic {
        let Child { definition: name, version, .. } = child;
        let there = self.all().filter(|it| it.definition.name == *name);
        let versions: BTreeSet<_> = there.map(|it| it.definition.version).collect();
        if versions.is_empty() {
            let near = suggest::nearest(name, self.all().map(|it| &*it.definition.name));
            let help = near.map_or_else(
                || "check it together with this one, or register it before this one".into(),
                |near| format!("did you mean `{near}`?"),
            );
            let place = self.compiled.place_of(step, &["saga"]);
            let message = format!("there is no definition `{name}` among those checked");
            return Diagnostic::new(code::UNKNOWN_SAGA, place, message)
                .label("unknown here; it may be registered elsewhere")
                .help(help)
                .warning();
        }
        let message = format!("there is no version {version} of `{name}`");
        let numbers: Vec<_> = versions.iter().map(u32::to_string).collect();
        let numbers = suggest::all_of(numbers.iter().map(String::as_str));
        let there = if versions.len() == 1 { "there is version" } else { "there are versions" };
        Diagnostic::new(code::UNKNOWN_VERSION, self.compiled.place_of(step, &["version"]), message)
            .label("no such version")
            .help(format!("{there} {numbers}"))
    }

    /// The shortest path from `first` back to this definition, if there is one.
    fn circle(&self, first: &'a Compiled) -> Option<Vec<&'a Compiled>> {
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([vec![first]]);
        while let Some(path) = queue.pop_front() {
            let last = *path.last()?;
            if last.definition.name == self.compiled.definition.name
                && last.definition.version == self.compiled.definition.version
            {
                return Some(path);
            }
            if !seen.insert((&*last.definition.name, last.definition.version)) {
                continue;
            }
            let children = last.definition.children().filter_map(|(_, child)| self.find(child));
            queue.extend(children.map(|next| path.iter().copied().chain([next]).collect()));
        }
        None
    }

    fn recursion(&self, step: StepIndex, circle: &[&Compiled]) -> Diagnostic {
        let own = self.compiled.label();
        let path: Vec<_> = iter::once(own.clone()).chain(circle.iter().map(|it| it.label())).collect();
        let message = format!("`{own}` is part of itself: {}", path.join(" -> "));
        Diagnostic::new(code::RECURSION, self.compiled.place_of(step, &["saga"]), message)
            .label("starts child sagas of child sagas, until one cannot be started")
            .help("repeat the steps in a `for_each`, or have an event start the next saga, which then is no child of this one")
    }

    fn describe_complaint(&self, step: StepIndex, definition: &Compiled, complaint: Complaint) -> Diagnostic {
        let child = definition.label();
        let Complaint { path, is_missing } = complaint;
        let (message, label, help) = if is_missing {
            (
                format!("`{child}` cannot be started without `{path}`"),
                format!("`{path}` is missing"),
                format!("add `{path}` to the `input` of this step"),
            )
        } else {
            (
                format!("`{child}` cannot be started with `{path}`"),
                format!("has `{path}`, which `{child}` does not take"),
                format!("remove `{path}`, or allow it in the `input` schema of a new version of `{child}`"),
            )
        };
        let place = self.compiled.place_of(step, &["input", "saga"]);
        Diagnostic::new(code::CHILD_INPUT, place, message).label(label).help(help)
    }
}

/// A required field that is missing, or a field that the schema does not allow.
struct Complaint {
    path: String,
    is_missing: bool,
}

/// Compares the fields of `input` with the schema. Only written-out objects are compared: the fields of others are unknown.
fn compare(input: &Template, root: &Value, schema: &Value, around: &str, found: &mut Vec<Complaint>) {
    let fields: Vec<(&str, Option<&Template>)> = match input {
        Template::Object(fields) => fields.iter().map(|(name, field)| (name.as_str(), Some(field))).collect(),
        Template::Literal(Value::Object(fields)) => fields.keys().map(|name| (name.as_str(), None)).collect(),
        _ => return,
    };
    let Some(schema) = resolve_refs(root, schema) else { return };
    let path = |name: &str| if around.is_empty() { name.to_owned() } else { format!("{around}.{name}") };
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if fields.iter().all(|(field, _)| *field != name) {
            found.push(Complaint { path: path(name), is_missing: true });
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
        && schema.get("patternProperties").is_none();
    for (name, field) in fields {
        match (properties.and_then(|properties| properties.get(name)), field) {
            (Some(schema), Some(field)) => compare(field, root, schema, &path(name), found),
            (None, _) if is_closed => found.push(Complaint { path: path(name), is_missing: false }),
            _ => {}
        }
    }
}

/// Resolves the `$ref`s of a schema.
fn resolve_refs<'a>(root: &'a Value, mut schema: &'a Value) -> Option<&'a Value> {
    for _ in 0..MOST_FOLLOWED {
        let Some(target) = schema.get("$ref").and_then(Value::as_str) else { return Some(schema) };
        schema = root.pointer(target.strip_prefix('#')?)?;
    }
    None
}
