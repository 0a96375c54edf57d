//! Decodes `when`, the events of a scenario that are not answers of participants.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::script::{After, Aim, ScriptedAction, ScriptedEvent};
use super::ScenarioReader;
use super::expected::STATUSES;
use super::fields::{self, Fields, Shape};
use super::stubs;
use snorri_core::definition::{Action, Awaited};
use snorri_core::input::{Intervention, ReplyResult, Resolution};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::{Direction, Status, StepPath};
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::source::{Entry, Node, Value};

const EVENT: Shape = Shape {
    name: "an item of `when`",
    keys: &[
        "at",
        "after",
        "delay",
        "cancel",
        "signal",
        "event",
        "reply",
        "pause",
        "resume",
        "retry",
        "skip",
        "resolve",
        "rollback",
        "abandon",
        "compensate",
        "stop",
        "body",
        "id",
        "exchange",
        "success",
        "failure",
        "error",
        "output",
        "outcome",
        "refused",
    ],
};
const KINDS: [&str; 13] = [
    "cancel",
    "signal",
    "event",
    "reply",
    "pause",
    "resume",
    "retry",
    "skip",
    "resolve",
    "rollback",
    "abandon",
    "compensate",
    "stop",
];

pub(super) fn scripted_events(entry: Option<&Entry>, reader: &mut ScenarioReader<'_>) -> Vec<ScriptedEvent> {
    let Some(entry) = entry else { return Vec::new() };
    let Some(items) = fields::list(entry, "[{ after: charge, cancel: }]", &mut reader.problems) else {
        return Vec::new();
    };
    items.iter().filter_map(|item| scripted_event(item, reader)).collect()
}

fn scripted_event(node: &Node, reader: &mut ScenarioReader<'_>) -> Option<ScriptedEvent> {
    if let Value::String(word) = &node.value {
        let Some(what) = plain(word) else {
            let help = match KINDS.contains(&word.as_str()) {
                true => format!("write it like `{word}: ...`"),
                false => suggest::did_you_mean(word, KINDS).unwrap_or_default(),
            };
            let message = format!("`{word}` alone is not an event");
            let diagnostic = Diagnostic::new(code::SCENARIO_HAPPENING, node.span.clone(), message);
            reader.problems.report(diagnostic.label("which event?").help(help));
            return None;
        };
        let after = default_after(&what);
        let label = word.clone();
        return Some(ScriptedEvent {
            what,
            at: None,
            after,
            delay: Default::default(),
            refused: None,
            label,
        });
    }
    let fields = Fields::of(node, &EVENT, &mut reader.problems)?;
    let kinds: Vec<_> = fields.entries.iter().filter(|entry| KINDS.contains(&entry.key.as_str())).collect();
    let [entry] = kinds.as_slice() else {
        let (span, message, help) = match kinds.as_slice() {
            [_, second, ..] => (
                second.key_span.clone(),
                "this item has two events",
                "write two items of the list".to_owned(),
            ),
            _ => (
                fields.head.clone(),
                "this item has no event",
                format!("add one of {}", suggest::one_of(KINDS)),
            ),
        };
        reader.problems.report(
            Diagnostic::new(code::SCENARIO_HAPPENING, span, message).label("which event?").help(help),
        );
        return None;
    };
    let what = what(entry, fields, reader)?;
    let at = fields.get("at").and_then(|entry| fields::duration(entry, &mut reader.problems));
    let after = match fields.get("after") {
        Some(entry) => Some(after(entry, reader)?),
        None => default_after(&what).filter(|_| at.is_none()),
    };
    let delay = fields.get("delay").and_then(|entry| fields::duration(entry, &mut reader.problems));
    let refused = fields.get("refused").map(|entry| match &entry.value.value {
        Value::String(code) => Some(code.clone()),
        _ => None,
    });
    let label = match &entry.value.value {
        Value::String(text) => format!("{} {text}", entry.key),
        _ => entry.key.clone(),
    };
    Some(ScriptedEvent { what, at, after, delay: delay.unwrap_or_default(), refused, label })
}

/// Interventions wait until the saga is stuck.
fn default_after(what: &ScriptedAction) -> Option<After> {
    matches!(what, ScriptedAction::Intervene(_)).then_some(After::Status(Status::Stuck))
}

/// The events that need no value.
fn plain(word: &str) -> Option<ScriptedAction> {
    Some(match word {
        "cancel" => ScriptedAction::Cancel { reason: "by the scenario".to_owned() },
        "pause" => ScriptedAction::Pause,
        "resume" => ScriptedAction::Resume,
        "compensate" => ScriptedAction::Compensate,
        "stop" => ScriptedAction::Stop,
        "retry" => ScriptedAction::Intervene(Intervention::Retry { step: None }),
        "skip" => ScriptedAction::Intervene(Intervention::Skip { step: None }),
        "rollback" => ScriptedAction::Intervene(Intervention::Rollback),
        "abandon" => ScriptedAction::Intervene(Intervention::Abandon),
        _ => return None,
    })
}

