//! Commands, and the commands that undo them.

use std::sync::Arc;

use super::super::code;
use super::super::diagnostic::Diagnostic;
use super::super::expression::Scope;
use super::super::literal;
use super::super::source::{Entry, Value};
use super::fields::Fields;
use super::policy::{Defaults, Patience};
use super::words::COMPENSATION;
use super::{Context, event, scalar, template};
use crate::saga::definition::{Command, CommandStep, OnTimeout};

const ON_TIMEOUT: [(&str, OnTimeout); 3] =
    [("retry", OnTimeout::Retry), ("unknown", OnTimeout::Unknown), ("hold", OnTimeout::Hold)];

/// What a command step does.
pub(super) fn decode(
    fields: Fields<'_>,
    index: usize,
    defaults: &Defaults<'_>,
    cx: &mut Context<'_>,
) -> Option<CommandStep> {
    let on_timeout = fields
        .get("on_timeout")
        .and_then(|entry| scalar::choice(entry, &ON_TIMEOUT, &mut cx.problems))
        .unwrap_or_default();
    let command = forward(fields, index, defaults, cx)?;
    let compensation =
        fields.get("compensate").and_then(|entry| compensation(entry, &command, index, defaults, cx));
    Some(CommandStep {
        command,
        compensation,
        on_timeout,
        reply_schema: cx.replies.get_mut(index).and_then(Option::take).map(|schema| Arc::new(schema) as _),
    })
}

fn forward(
    fields: Fields<'_>,
    index: usize,
    defaults: &Defaults<'_>,
    cx: &mut Context<'_>,
) -> Option<Command> {
    let name = name(fields, "inventory.reserve", cx)?;
    let said = fields.get("exchange").map(|entry| exchange(entry, cx));
    let exchange = said.or_else(|| defaults.exchange.clone());
    if exchange.is_none() && !cx.told_of_exchange {
        // Once is enough: whoever says it under `defaults` says it for all.
        cx.told_of_exchange = true;
        let message = format!("the command `{name}` goes to no exchange");
        cx.problems.report(
            Diagnostic::new(code::NO_EXCHANGE, fields.head.clone(), message)
                .label("`exchange` is missing")
                .help("say `exchange` under `defaults`, or in the step"),
        );
    }
    let Patience { timeout, unroutable_timeout, retry } = defaults.forward(fields, &mut cx.problems);
    let scope = Scope::step(index);
    Some(Command {
        exchange: exchange.unwrap_or_default(),
        name,
        payload: template::payload(fields.get("payload"), scope, cx),
        timeout,
        retry,
        unroutable_timeout,
        on: event::replies(fields.get("on"), scope, cx),
    })
}

/// The command that undoes `step`.
fn compensation(
    entry: &Entry,
    step: &Command,
    index: usize,
    defaults: &Defaults<'_>,
    cx: &mut Context<'_>,
) -> Option<Command> {
    match &entry.value.value {
        Value::String(word) if word == "none" => return None,
        Value::Mapping(_) => {}
        _ => {
            cx.problems.report(not_a_compensation(entry));
            return None;
        }
    }
    let fields = Fields::of(&entry.value, &COMPENSATION, &mut cx.problems)?;
    let name = name(fields, "inventory.release", cx)?;
    let said = fields.get("exchange").map(|entry| exchange(entry, cx));
    let Patience { timeout, unroutable_timeout, retry } =
        defaults.compensation(fields, step.timeout, &mut cx.problems);
    let scope = Scope::undo(index);
    Some(Command {
        exchange: said.unwrap_or_else(|| Arc::clone(&step.exchange)),
        name,
        payload: template::payload(fields.get("payload"), scope, cx),
        timeout,
        retry,
        unroutable_timeout,
        on: event::replies(fields.get("on"), scope, cx),
    })
}

fn not_a_compensation(entry: &Entry) -> Diagnostic {
    let (message, span) = match &entry.value.value {
        Value::Null => ("`compensate` is empty".into(), &entry.key_span),
        _ => (
            format!("`compensate` must be a command or `none`, not {}", entry.value.kind()),
            &entry.value.span,
        ),
    };
    let help = match &entry.value.value {
        value if literal::means_none(value) => "write `compensate: none` if there is nothing to undo".into(),
        Value::String(command) if !command.contains(char::is_whitespace) && !command.is_empty() => {
            format!("write `compensate: {{ command: {command} }}`")
        }
        _ => "write `compensate: { command: ... }`, or `compensate: none` if there is nothing to undo".into(),
    };
    Diagnostic::new(code::WRONG_TYPE, span.clone(), message).help(help)
}

fn name(fields: Fields<'_>, example: &str, cx: &mut Context<'_>) -> Option<Arc<str>> {
    let entry = fields.require("command", &format!("command: {example}"), &mut cx.problems)?;
    // What is wrong has been told; the rest of the command is looked at all the same.
    Some(scalar::address(entry, &mut cx.problems).unwrap_or_default().into())
}

/// An exchange that was said. If it is wrong, that has been told.
pub(super) fn exchange(entry: &Entry, cx: &mut Context<'_>) -> Arc<str> {
    scalar::address(entry, &mut cx.problems).unwrap_or_default().into()
}
