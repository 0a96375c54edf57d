//! Decodes the steps that send no command: choices, loops, waits, sleeps, child sagas, published events and failures.

use std::sync::Arc;

use crate::code;
use crate::decode::fields::DefinitionFields;
use crate::decode::foreign;
use crate::decode::name::DEFAULT_ITEM;
use crate::decode::words::{AWAITED, BRANCH, FAILURE, UNTIL};
use crate::decode::{Context, MOST_VERSION, event, name, scalar, template};
use crate::diagnostic::{Diagnostic, Problems};
use crate::expression::{self, Scope};
use crate::source::{Entry, Node, Value};
use snorri_core::MAX_CONCURRENCY;
use snorri_core::definition::{
    Action, Awaited, Child, ForEach, OnWaitTimeout, Publish, Sleep, StepIndex, Wait,
};
use snorri_core::expression::Expression;
use snorri_core::expression::template::Template;

const ON_WAIT_TIMEOUT: [(&str, OnWaitTimeout); 3] =
    [("fail", OnWaitTimeout::Fail), ("continue", OnWaitTimeout::Continue), ("hold", OnWaitTimeout::Hold)];

/// Decodes the conditions of a choice. Its lists of steps are part of the tree.
pub(super) fn choice(fields: DefinitionFields<'_>, index: usize, cx: &mut Context<'_>) -> Option<Action> {
    let Value::Sequence(branches) = &fields.get("choice")?.value.value else { return None };
    let conditions: Vec<_> = branches
        .iter()
        .enumerate()
        .filter_map(|(position, branch)| condition(branch, position + 1 == branches.len(), index, cx))
        .collect();
    Some(Action::Choice(conditions))
}

fn condition(branch: &Node, is_last: bool, index: usize, cx: &mut Context<'_>) -> Option<Expression> {
    let Value::Mapping(entries) = &branch.value else { return None };
    let get = |key: &str| entries.iter().find(|entry| entry.key == key);
    match (get("default"), get("when").or_else(|| get("steps"))) {
        (Some(default_branch), Some(other)) => {
            let message = format!("a branch has either `default` or `{}`", other.key);
            cx.problems.report(
                Diagnostic::new(code::EITHER_OR, other.key_span.clone(), message)
                    .label("never used")
                    .also(default_branch.key_span.clone(), "has no condition, and holds its steps itself")
                    .help("make two branches of it: `when` with `steps`, and then `default`"),
            );
            None
        }
        (Some(default_branch), None) => {
            if !is_last {
                let message = "`default` comes after all other branches";
                cx.problems.report(
                    Diagnostic::new(code::DEFAULT_NOT_LAST, default_branch.key_span.clone(), message)
                        .label("branches after this one are never taken")
                        .help("move it to the end"),
                );
            }
            None
        }
        (None, _) => {
            // The other keys of the branch have been checked with the tree.
            let fields = DefinitionFields::known(branch, &BRANCH)?;
            if fields.misspelt("default").is_some() {
                return None;
            }
            let entry = fields.require("when", "when: ${ input.amount > 0 }", &mut cx.problems)?;
            template::expression(entry, Scope::step(index), cx)
        }
    }
}

pub(super) fn for_each(fields: DefinitionFields<'_>, index: usize, cx: &mut Context<'_>) -> Option<ForEach> {
    let list = fields.get("for_each").and_then(|entry| template::expression(entry, Scope::step(index), cx));
    let concurrency = fields
        .get("concurrency")
        .and_then(|entry| scalar::integer(entry, 1..=MAX_CONCURRENCY, &mut cx.problems));
    let output = fields.get("output").map(|entry| template::decode(&entry.value, Scope::item(index), cx));
    expression::learn_output(index, output.as_ref(), &mut cx.names);
    let steps = cx.names.steps_of(index).map(StepIndex).collect();
    let item = cx.names.steps[index].item.as_deref().unwrap_or(DEFAULT_ITEM).into();
    Some(ForEach { list: list?, item, concurrency: concurrency.unwrap_or(1), output, steps })
}

pub(super) fn wait(fields: DefinitionFields<'_>, index: usize, cx: &mut Context<'_>) -> Option<Wait> {
    let timeout = fields
        .require("timeout", "timeout: 24h", &mut cx.problems)
        .and_then(|entry| scalar::duration(entry, &mut cx.problems));
    let on_timeout = fields
        .get("on_timeout")
        .and_then(|entry| scalar::choice(entry, &ON_WAIT_TIMEOUT, &mut cx.problems))
        .unwrap_or_default();
    let awaited = fields.get("wait").and_then(|entry| awaited(entry, index, cx));
    Some(Wait { awaited: awaited?, timeout: timeout?, on_timeout })
}