fn what(entry: &Entry, fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<ScriptedAction> {
    let is_named = entry.value.value != Value::Null;
    Some(match entry.key.as_str() {
        "cancel" if is_named => {
            ScriptedAction::Cancel { reason: fields::text(entry, &mut reader.problems)?.to_owned() }
        }
        "signal" => ScriptedAction::ReceivedEvent(Arc::new(signal(entry, fields, reader)?)),
        "event" => ScriptedAction::ReceivedEvent(Arc::new(event(entry, fields, reader)?)),
        "reply" => reply(entry, fields, reader)?,
        "retry" if is_named => {
            ScriptedAction::Intervene(Intervention::Retry { step: Some(step(entry, reader)?) })
        }
        "skip" if is_named => {
            ScriptedAction::Intervene(Intervention::Skip { step: Some(step(entry, reader)?) })
        }
        "resolve" => {
            let step = step(entry, reader)?;
            let outcome = resolution(fields, reader)?;
            ScriptedAction::Intervene(Intervention::Resolve { step, outcome })
        }
        word => plain(word)?,
    })
}

/// `outcome: succeeded`, with an `output`, or `outcome: failed`.
fn resolution(fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<Resolution> {
    let output = fields.get("output").map_or(Json::Null, |entry| entry.value.to_json());
    let Some(entry) = fields.get("outcome") else { return Some(Resolution::Succeeded(Arc::new(output))) };
    match fields::text(entry, &mut reader.problems)? {
        "succeeded" => Some(Resolution::Succeeded(Arc::new(output))),
        "failed" => Some(Resolution::Failed),
        other => {
            let message = format!("`{other}` is not an outcome");
            let diagnostic = Diagnostic::new(code::BAD_VALUE, entry.value.span.clone(), message);
            reader.problems.report(diagnostic.label("unknown outcome").help("write `succeeded` or `failed`"));
            None
        }
    }
}

fn step(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<StepPath> {
    let text = fields::text(entry, &mut reader.problems)?;
    reader.aim(text, &entry.value.span).map(|aim| aim.path)
}

fn signal(entry: &Entry, fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<ReceivedEvent> {
    let name = fields::text(entry, &mut reader.problems)?;
    let steps = reader.compiled.definition.steps().iter();
    let known: Vec<_> = steps
        .filter_map(|step| match &step.action {
            Action::Wait(wait) => match &wait.awaited {
                Awaited::Signal(name) => Some(name),
                Awaited::Event(_) => None,
            },
            _ => None,
        })
        .collect();
    let Some(known_as) = known.iter().find(|known| &****known == name) else {
        let help = suggest::did_you_mean(name, known.iter().map(|name| &***name));
        reader.problems.report(
            Diagnostic::new(
                code::SCENARIO_ARRIVAL,
                entry.value.span.clone(),
                format!("no step waits for a signal `{name}`"),
            )
            .label("no such signal")
            .maybe_help(help),
        );
        return None;
    };
    let body = fields.get("body").map_or(Json::Null, |entry| entry.value.to_json());
    Some(ReceivedEvent::new(EventSource::Signal(Arc::clone(known_as)), id(fields, reader), body))
}

fn event(entry: &Entry, fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<ReceivedEvent> {
    let compiled = reader.compiled;
    let known: Vec<_> = compiled.definition.events().collect();
    let arrival = stubs::arrival(entry, fields, &known, "no step listens for", reader)?;
    Some(ReceivedEvent { id: id(fields, reader), ..arrival })
}

fn id(fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<String> {
    let entry = fields.get("id")?;
    fields::text(entry, &mut reader.problems).map(str::to_owned)
}

/// A late or repeated reply.
fn reply(entry: &Entry, fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<ScriptedAction> {
    let text = fields::text(entry, &mut reader.problems)?;
    let (aim, attempt) = attempt(entry, text, reader)?;
    if !stubs::is_sent(reader, &aim) {
        reader.problems.report(
            Diagnostic::new(
                code::SCENARIO_ANSWER,
                entry.value.span.clone(),
                format!("`{aim}` sends no command"),
            )
            .label("nothing to reply to"),
        );
        return None;
    }
    let outcome = ["success", "failure", "error"].into_iter().find_map(|kind| fields.get(kind));
    let result = match outcome {
        Some(entry) => stubs::result(entry, reader)?,
        None => ReplyResult::Success(Arc::default()),
    };
    Some(ScriptedAction::Reply { aim, attempt, result })
}

/// `ship`, or `ship#2` for its second attempt.
fn attempt(entry: &Entry, text: &str, reader: &mut ScenarioReader<'_>) -> Option<(Aim, Option<u32>)> {
    // A step without a name of its own is called `wait#1`.
    let name = text.trim_start_matches("compensate ").split('[').next().unwrap_or_default();
    let is_step = reader.compiled.definition.index_of(name).is_some();
    let Some((text, number)) = text.rsplit_once('#').filter(|_| !is_step) else {
        return Some((reader.aim(text, &entry.value.span)?, None));
    };
    let number: Option<u32> = number.parse().ok().filter(|&number| number > 0);
    if number.is_none() {
        reader.problems.report(
            Diagnostic::new(code::BAD_VALUE, entry.value.span.clone(), "an attempt is a number from 1")
                .label("which attempt?")
                .help(format!("write `{text}#2` for the second")),
        );
    }
    Some((reader.aim(text, &entry.value.span)?, Some(number?)))
}

fn after(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<After> {
    let text = fields::text(entry, &mut reader.problems)?;
    let is_step = reader.compiled.definition.index_of(text).is_some();
    // Every saga begins as running, so `running` is not a status to wait for.
    let mut awaited = STATUSES.into_iter().filter(|(_, status)| *status != Status::Running);
    if let Some((_, status)) = awaited.find(|(word, _)| *word == text && !is_step) {
        return Some(After::Status(status));
    }
    let (aim, number) = attempt(entry, text, reader)?;
    let action = reader.compiled.definition.step(&aim.path).map(|step| &step.action);
    if aim.direction == Direction::Forward && matches!(action, Some(Action::Choice(_) | Action::Fail { .. }))
    {
        reader.problems.report(
            Diagnostic::new(
                code::SCENARIO_HAPPENING,
                entry.value.span.clone(),
                format!("`{}` takes no time: nothing can happen during it", aim.path),
            )
            .label("ends at once")
            .help("name the step before or after it"),
        );
        return None;
    }
    Some(After::Begun(aim, number.unwrap_or(1)))
}
