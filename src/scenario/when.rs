//! What happens beside the answers of participants: `when`.

use std::sync::Arc;

use serde_json::Value as Json;

use super::decode::Reader;
use super::expected::STATUSES;
use super::fields::{self, Fields, Shape};
use super::given;
use super::script::{Aim, Happening, Once, What};
use crate::catalog::source::{Entry, Node, Value};
use crate::catalog::{Diagnostic, code, suggest};
use crate::saga::definition::{Action, Awaited};
use crate::saga::input::{Intervention, ReplyResult, Resolution};
use crate::saga::journal::{Arrival, Source};
use crate::saga::{Direction, Status, StepPath};

const HAPPENING: Shape = Shape {
    name: "something that happens",
    keys: &[
        "at", "once", "after", "cancel", "signal", "event", "reply", "pause", "resume", "retry", "skip",
        "resolve", "rollback", "abandon", "undo", "stop", "body", "id", "exchange", "success", "failure",
        "error", "done", "not_done", "refused",
    ],
};
const KINDS: [&str; 13] = [
    "cancel", "signal", "event", "reply", "pause", "resume", "retry", "skip", "resolve", "rollback",
    "abandon", "undo", "stop",
];

/// What happens, in order.
pub(super) fn when(entry: Option<&Entry>, reader: &mut Reader<'_>) -> Vec<Happening> {
    let Some(entry) = entry else { return Vec::new() };
    let Some(items) = fields::list(entry, "[{ once: charge, cancel: }]", &mut reader.problems) else {
        return Vec::new();
    };
    items.iter().filter_map(|item| happening(item, reader)).collect()
}

fn happening(node: &Node, reader: &mut Reader<'_>) -> Option<Happening> {
    if let Value::String(word) = &node.value {
        let Some(what) = plain(word) else {
            let help = match KINDS.contains(&word.as_str()) {
                true => format!("write it like `{word}: ...`"),
                false => suggest::did_you_mean(word, KINDS).unwrap_or_default(),
            };
            let message = format!("`{word}` alone does not say what happens");
            let diagnostic = Diagnostic::new(code::SCENARIO_HAPPENING, node.span.clone(), message);
            reader.problems.report(diagnostic.label("what happens?").help(help));
            return None;
        };
        let once = default_once(&what);
        let told = word.clone();
        return Some(Happening { what, at: None, once, after: Default::default(), refused: None, told });
    }
    let fields = Fields::of(node, &HAPPENING, &mut reader.problems)?;
    let said: Vec<_> = fields.entries.iter().filter(|entry| KINDS.contains(&entry.key.as_str())).collect();
    let [entry] = said.as_slice() else {
        let (span, message, help) = match said.as_slice() {
            [_, second, ..] => (
                second.key_span.clone(),
                "two things happen here",
                "make it two items of the list".to_owned(),
            ),
            _ => (
                fields.head.clone(),
                "this does not say what happens",
                format!("add one of {}", suggest::one_of(KINDS)),
            ),
        };
        reader.problems.report(
            Diagnostic::new(code::SCENARIO_HAPPENING, span, message).label("what happens?").help(help),
        );
        return None;
    };
    let what = what(entry, fields, reader)?;
    let at = fields.get("at").and_then(|entry| fields::duration(entry, &mut reader.problems));
    let once = match fields.get("once") {
        Some(entry) => Some(once(entry, reader)?),
        None => default_once(&what).filter(|_| at.is_none()),
    };
    let after = fields.get("after").and_then(|entry| fields::duration(entry, &mut reader.problems));
    let refused = fields.get("refused").map(|entry| match &entry.value.value {
        Value::String(code) => Some(code.clone()),
        _ => None,
    });
    let told = match &entry.value.value {
        Value::String(text) => format!("{} {text}", entry.key),
        _ => entry.key.clone(),
    };
    Some(Happening { what, at, once, after: after.unwrap_or_default(), refused, told })
}

/// An operator is called once a saga is stuck.
fn default_once(what: &What) -> Option<Once> {
    matches!(what, What::Intervene(_)).then_some(Once::Status(Status::Stuck))
}

