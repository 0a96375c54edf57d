//! Decodes the tree of values into a definition, and reports all errors in it.
//!
//! Decoding does not stop at the first error. It reports the error and replaces the value by a harmless one, so that the rest is
//! checked too; there is no definition if anything was reported.

mod command;
mod event;
mod fields;
mod flow;
mod foreign;
mod name;
mod outline;
mod policy;
mod rules;
mod scalar;
mod step;
mod template;
mod tree;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use cel::Env;

use super::code;
use super::diagnostic::{Diagnostic, Problems};
use super::expression::{Known, Names, Scope};
use super::files::Files;
use super::literal;
use super::schema::{self, Schema};
use super::source::{Entry, Node, Value};
use fields::DefinitionFields;
use outline::Outline;
use policy::{Policies, StepDefaults};
use snorri_core::Definition;
use snorri_core::definition::{Block, OnCompensationFailure, OnLateReply, Step, StepKind};
use snorri_core::expression::environment;
use snorri_core::expression::template::Template;
use tree::Tree;
use words::SAGA;

/// Each is a row of the store, and an index entry.
const MOST_ATTRIBUTES: usize = 16;
/// Versions are stored as signed 32 bits.
const MOST_VERSION: u32 = i32::MAX as u32;
const ON_LATE_REPLY: [(&str, OnLateReply); 2] =
    [("record", OnLateReply::Record), ("stuck", OnLateReply::Stuck)];
const ON_COMPENSATION_FAILURE: [(&str, OnCompensationFailure); 2] =
    [("stop", OnCompensationFailure::Stop), ("continue", OnCompensationFailure::Continue)];

/// The state of decoding a definition.
struct Context<'a> {
    source: &'a str,
    env: Arc<Env>,
    problems: Problems,
    names: Names,
    /// The places of the steps.
    places: Vec<Range<usize>>,
    keys: Keys,
    files: Files<'a>,
    /// Whether a command without an exchange was reported already.
    exchange_reported: bool,
    /// Whether the saga has a business key, and whether a missing one was reported already.
    has_key: bool,
    key_reported: bool,
    /// The schemas of the replies to the commands, by their steps.
    replies: Vec<Option<Schema>>,
    /// The number of expressions so far.
    expressions: usize,
    /// Whether evaluating any of them may take long.
    may_take_long: bool,
}

/// A decoded definition, with its schemas and places.
pub(super) struct Decoded<'a> {
    pub(super) definition: Definition,
    pub(super) schema: Option<Schema>,
    pub(super) files: Files<'a>,
    /// Diagnostics that do not prevent compilation, but may prevent registration.
    pub(super) findings: Problems,
    /// The places of its steps, in bytes.
    pub(super) places: Vec<Range<usize>>,
    pub(super) keys: Keys,
    /// The schemas of the replies to its steps.
    pub(super) replies: Vec<Option<serde_json::Value>>,
    /// Whether evaluating any of its expressions may take long.
    pub(super) may_take_long: bool,
}

/// The places of keys: of the value if it is a scalar, or else of the key itself.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) of_saga: BTreeMap<String, Range<usize>>,
    pub(super) of_steps: Vec<BTreeMap<String, Range<usize>>>,
    /// Of each item of `start`.
    pub(super) of_starts: Vec<BTreeMap<String, Range<usize>>>,
}

impl Keys {
    fn of(node: &Node) -> BTreeMap<String, Range<usize>> {
        let Value::Mapping(entries) = &node.value else { return BTreeMap::new() };
        let place = |entry: &Entry| match &entry.value.value {
            Value::Null | Value::Mapping(_) | Value::Sequence(_) => entry.key_span.clone(),
            _ => entry.value.span.clone(),
        };
        entries.iter().map(|entry| (entry.key.clone(), place(entry))).collect()
    }

    /// The places of the keys of each item in the list under `key`.
    fn of_items(node: &Node, key: &str) -> Vec<BTreeMap<String, Range<usize>>> {
        let Value::Mapping(entries) = &node.value else { return Vec::new() };
        let list = entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value.value);
        let Some(Value::Sequence(items)) = list else { return Vec::new() };
        items.iter().map(Self::of).collect()
    }
}

