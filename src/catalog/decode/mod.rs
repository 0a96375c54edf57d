//! From the tree of values to a definition, telling of all that is wrong on the way.
//!
//! Nothing stops at the first error. What is wrong is reported and replaced by something harmless, so that what
//! comes after it is looked at too; whoever asked throws the result away if anything was reported.

mod command;
mod fields;
mod name;
mod scalar;
mod step;
mod template;
mod words;

use std::sync::Arc;

use cel::Env;

use super::code;
use super::diagnostic::{Diagnostic, Problems};
use super::expression::{Names, Scope};
use super::schema::{self, Schema};
use super::source::{Entry, Node, Value};
use crate::saga::definition::{Block, OnCompensationFailure, OnLateReply, Step};
use crate::saga::template::Template;
use crate::saga::{Definition, MAX_STEP_EXECUTIONS};
use command::Defaults;
use fields::Fields;
use step::Outline;
use words::SAGA;

/// Versions are stored as signed 32 bits.
const MOST_VERSION: u32 = i32::MAX as u32;
/// A saga with more could never send the commands of all of them.
const MOST_STEPS: usize = MAX_STEP_EXECUTIONS as usize;
const ON_LATE_REPLY: [(&str, OnLateReply); 2] =
    [("record", OnLateReply::Record), ("stuck", OnLateReply::Stuck)];
const ON_COMPENSATION_FAILURE: [(&str, OnCompensationFailure); 2] =
    [("stop", OnCompensationFailure::Stop), ("continue", OnCompensationFailure::Continue)];

/// What is at hand while a definition is decoded.
struct Context<'a> {
    source: &'a str,
    env: Arc<Env>,
    problems: Problems,
    names: Names<'a>,
    /// Whether a command without an exchange was reported already.
    told_of_exchange: bool,
    /// How many expressions there were so far.
    expressions: usize,
}

/// A definition, and what its input must be like.
pub(super) struct Decoded {
    pub(super) definition: Definition,
    pub(super) schema: Option<Schema>,
}

/// Decodes the file that `root` was parsed from.
pub(super) fn decode(source: &str, root: &Node, problems: Problems) -> Result<Decoded, Problems> {
    let mut cx = Context {
        source,
        env: Arc::new(Env::stdlib()),
        problems,
        names: Names::default(),
        told_of_exchange: false,
        expressions: 0,
    };
    match saga(root, &mut cx) {
        Some(decoded) if cx.problems.is_empty() => Ok(decoded),
        _ => Err(cx.problems),
    }
}

fn saga<'a>(root: &'a Node, cx: &mut Context<'a>) -> Option<Decoded> {
    if root.value == Value::Null {
        cx.problems.report(
            Diagnostic::new(code::MISSING_KEY, root.span.clone(), "this file is empty")
                .help("begin with `saga: order`, `version: 1` and `steps:`"),
        );
        return None;
    }
    let fields = Fields::of(root, &SAGA, &mut cx.problems)?;
    let name = fields
        .require("saga", "saga: order", &mut cx.problems)
        .and_then(|entry| name::saga(entry, &mut cx.problems));
    let version = fields
        .require("version", "version: 1", &mut cx.problems)
        .and_then(|entry| scalar::integer(entry, 1..=MOST_VERSION, &mut cx.problems));
    let schema = fields.get("input").and_then(|entry| schema::decode(entry, &mut cx.problems));
    cx.names.schema = schema.as_ref().map(|schema| schema.json.clone());
    let defaults = Defaults::of(fields.get("defaults"), &mut cx.problems);
    // Before anything that may hold an expression: they name steps.
    let steps = steps(fields, &defaults, cx);

    let steps = steps?;
    let body = Block::in_order(steps.len());
    let mut definition = Definition::new(name.unwrap_or_default(), version.unwrap_or_default(), steps, body);
    let problems = &mut cx.problems;
    definition.description =
        fields.get("description").and_then(|entry| scalar::text(entry, problems)).map(str::to_owned);
    definition.timeout = fields.get("timeout").and_then(|entry| scalar::duration(entry, problems));
    definition.on_late_reply = fields
        .get("on_late_reply")
        .and_then(|entry| scalar::choice(entry, &ON_LATE_REPLY, problems))
        .unwrap_or_default();
    definition.on_compensation_failure = fields
        .get("on_compensation_failure")
        .and_then(|entry| scalar::choice(entry, &ON_COMPENSATION_FAILURE, problems))
        .unwrap_or_default();
    definition.key = fields.get("key").map(|entry| key(entry, cx));
    definition.output = fields.get("output").map(|entry| template::decode(&entry.value, Scope::Output, cx));
    Some(Decoded { definition, schema })
}

/// Even without steps there is something to return, so that the rest of the file is looked at.
fn steps<'a>(fields: Fields<'a>, defaults: &Defaults, cx: &mut Context<'a>) -> Option<Vec<Step>> {
    let Some(entry) = fields.require("steps", "steps:` and a list below it, `- name: ...", &mut cx.problems)
    else {
        return Some(Vec::new());
    };
    let items: &[Node] = match &entry.value.value {
        Value::Sequence(items) => items,
        Value::Null => &[],
        _ => {
            let message = format!("`steps` must be a list, not {}", entry.value.kind());
            cx.problems.report(
                Diagnostic::new(code::WRONG_TYPE, entry.value.span.clone(), message)
                    .label("expected a list")
                    .help("begin each step with a dash: `- name: ...`"),
            );
            return Some(Vec::new());
        }
    };
    if items.is_empty() {
        cx.problems.report(
            Diagnostic::new(code::NO_STEPS, entry.key_span.clone(), "a saga needs at least one step")
                .label("no steps")
                .help("begin a step with a dash: `- name: ...`"),
        );
    }
    if items.len() > MOST_STEPS {
        let message = format!("a saga has at most {MOST_STEPS} steps, not {}", items.len());
        cx.problems.report(Diagnostic::new(code::TOO_MUCH, items[MOST_STEPS].span.clone(), message));
        return None;
    }
    let outlines: Vec<_> = items.iter().map(Outline::of).collect();
    cx.names.steps = outlines.iter().map(|outline| outline.name).collect();
    step::check(&outlines, &mut cx.problems);
    let steps: Vec<_> =
        items.iter().enumerate().map(|(index, item)| step::decode(item, index, defaults, cx)).collect();
    Some(steps.into_iter().flatten().collect())
}

/// The business key: made from the input, and different from saga to saga.
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
    let key = template::decode(&entry.value, Scope::Key, cx);
    // Null stands for an expression that is wrong, which has been told.
    if matches!(&key, Template::Literal(value) if !value.is_null()) {
        cx.problems.report(
            Diagnostic::new(code::CONSTANT_KEY, span, "every saga would have the same key")
                .label("does not depend on the input")
                .help("write it like `key: ${ input.id }`, or leave it out"),
        );
    }
    key
}
