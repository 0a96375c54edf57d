//! Commands, and what they take over from `defaults` and from Snorri's own defaults.

use std::sync::Arc;
use std::time::Duration;

use super::super::code;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::expression::Scope;
use super::super::source::{Entry, Value};
use super::fields::Fields;
use super::words::{DEFAULT_COMPENSATION, DEFAULTS, RETRY};
use super::{Context, scalar, template};
use crate::saga::definition::Command;
use crate::saga::retry::Retry;
use crate::saga::template::Template;

/// What holds when a definition says nothing. A step's compensation has its step's timeout.
mod builtin {
    use std::time::Duration;

    use crate::saga::retry::Retry;

    pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
    pub(super) const RETRY: Retry =
        Retry { attempts: 5, first: Duration::from_millis(200), most: Duration::from_secs(30) };
    /// An undo is worth more patience: once it gives up, an operator has to come.
    pub(super) const COMPENSATION_RETRY: Retry =
        Retry { attempts: 10, first: Duration::from_secs(1), most: Duration::from_mins(1) };
}

/// Most attempts of a command.
const MOST_ATTEMPTS: u32 = 1_000;

/// What the commands of a definition take over.
#[derive(Debug)]
pub(super) struct Defaults {
    exchange: Option<Arc<str>>,
    timeout: Duration,
    retry: Retry,
    compensation_timeout: Option<Duration>,
    compensation_retry: Retry,
}

impl Defaults {
    pub(super) fn of(entry: Option<&Entry>, problems: &mut Problems) -> Self {
        let mut defaults = Self {
            exchange: None,
            timeout: builtin::TIMEOUT,
            retry: builtin::RETRY,
            compensation_timeout: None,
            compensation_retry: builtin::COMPENSATION_RETRY,
        };
        let Some(fields) = entry.and_then(|entry| Fields::of(&entry.value, &DEFAULTS, problems)) else {
            return defaults;
        };
        defaults.exchange = fields.get("exchange").map(|entry| exchange(entry, problems));
        defaults.timeout = timeout(fields, problems).unwrap_or(defaults.timeout);
        defaults.retry = retry(fields, defaults.retry, problems);
        let compensation = fields.get("compensation");
        if let Some(fields) =
            compensation.and_then(|entry| Fields::of(&entry.value, &DEFAULT_COMPENSATION, problems))
        {
            defaults.compensation_timeout = timeout(fields, problems);
            defaults.compensation_retry = retry(fields, defaults.compensation_retry, problems);
        }
        defaults
    }
}

/// The command that a step sends.
pub(super) fn forward(
    fields: Fields<'_>,
    defaults: &Defaults,
    scope: Scope,
    cx: &mut Context<'_>,
) -> Option<Command> {
    let name = name(fields, "inventory.reserve", cx)?;
    let said = fields.get("exchange").map(|entry| exchange(entry, &mut cx.problems));
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
    Some(Command {
        exchange: exchange.unwrap_or_default(),
        name,
        payload: payload(fields, scope, cx),
        timeout: timeout(fields, &mut cx.problems).unwrap_or(defaults.timeout),
        retry: retry(fields, defaults.retry, &mut cx.problems),
        on: Vec::new(),
    })
}

/// The command that undoes `step`.
pub(super) fn compensation(
    fields: Fields<'_>,
    step: &Command,
    defaults: &Defaults,
    scope: Scope,
    cx: &mut Context<'_>,
) -> Option<Command> {
    let name = name(fields, "inventory.release", cx)?;
    let said = fields.get("exchange").map(|entry| exchange(entry, &mut cx.problems));
    Some(Command {
        exchange: said.unwrap_or_else(|| Arc::clone(&step.exchange)),
        name,
        payload: payload(fields, scope, cx),
        timeout: timeout(fields, &mut cx.problems).or(defaults.compensation_timeout).unwrap_or(step.timeout),
        retry: retry(fields, defaults.compensation_retry, &mut cx.problems),
        on: Vec::new(),
    })
}

fn name(fields: Fields<'_>, example: &str, cx: &mut Context<'_>) -> Option<Arc<str>> {
    let entry = fields.require("command", &format!("command: {example}"), &mut cx.problems)?;
    // What is wrong has been told; the rest of the command is looked at all the same.
    Some(scalar::address(entry, &mut cx.problems).unwrap_or_default().into())
}

fn exchange(entry: &Entry, problems: &mut Problems) -> Arc<str> {
    scalar::address(entry, problems).unwrap_or_default().into()
}

fn timeout(fields: Fields<'_>, problems: &mut Problems) -> Option<Duration> {
    fields.get("timeout").and_then(|entry| scalar::duration(entry, problems))
}

/// Without a payload, a participant gets an empty object.
fn payload(fields: Fields<'_>, scope: Scope, cx: &mut Context<'_>) -> Template {
    let said = fields.get("payload").filter(|entry| entry.value.value != Value::Null);
    said.map_or_else(
        || Template::Literal(serde_json::json!({})),
        |entry| template::decode(&entry.value, scope, cx),
    )
}

/// What is said of `retry`, and the rest as it was.
fn retry(fields: Fields<'_>, mut retry: Retry, problems: &mut Problems) -> Retry {
    let Some(fields) = fields.get("retry").and_then(|entry| Fields::of(&entry.value, &RETRY, problems))
    else {
        return retry;
    };
    if let Some(entry) = fields.get("attempts") {
        retry.attempts = scalar::integer(entry, 1..=MOST_ATTEMPTS, problems).unwrap_or(retry.attempts);
    }
    if let Some((first, most)) = fields.get("backoff").and_then(|entry| scalar::backoff(entry, problems)) {
        (retry.first, retry.most) = (first, most);
    }
    retry
}
