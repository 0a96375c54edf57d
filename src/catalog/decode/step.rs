//! Steps, and whether the saga that they make can always go back or forward.

use std::collections::HashMap;
use std::ops::Range;

use super::super::code;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::expression::Scope;
use super::super::source::{Entry, Node, Value};
use super::command::{self, Defaults};
use super::fields::{self, Fields};
use super::words::{COMPENSATION, STEP, is_later_block};
use super::{Context, name, scalar};
use crate::saga::definition::{Action, Command, CommandStep, Kind, OnTimeout, Step};

const ON_TIMEOUT: [(&str, OnTimeout); 3] =
    [("retry", OnTimeout::Retry), ("unknown", OnTimeout::Unknown), ("hold", OnTimeout::Hold)];

/// What the steps around a step need to know of it, before anything of it is checked.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub(super) name: &'a str,
    /// Where to point at for the step as a whole.
    span: Range<usize>,
    /// Where it says `pivot: true`.
    pivot: Option<Range<usize>>,
    optional: bool,
    compensate: Compensate,
}

/// What a step says of its undo.
#[derive(Debug)]
enum Compensate {
    Unsaid,
    /// Nothing to say: it is of a kind that this version does not know.
    NotAsked,
    None,
    By(Range<usize>),
}

impl<'a> Outline<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let entries: &[Entry] = match &node.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        };
        let get = |key: &str| entries.iter().find(|entry| entry.key == key);
        let is_true = |entry: &&Entry| entry.value.value == Value::Bool(true);
        let name = get("name").and_then(|entry| match &entry.value.value {
            Value::String(name) => Some((name.as_str(), entry.value.span.clone())),
            _ => None,
        });
        let is_command = !entries.is_empty() && !entries.iter().any(|entry| is_later_block(&entry.key));
        let unsaid = if is_command { Compensate::Unsaid } else { Compensate::NotAsked };
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        let (name, span) = name.unwrap_or_else(|| ("", head.clone()));
        Self {
            name,
            span,
            pivot: get("pivot").filter(is_true).map(|entry| entry.key_span.clone()),
            optional: get("optional").filter(is_true).is_some(),
            compensate: get("compensate").map_or(unsaid, |entry| match &entry.value.value {
                Value::String(word) if word == "none" => Compensate::None,
                _ => Compensate::By(entry.key_span.clone()),
            }),
        }
    }

    fn called(&self) -> String {
        if self.name.is_empty() { "this step".into() } else { format!("`{}`", self.name) }
    }
}

/// A step that sends a command.
pub(super) fn decode(node: &Node, index: usize, defaults: &Defaults, cx: &mut Context<'_>) -> Option<Step> {
    if let Value::Mapping(entries) = &node.value
        && let Some(block) = entries.iter().find(|entry| is_later_block(&entry.key))
    {
        cx.problems.report(fields::later(&block.key, block.key_span.clone()));
        return None;
    }
    let fields = Fields::of(node, &STEP, &mut cx.problems)?;
    let name = fields
        .require("name", "name: reserve", &mut cx.problems)
        .and_then(|entry| name::step(entry, &mut cx.problems));
    let pivot = flag(fields, "pivot", &mut cx.problems);
    let optional = flag(fields, "optional", &mut cx.problems);
    let on_timeout = fields
        .get("on_timeout")
        .and_then(|entry| scalar::choice(entry, &ON_TIMEOUT, &mut cx.problems))
        .unwrap_or_default();
    let command = command::forward(fields, defaults, Scope::Payload(index), cx)?;
    let compensation =
        fields.get("compensate").and_then(|entry| compensation(entry, &command, index, defaults, cx));
    Some(Step {
        name: name?.into(),
        kind: if pivot { Kind::Pivot } else { Kind::Plain },
        when: None,
        optional,
        action: Action::Command(Box::new(CommandStep {
            command,
            compensation,
            on_timeout,
            reply_schema: None,
        })),
        within: Vec::new(),
    })
}

fn flag(fields: Fields<'_>, key: &str, problems: &mut Problems) -> bool {
    fields.get(key).and_then(|entry| scalar::boolean(entry, problems)).unwrap_or_default()
}