/// Decodes the file that `root` was parsed from. `files` are those that its schemas may refer to.
pub(super) fn decode<'a>(
    source: &'a str,
    root: &Node,
    files: Files<'a>,
    problems: Problems,
) -> Result<Decoded<'a>, Problems> {
    let mut cx = Context {
        source,
        env: Arc::new(environment()),
        problems,
        names: Names::default(),
        places: Vec::new(),
        keys: Keys {
            of_saga: Keys::of(root),
            of_starts: Keys::of_items(root, "start"),
            of_steps: Vec::new(),
        },
        files,
        exchange_reported: false,
        has_key: false,
        key_reported: false,
        replies: Vec::new(),
        expressions: 0,
        may_take_long: false,
    };
    match saga(root, &mut cx) {
        Some((definition, schema)) if cx.problems.is_empty() => {
            let Context { files, problems: findings, places, keys, names, may_take_long, .. } = cx;
            let replies = names.steps.into_iter().map(|step| Some(step.reply?.json.clone())).collect();
            Ok(Decoded { definition, schema, files, findings, places, keys, replies, may_take_long })
        }
        _ => Err(cx.problems),
    }
}

fn saga(root: &Node, cx: &mut Context<'_>) -> Option<(Definition, Option<Schema>)> {
    if root.value == Value::Null {
        cx.problems.report(
            Diagnostic::new(code::MISSING_KEY, root.span.clone(), "this file is empty")
                .help("begin with `saga: order`, `version: 1` and `steps:`"),
        );
        return None;
    }
    let fields = DefinitionFields::of(root, &SAGA, &mut cx.problems)?;
    let name = fields
        .require("saga", "saga: order", &mut cx.problems)
        .and_then(|entry| name::saga(entry, &mut cx.problems));
    let version = fields
        .require("version", "version: 1", &mut cx.problems)
        .and_then(|entry| scalar::integer(entry, 1..=MOST_VERSION, &mut cx.problems));
    let schema = |key: &str, cx: &mut Context<'_>| fields.get(key).and_then(|entry| schema_of(entry, cx));
    let input = schema("input", cx);
    cx.names.input = input.as_ref().and_then(|schema| {
        let node = fields.get("input")?.value.clone();
        Some(Arc::new(Known { json: schema.json.clone(), node, called: "the `input` schema".into() }))
    });
    cx.has_key = fields.get("key").is_some();
    // Before anything that may hold an expression, which may name a step.
    let (steps, body, outlines) = steps(fields, cx)?;

    let mut definition = Definition::new(name.unwrap_or_default(), version.unwrap_or_default(), steps, body);
    definition.output_schema = schema("output_schema", cx).map(|schema| Arc::new(schema) as _);
    settings(fields, &mut definition, &mut cx.problems);
    definition.key = fields.get("key").map(|entry| key(entry, cx));
    definition.attributes = attributes(fields.get("attributes"), cx);
    definition.starts = event::starts(fields.get("start"), cx);
    definition.output = fields.get("output").map(|entry| template::decode(&entry.value, Scope::OUTPUT, cx));
    if cx.problems.is_empty() {
        rules::reach::check(&definition, &outlines, &mut cx.problems);
        rules::correlation::check(&definition, &outlines, &cx.names, &mut cx.problems);
    }
    Some((definition, input))
}

fn settings(fields: DefinitionFields<'_>, definition: &mut Definition, problems: &mut Problems) {
    definition.description =
        fields.get("description").and_then(|entry| scalar::text(entry, problems)).map(str::to_owned);
    definition.timeout = fields.get("timeout").and_then(|entry| scalar::duration(entry, problems));
    definition.lifecycle_events =
        fields.get("lifecycle_events").and_then(|entry| scalar::boolean(entry, problems)).unwrap_or_default();
    definition.on_late_reply = fields
        .get("on_late_reply")
        .and_then(|entry| scalar::choice(entry, &ON_LATE_REPLY, problems))
        .unwrap_or_default();
    definition.on_compensation_failure = fields
        .get("on_compensation_failure")
        .and_then(|entry| scalar::choice(entry, &ON_COMPENSATION_FAILURE, problems))
        .unwrap_or_default();
}

