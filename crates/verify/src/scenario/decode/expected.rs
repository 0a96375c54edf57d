//! Decodes `expect`, the expectations of a scenario.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::script::{Expected, ExpectedIncident, Line};
use super::ScenarioReader;
use super::fields::{self, Fields, Shape};
use snorri_core::Status;
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::source::{Entry, Node, Value};

pub(super) const EXPECT: Shape = Shape {
    name: "`expect`",
    keys: &["status", "commands", "events", "output", "problem", "incident", "duration"],
};
const INCIDENT: Shape = Shape { name: "an incident", keys: &["step", "code"] };
pub(super) const STATUSES: [(&str, Status); 6] = [
    ("running", Status::Running),
    ("compensating", Status::Compensating),
    ("stuck", Status::Stuck),
    ("completed", Status::Completed),
    ("compensated", Status::Compensated),
    ("abandoned", Status::Abandoned),
];
/// Most repetitions of a command in a row.
const MOST_TIMES: usize = 1_000;

/// `None` if it is empty.
pub(super) fn expected(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<Expected> {
    if entry.value.value == Value::Null {
        return None;
    }
    let fields = Fields::of(&entry.value, &EXPECT, &mut reader.problems)?;
    if fields.entries.is_empty() {
        return None;
    }
    let status =
        fields.get("status").and_then(|entry| fields::choice(entry, &STATUSES, &mut reader.problems));
    let commands = fields.get("commands").and_then(|entry| {
        let items = fields::list(entry, "[reserve, charge, compensate reserve]", &mut reader.problems)?;
        Some(items.iter().flat_map(|item| lines(item, true, reader)).collect())
    });
    let events = fields.get("events").and_then(|entry| {
        let items = fields::list(entry, "[order.placed]", &mut reader.problems)?;
        Some(items.iter().flat_map(|item| lines(item, false, reader)).collect())
    });
    let problem = fields.get("problem").and_then(|entry| fields::text(entry, &mut reader.problems));
    Some(Expected {
        status,
        commands,
        events,
        output: fields.get("output").map(|entry| entry.value.to_json()),
        problem: problem.map(str::to_owned),
        incident: fields.get("incident").map(|entry| incidents(entry, reader)),
        duration: fields.get("duration").and_then(|entry| span_of_time(entry, reader)),
    })
}

/// `reserve`, `charge x3`, `reserve: inventory.reserve` or `reserve: { orderId: o-1 }`.
fn lines(node: &Node, is_command: bool, reader: &mut ScenarioReader<'_>) -> Vec<Line> {
    let (text, span, line) = match &node.value {
        Value::String(text) => (text, &node.span, None),
        Value::Mapping(entries) if entries.len() == 1 => {
            (&entries[0].key, &entries[0].key_span, entries.first())
        }
        _ => {
            reader.problems.report(
                Diagnostic::new(code::WRONG_TYPE, node.span.clone(), "this names no command or event")
                    .label("expected a name, or a name and a payload")
                    .help("write it like `- reserve` or `- reserve: { orderId: o-1 }`"),
            );
            return Vec::new();
        }
    };
    let (what, times) = times(text);
    if is_command && reader.aim(what, span).is_none() {
        return Vec::new();
    }
    let (name, payload) = match line.map(|entry| (&entry.value.value, &entry.value)) {
        Some((Value::String(name), _)) if is_command => (Some(name.clone()), None),
        Some((Value::Null, _)) | None => (None, None),
        Some((_, value)) => (None, Some(value.to_json())),
    };
    let line = Line { what: what.to_owned(), name, payload };
    vec![line; times]
}

/// `charge x3` stands for `charge` three times.
pub(in super::super) fn times(text: &str) -> (&str, usize) {
    match text.rsplit_once(" x").map(|(what, times)| (what, times.parse())) {
        Some((what, Ok(times))) if (1..=MOST_TIMES).contains(&times) => (what, times),
        _ => (text, 1),
    }
}

/// One incident, or a list of them.
fn incidents(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Vec<ExpectedIncident> {
    let nodes = match &entry.value.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let mut incidents = Vec::new();
    for node in nodes {
        let Some(fields) = Fields::of(node, &INCIDENT, &mut reader.problems) else { continue };
        let step = fields.get("step").and_then(|entry| {
            let text = fields::text(entry, &mut reader.problems)?;
            reader.aim(text, &entry.value.span).map(|aim| aim.to_string())
        });
        let code = fields.get("code").and_then(|entry| fields::text(entry, &mut reader.problems));
        incidents.push(ExpectedIncident { step, code: code.map(str::to_owned) });
    }
    incidents
}

/// `10s`, or `10s..15s`.
fn span_of_time(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<RangeInclusive<Duration>> {
    if let Value::String(text) = &entry.value.value
        && let Some((least, most)) = text.split_once("..")
    {
        let span = &entry.value.span;
        let least = fields::parse_duration(least, span, &mut reader.problems)?;
        return Some(least..=fields::parse_duration(most, span, &mut reader.problems)?);
    }
    fields::duration(entry, &mut reader.problems).map(|exactly| exactly..=exactly)
}