fn compensation(
    entry: &Entry,
    step: &Command,
    index: usize,
    defaults: &Defaults,
    cx: &mut Context<'_>,
) -> Option<Command> {
    match &entry.value.value {
        Value::String(word) if word == "none" => None,
        Value::Mapping(_) => {
            let fields = Fields::of(&entry.value, &COMPENSATION, &mut cx.problems)?;
            command::compensation(fields, step, defaults, Scope::Compensation(index), cx)
        }
        value => {
            let (message, span) = match value {
                Value::Null => ("`compensate` is empty".into(), &entry.key_span),
                _ => (
                    format!("`compensate` must be a command or `none`, not {}", entry.value.kind()),
                    &entry.value.span,
                ),
            };
            let help = match value {
                Value::String(command) if !command.contains(char::is_whitespace) && !command.is_empty() => {
                    format!("write `compensate: {{ command: {command} }}`")
                }
                _ => {
                    "write `compensate: { command: ... }`, or `compensate: none` if there is nothing to undo"
                        .into()
                }
            };
            cx.problems.report(Diagnostic::new(code::WRONG_TYPE, span.clone(), message).help(help));
            None
        }
    }
}

/// What only shows when the steps are looked at together.
pub(super) fn check(outlines: &[Outline<'_>], problems: &mut Problems) {
    check_names(outlines, problems);
    let pivot = outlines.iter().position(|outline| outline.pivot.is_some());
    for (index, outline) in outlines.iter().enumerate() {
        match (&outline.compensate, pivot) {
            (Compensate::By(span), Some(pivot)) if index >= pivot => {
                problems.report(undo_after_pivot(outline, span, &outlines[pivot]));
            }
            (Compensate::Unsaid, pivot) if pivot.is_none_or(|pivot| index < pivot) => {
                problems.report(no_undo(outline));
            }
            _ => {}
        }
        if let (Some(span), Some(first)) = (&outline.pivot, pivot) {
            if index > first {
                problems.report(second_pivot(span, &outlines[first]));
            }
            if outline.optional {
                problems.report(
                    Diagnostic::new(code::OPTIONAL_PIVOT, span.clone(), "a pivot cannot be optional")
                        .label("the saga goes on only once this has succeeded")
                        .help("remove `optional` or `pivot`"),
                );
            }
        }
    }
}

fn check_names(outlines: &[Outline<'_>], problems: &mut Problems) {
    let mut seen: HashMap<_, &Range<usize>> = HashMap::new();
    for outline in outlines.iter().filter(|outline| !outline.name.is_empty()) {
        if let Some(first) = seen.get(outline.name) {
            let message = format!("two steps are named `{}`", outline.name);
            problems.report(
                Diagnostic::new(code::DUPLICATE_STEP, outline.span.clone(), message)
                    .label("used again")
                    .also((*first).clone(), "first used here")
                    .help("give each step a name of its own"),
            );
        } else {
            seen.insert(outline.name, &outline.span);
        }
    }
}

fn no_undo(outline: &Outline<'_>) -> Diagnostic {
    let message = format!("{} does not say how it is undone", outline.called());
    Diagnostic::new(code::NO_UNDO, outline.span.clone(), message)
        .label("`compensate` is missing")
        .help("add `compensate: { command: ... }`, or `compensate: none` if there is nothing to undo")
}

fn undo_after_pivot(outline: &Outline<'_>, span: &Range<usize>, pivot: &Outline<'_>) -> Diagnostic {
    let message = format!("{} can never be compensated", outline.called());
    let diagnostic = Diagnostic::new(code::UNDO_AFTER_PIVOT, span.clone(), message)
        .label("never used")
        .help("remove `compensate`, or move the step before the pivot");
    match &pivot.pivot {
        Some(span) if std::ptr::eq(outline, pivot) => {
            diagnostic.also(span.clone(), "a pivot is not undone").help("remove `compensate` or `pivot`")
        }
        Some(span) => diagnostic.also(span.clone(), "once this has succeeded, there is no way back"),
        None => diagnostic,
    }
}

fn second_pivot(span: &Range<usize>, first: &Outline<'_>) -> Diagnostic {
    let message = format!("{} is the pivot already", first.called());
    let diagnostic = Diagnostic::new(code::SECOND_PIVOT, span.clone(), message)
        .label("a second pivot")
        .help("keep the one after which the saga must not go back; all steps after it are retried");
    match &first.pivot {
        Some(span) => diagnostic.also(span.clone(), "there is no way back after this one"),
        None => diagnostic,
    }
}