/// Decodes the steps. Without any it returns an empty body, so that the rest of the file is checked.
fn steps<'a>(
    fields: DefinitionFields<'a>,
    cx: &mut Context<'_>,
) -> Option<(Vec<Step>, Block, Vec<Outline<'a>>)> {
    let policies = Policies::of(fields.get("policies"), &mut cx.problems);
    let defaults = StepDefaults::of(fields.get("defaults"), policies, &mut cx.problems);
    let Some(entry) = fields.require("steps", "steps:` and a list below it, `- name: ...", &mut cx.problems)
    else {
        return Some((Vec::new(), Block::in_order(0), Vec::new()));
    };
    let (mut tree, body) = Tree::of(entry, &mut cx.problems);
    if tree.is_too_long() {
        return None;
    }
    rules::check(&tree, &body, &mut cx.problems);
    cx.names.steps = std::mem::take(&mut tree.named);
    replies(&tree, cx);
    cx.places = tree.outlines.iter().map(|outline| outline.span.clone()).collect();
    cx.keys.of_steps = tree.outlines.iter().map(|outline| Keys::of(outline.node)).collect();
    let outlines = tree.outlines.iter().enumerate();
    let steps: Vec<_> =
        outlines.map(|(index, outline)| step::decode(outline, index, &defaults, cx)).collect();
    Some((steps.into_iter().flatten().collect(), body, tree.outlines))
}

/// Decodes the schema in an entry, and checks the values that it lists.
fn schema_of(entry: &Entry, cx: &mut Context<'_>) -> Option<Schema> {
    cx.problems.find_all(literal::check_schema(&entry.value, cx.source));
    schema::decode(entry, &mut cx.files, &mut cx.problems)
}

/// Decodes the schemas of all replies, which the output of a `for_each` may use before their steps are decoded.
fn replies(tree: &Tree<'_>, cx: &mut Context<'_>) {
    for (index, outline) in tree.outlines.iter().enumerate() {
        let entry = outline.get("reply").filter(|_| outline.kind == StepKind::Command);
        let reply = entry.and_then(|entry| schema_of(entry, cx));
        let called = format!("the `reply` schema of `{}`", cx.names.steps[index].name);
        cx.names.steps[index].reply = reply.as_ref().zip(entry).map(|(schema, entry)| {
            Arc::new(Known { json: schema.json.clone(), node: entry.value.clone(), called })
        });
        cx.replies.push(reply);
    }
}

/// Decodes the attributes, each made from the input, as the key is.
fn attributes(entry: Option<&Entry>, cx: &mut Context<'_>) -> Vec<(Arc<str>, Template)> {
    let Some(entry) = entry else { return Vec::new() };
    let Value::Mapping(entries) = &entry.value.value else {
        let message = format!("`attributes` must be a mapping, not {}", entry.value.kind());
        cx.problems.report(
            Diagnostic::new(code::WRONG_TYPE, entry.value.span.clone(), message)
                .label("expected names and values")
                .help("write it like `attributes: { customer: \"${ input.customerId }\" }`"),
        );
        return Vec::new();
    };
    if let Some(further) = entries.get(MOST_ATTRIBUTES) {
        let message = format!("a saga has at most {MOST_ATTRIBUTES} attributes");
        cx.problems.report(
            Diagnostic::new(code::TOO_MUCH, further.key_span.clone(), message)
                .label("the limit is reached here"),
        );
    }
    entries.iter().take(MOST_ATTRIBUTES).filter_map(|entry| attribute(entry, cx)).collect()
}

fn attribute(entry: &Entry, cx: &mut Context<'_>) -> Option<(Arc<str>, Template)> {
    let name = name::attribute(entry, &mut cx.problems);
    let span = entry.value.span.clone();
    if !matches!(entry.value.value, Value::String(_)) {
        let message = format!("an attribute must be a text with an expression, not {}", entry.value.kind());
        cx.problems.report(
            Diagnostic::new(code::WRONG_TYPE, span, message)
                .label("expected a text")
                .help(format!("write it like `{}: ${{ input.{} }}`", entry.key, entry.key)),
        );
        return None;
    }
    let value = template::decode(&entry.value, Scope::ATTRIBUTE, cx);
    Some((name?.into(), value))
}

/// Decodes the business key: made from the input, and different from saga to saga.
fn key(entry: &Entry, cx: &mut Context<'_>) -> Template {
    let span = entry.value.span.clone();
    if !matches!(entry.value.value, Value::String(_)) {
        let message = format!("`key` must be a text with an expression, not {}", entry.value.kind());
        cx.problems.report(
            Diagnostic::new(code::WRONG_TYPE, span, message)
                .label("expected a text")
                .help("write it like `key: ${ input.id }`"),
        );
        return Template::null();
    }
    let key = template::decode(&entry.value, Scope::KEY, cx);
    // Null stands for an invalid expression, which has been reported.
    if matches!(&key, Template::Literal(value) if !value.is_null()) {
        cx.problems.report(
            Diagnostic::new(code::CONSTANT_KEY, span, "every saga would have the same key")
                .label("does not depend on the input")
                .help("write it like `key: ${ input.id }`, or leave it out"),
        );
    }
    key
}