fn awaited(entry: &Entry, index: usize, cx: &mut Context<'_>) -> Option<Awaited> {
    if let Value::String(signal) = &entry.value.value {
        let help = format!("write `wait: {{ signal: {signal} }}`");
        cx.problems.report(scalar::wrong_type(entry, "a mapping").help(help));
        return None;
    }
    let fields = DefinitionFields::of(&entry.value, &AWAITED, &mut cx.problems)?;
    let Some(signal) = fields.get("signal") else {
        if fields.has(foreign::is_several) {
            return None;
        }
        if ["event", "exchange", "correlate", "match"].iter().all(|key| fields.get(key).is_none()) {
            fields.require("signal", "signal: approved` or `event: payment.received", &mut cx.problems);
            return None;
        }
        return event::pattern(fields, Scope::step(index), cx).map(|event| Awaited::Event(Box::new(event)));
    };
    let other = ["event", "exchange", "correlate", "match"].iter().find_map(|key| fields.get(key));
    if let Some(other) = other {
        let message = format!("a wait has either a signal or an event, but not `signal` and `{}`", other.key);
        cx.problems.report(
            Diagnostic::new(code::EITHER_OR, other.key_span.clone(), message)
                .label("belongs to an event")
                .also(signal.key_span.clone(), "waits for a signal")
                .help("keep one of the two"),
        );
        return None;
    }
    scalar::address(signal, &mut cx.problems).map(|signal| Awaited::Signal(signal.into()))
}

pub(super) fn sleep(entry: &Entry, index: usize, cx: &mut Context<'_>) -> Option<Sleep> {
    match &entry.value.value {
        Value::Mapping(_) => {
            let fields = DefinitionFields::of(&entry.value, &UNTIL, &mut cx.problems)?;
            let until = fields.require("until", "until: \"${ input.departure }\"", &mut cx.problems)?;
            template::expression(until, Scope::step(index), cx).map(Sleep::Until)
        }
        Value::String(text) if text.contains("${") => {
            cx.problems.report(
                Diagnostic::new(
                    code::NO_EXPRESSION_HERE,
                    entry.value.span.clone(),
                    "`sleep` cannot hold an expression",
                )
                .label("expected a duration")
                .help(format!("for a time that is computed write `sleep: {{ until: \"{text}\" }}`")),
            );
            None
        }
        _ => scalar::duration(entry, &mut cx.problems).map(Sleep::For),
    }
}

pub(super) fn child(
    fields: DefinitionFields<'_>,
    index: usize,
    is_pivot: bool,
    cx: &mut Context<'_>,
) -> Option<Child> {
    let definition = fields.get("saga").and_then(|entry| name::saga(entry, &mut cx.problems));
    let version = fields
        .require("version", "version: 1", &mut cx.problems)
        .and_then(|entry| scalar::integer(entry, 1..=MOST_VERSION, &mut cx.problems));
    let input = template::payload(fields.get("input"), Scope::step(index), cx);
    let stays = fields.get("compensate").is_some_and(|entry| stays(entry, &mut cx.problems));
    Some(Child { definition: definition?.into(), version: version?, input, compensated: !stays && !is_pivot })
}

fn stays(entry: &Entry, problems: &mut Problems) -> bool {
    let is_none = matches!(&entry.value.value, Value::String(word) if word == "none");
    if !is_none {
        problems.report(scalar::wrong_type(entry, "`none`").help(
            "a child saga defines its own compensations: leave `compensate` out, or write `compensate: none`",
        ));
    }
    is_none
}

pub(super) fn publish(fields: DefinitionFields<'_>, index: usize, cx: &mut Context<'_>) -> Option<Publish> {
    let event: Option<Arc<str>> =
        fields.get("publish").and_then(|entry| scalar::address(entry, &mut cx.problems)).map(Into::into);
    let exchange = event::exchange(fields, cx);
    let payload = template::payload(fields.get("payload"), Scope::step(index), cx);
    Some(Publish { exchange: exchange?, event: event?, payload })
}

pub(super) fn fail(entry: &Entry, index: usize, cx: &mut Context<'_>) -> Option<Action> {
    let fields = DefinitionFields::of(&entry.value, &FAILURE, &mut cx.problems)?;
    let code = fields
        .require("code", "code: too_risky", &mut cx.problems)
        .and_then(|entry| scalar::address(entry, &mut cx.problems));
    let message = fields.get("message").map_or_else(
        || Template::Literal(code.unwrap_or_default().into()),
        |entry| match scalar::text(entry, &mut cx.problems) {
            Some(_) => template::decode(&entry.value, Scope::step(index), cx),
            None => Template::null(),
        },
    );
    Some(Action::Fail { code: code?.to_owned(), message })
}
