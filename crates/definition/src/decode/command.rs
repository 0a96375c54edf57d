//! Decodes commands and their compensations.

use std::sync::Arc;

use crate::code;
use crate::decode::fields::DefinitionFields;
use crate::decode::policy::{Patience, StepDefaults};
use crate::decode::words::COMPENSATION;
use crate::decode::{Context, event, scalar, template};
use crate::diagnostic::Diagnostic;
use crate::expression::Scope;
use crate::literal;
use crate::source::{Entry, Value};
use snorri_core::definition::{CommandAction, CommandStep, OnTimeout};

const ON_TIMEOUT: [(&str, OnTimeout); 3] =
    [("retry", OnTimeout::Retry), ("unknown", OnTimeout::Unknown), ("hold", OnTimeout::Hold)];

/// Decodes a command step.
pub(super) fn decode(
    fields: DefinitionFields<'_>,
    index: usize,
    defaults: &StepDefaults<'_>,
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
    fields: DefinitionFields<'_>,
    index: usize,
    defaults: &StepDefaults<'_>,
    cx: &mut Context<'_>,
) -> Option<CommandAction> {
    let name = name(fields, "inventory.reserve", cx)?;
    let own = fields.get("exchange").map(|entry| scalar::exchange(entry, &mut cx.problems));
    let exchange = own.or_else(|| defaults.exchange.clone());
    if exchange.is_none() && !cx.exchange_reported {
        // Reported once: `exchange` under `defaults` holds for all commands.
        cx.exchange_reported = true;
        let message = format!("the command `{name}` goes to no exchange");
        cx.problems.report(
            Diagnostic::new(code::NO_EXCHANGE, fields.head.clone(), message)
                .label("`exchange` is missing")
                .help("set `exchange` under `defaults`, or in the step"),
        );
    }
    let Patience { timeout, unroutable_timeout, retry } = defaults.forward(fields, &mut cx.problems);
    let scope = Scope::step(index);
    Some(CommandAction {
        exchange: exchange.unwrap_or_default(),
        name,
        payload: template::payload(fields.get("payload"), scope, cx),
        timeout,
        retry,
        unroutable_timeout,
        reply_events: event::replies(fields.get("reply_events"), scope, cx),
    })
}

/// Decodes the compensation of `step`.
fn compensation(
    entry: &Entry,
    step: &CommandAction,
    index: usize,
    defaults: &StepDefaults<'_>,
    cx: &mut Context<'_>,
) -> Option<CommandAction> {
    match &entry.value.value {
        Value::String(word) if word == "none" => return None,
        Value::Mapping(_) => {}
        _ => {
            cx.problems.report(not_a_compensation(entry));
            return None;
        }
    }
    let fields = DefinitionFields::of(&entry.value, &COMPENSATION, &mut cx.problems)?;
    let name = name(fields, "inventory.release", cx)?;
    let own = fields.get("exchange").map(|entry| scalar::exchange(entry, &mut cx.problems));
    let Patience { timeout, unroutable_timeout, retry } =
        defaults.compensation(fields, step.timeout, &mut cx.problems);
    let scope = Scope::compensation(index);
    Some(CommandAction {
        exchange: own.unwrap_or_else(|| Arc::clone(&step.exchange)),
        name,
        payload: template::payload(fields.get("payload"), scope, cx),
        timeout,
        retry,
        unroutable_timeout,
        reply_events: event::replies(fields.get("reply_events"), scope, cx),
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
        value if literal::means_none(value) => {
            "write `compensate: none` if there is nothing to compensate".into()
        }
        Value::String(command) if !command.contains(char::is_whitespace) && !command.is_empty() => {
            format!("write `compensate: {{ command: {command} }}`")
        }
        _ => "write `compensate: { command: ... }`, or `compensate: none` if there is nothing to compensate"
            .into(),
    };
    Diagnostic::new(code::WRONG_TYPE, span.clone(), message).help(help)
}

fn name(fields: DefinitionFields<'_>, example: &str, cx: &mut Context<'_>) -> Option<Arc<str>> {
    let entry = fields.require("command", &format!("command: {example}"), &mut cx.problems)?;
    // The error is reported; the rest of the command is checked all the same.
    Some(scalar::address(entry, &mut cx.problems).unwrap_or_default().into())
}