/// What needs no more than its name.
fn plain(word: &str) -> Option<What> {
    Some(match word {
        "cancel" => What::Cancel { reason: "as the scenario says".to_owned() },
        "pause" => What::Pause,
        "resume" => What::Resume,
        "undo" => What::Undo,
        "stop" => What::Stop,
        "retry" => What::Intervene(Intervention::Retry { step: None }),
        "skip" => What::Intervene(Intervention::Skip { step: None }),
        "rollback" => What::Intervene(Intervention::RollBack),
        "abandon" => What::Intervene(Intervention::Abandon),
        _ => return None,
    })
}

fn what(entry: &Entry, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<What> {
    let is_named = entry.value.value != Value::Null;
    Some(match entry.key.as_str() {
        "cancel" if is_named => {
            What::Cancel { reason: fields::text(entry, &mut reader.problems)?.to_owned() }
        }
        "signal" => What::Arrival(Arc::new(signal(entry, fields, reader)?)),
        "event" => What::Arrival(Arc::new(event(entry, fields, reader)?)),
        "reply" => reply(entry, fields, reader)?,
        "retry" if is_named => What::Intervene(Intervention::Retry { step: Some(step(entry, reader)?) }),
        "skip" if is_named => What::Intervene(Intervention::Skip { step: Some(step(entry, reader)?) }),
        "resolve" => {
            let step = step(entry, reader)?;
            let done = fields.get("done").map_or(Json::Null, |entry| entry.value.to_json());
            let outcome = match fields.get("not_done") {
                Some(_) => Resolution::NotDone,
                None => Resolution::Done(Arc::new(done)),
            };
            What::Intervene(Intervention::Resolve { step, outcome })
        }
        word => plain(word)?,
    })
}

fn step(entry: &Entry, reader: &mut Reader<'_>) -> Option<StepPath> {
    let text = fields::text(entry, &mut reader.problems)?;
    reader.aim(text, &entry.value.span).map(|aim| aim.path)
}

fn signal(entry: &Entry, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<Arrival> {
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
            .label("nobody waits for it")
            .maybe_help(help),
        );
        return None;
    };
    let body = fields.get("body").map_or(Json::Null, |entry| entry.value.to_json());
    Some(Arrival::new(Source::Signal(Arc::clone(known_as)), id(fields, reader), body))
}

fn event(entry: &Entry, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<Arrival> {
    let compiled = reader.compiled;
    let known: Vec<_> = compiled.definition.events().collect();
    let arrival = given::arrival(entry, fields, &known, "no step listens for", reader)?;
    Some(Arrival { id: id(fields, reader), ..arrival })
}

fn id(fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let entry = fields.get("id")?;
    fields::text(entry, &mut reader.problems).map(str::to_owned)
}

/// A reply that comes late, or once more.
fn reply(entry: &Entry, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<What> {
    let text = fields::text(entry, &mut reader.problems)?;
    let (aim, attempt) = attempt(entry, text, reader)?;
    if !given::is_sent(reader, &aim) {
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
    let said = ["success", "failure", "error"].into_iter().find_map(|kind| fields.get(kind));
    let result = match said {
        Some(entry) => given::result(entry, reader)?,
        None => ReplyResult::Success(Arc::default()),
    };
    Some(What::Reply { aim, attempt, result })
}

/// `ship`, or `ship#2` for its second attempt.
fn attempt(entry: &Entry, text: &str, reader: &mut Reader<'_>) -> Option<(Aim, Option<u32>)> {
    // A step without a name of its own is called `wait#1`.
    let name = text.trim_start_matches("undo ").split('[').next().unwrap_or_default();
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

fn once(entry: &Entry, reader: &mut Reader<'_>) -> Option<Once> {
    let text = fields::text(entry, &mut reader.problems)?;
    let is_step = reader.compiled.definition.index_of(text).is_some();
    // Every saga is running to begin with: nobody has to wait for that.
    let mut awaited = STATUSES.into_iter().filter(|(_, status)| *status != Status::Running);
    if let Some((_, status)) = awaited.find(|(word, _)| *word == text && !is_step) {
        return Some(Once::Status(status));
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
            .label("over at once")
            .help("name the step before or after it"),
        );
        return None;
    }
    Some(Once::Begun(aim, number.unwrap_or(1)))
}
