//! What was expected and what was got, in the words of the file: so that they can be compared, shown, and written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::script::{Aim, Expected, ExpectedIncident, Line, Scenario};
use super::world::{Observed, Sent};
use super::yaml;
use crate::saga::Status;
use crate::saga::state::Incident;

/// Widest line that several values are written on.
const WIDE: usize = 90;

/// One key of `expect`, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub key: &'static str,
    pub expected: Said,
    pub got: Said,
}

/// What is said under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Not there.
    Nothing,
    One(String),
    Items(Vec<String>),
    Fields(Vec<(String, String)>),
}

/// What a scenario expects, key by key, beside what was got.
pub fn sections(scenario: &Scenario, observed: &Observed) -> Vec<Section> {
    scenario.expected.as_ref().map(|expected| compare(expected, observed)).unwrap_or_default()
}

/// What differs.
pub fn differing(scenario: &Scenario, observed: &Observed) -> Vec<Section> {
    sections(scenario, observed).into_iter().filter(|section| section.expected != section.got).collect()
}

/// What is worth expecting of a run, for a scenario that expects nothing yet.
pub(super) fn worth_expecting(observed: &Observed) -> Vec<Section> {
    let expected = Expected {
        status: Some(observed.status),
        commands: Some(Vec::new()),
        events: (!observed.events.is_empty()).then(Vec::new),
        output: observed.output.clone(),
        // Of an incident that is not expected, all is told.
        incident: (!observed.incidents.is_empty()).then(Vec::new),
        ..Expected::default()
    };
    compare(&expected, observed)
}

fn compare(expected: &Expected, observed: &Observed) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |key, expected, got| sections.push(Section { key, expected, got });
    if let Some(status) = expected.status {
        let said = |status: Status| Said::One(status.as_str().to_owned());
        add("status", said(status), said(observed.status));
    }
    for key in ["commands", "events"] {
        if let Some((lines, got)) = lines(key, expected, observed) {
            add(key, Said::Items(items(lines)), Said::Items(items(&got)));
        }
    }
    if let Some(output) = &expected.output {
        add("output", said_value(output), said_value(observed.output.as_ref().unwrap_or(&Value::Null)));
    }
    if let Some(problem) = &expected.problem {
        let got = observed.problem.as_ref().map_or(Said::Nothing, |code| Said::One(yaml::scalar(code)));
        add("problem", Said::One(yaml::scalar(problem)), got);
    }
    if let Some(incidents) = &expected.incident {
        let got: Vec<_> =
            observed.incidents.iter().enumerate().map(|(nth, is)| incident(incidents, nth, is)).collect();
        add("incident", said_incidents(incidents), said_incidents(&got));
    }
    if let Some(range) = &expected.lasts {
        // As exactly as it is told.
        let got = observed.lasted;
        let expected = said_time(range);
        add("lasts", expected.clone(), if range.contains(&got) { expected } else { said_time(&(got..=got)) });
    }
    sections
}

/// What was expected under `commands` or `events`, and what was got.
pub(super) fn lines<'a>(
    key: &str,
    expected: &'a Expected,
    observed: &Observed,
) -> Option<(&'a [Line], Vec<Line>)> {
    let published = |(name, payload): &(Arc<str>, Value)| Line {
        what: name.to_string(),
        name: None,
        payload: Some(payload.clone()),
    };
    let (lines, got) = match key {
        "commands" => (expected.commands.as_ref()?, sent(expected.commands.as_ref()?, &observed.commands)),
        "events" => (expected.events.as_ref()?, observed.events.iter().map(published).collect()),
        _ => return None,
    };
    Some((lines, like(lines, got)))
}

/// What was sent, called as it is in what is expected: with the items, or without them if none of that step is named.
fn sent(expected: &[Line], commands: &[Sent]) -> Vec<Line> {
    let is_expected = |what: &str| expected.iter().any(|line| line.what == what);
    let names_items = |step: &str| {
        let item = format!("{step}[");
        let names = |line: &Line| line.what.strip_prefix("undo ").unwrap_or(&line.what).starts_with(&item);
        expected.iter().any(names)
    };
    let line = |sent: &Sent| {
        let (exactly, all) = (sent.aim.to_string(), Aim::of_all_items(&sent.aim).to_string());
        let by_item = is_expected(&exactly) || (names_items(sent.aim.path.name()) && !is_expected(&all));
        let what = if by_item { exactly } else { all };
        Line { what, name: Some(sent.name.to_string()), payload: Some(sent.payload.clone()) }
    };
    commands.iter().map(line).collect()
}

/// Leaves of each line what is told of its like among what is expected.
fn like(expected: &[Line], got: Vec<Line>) -> Vec<Line> {
    let mut shapes: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    expected.iter().for_each(|line| shapes.entry(&line.what).or_default().push(line));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    got.into_iter()
        .map(|line| {
            let nth = seen.entry(line.what.clone()).and_modify(|nth| *nth += 1).or_insert(0);
            let likes = shapes.get(line.what.as_str());
            let shape = likes.and_then(|likes| likes.get(*nth).or(likes.last()));
            let name = line.name.filter(|_| shape.is_some_and(|shape| shape.name.is_some()));
            let payload = line.payload.filter(|_| shape.is_some_and(|shape| shape.payload.is_some()));
            Line { what: line.what, name, payload }
        })
        .collect()
}

/// The same in a row is told once, with how often.
pub(super) fn items(lines: &[Line]) -> Vec<String> {
    let mut told: Vec<(String, usize, bool)> = Vec::new();
    for Line { what, name, payload } in lines {
        let text = match (name, payload) {
            (Some(name), _) => format!("{}: {}", yaml::name(what), yaml::scalar(name)),
            (None, Some(payload)) => format!("{}: {}", yaml::name(what), yaml::value(payload)),
            (None, None) => yaml::name(what),
        };
        let is_plain = name.is_none() && payload.is_none();
        match told.last_mut() {
            Some((last, times, true)) if is_plain && *last == text => *times += 1,
            _ => told.push((text, 1, is_plain)),
        }
    }
    let item = |(text, times, _): (String, usize, bool)| match times {
        1 => text,
        // What is in quotes ends with one.
        _ => match text.strip_suffix('"') {
            Some(text) => format!("{text} x{times}\""),
            None => format!("{text} x{times}"),
        },
    };
    told.into_iter().map(item).collect()
}

fn said_value(value: &Value) -> Said {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            Said::Fields(fields.iter().map(|(key, field)| (yaml::scalar(key), yaml::value(field))).collect())
        }
        _ => Said::One(yaml::value(value)),
    }
}

/// As much of an incident as its like among the expected ones tells.
fn incident(expected: &[ExpectedIncident], nth: usize, is: &Incident) -> ExpectedIncident {
    let shape = expected.get(nth).or(expected.last());
    let shape = shape.filter(|shape| shape.step.is_some() || shape.code.is_some());
    let step = is.step.as_ref().map(|step| match is.direction {
        Some(direction) => Aim::new(step, direction).to_string(),
        None => step.to_string(),
    });
    ExpectedIncident {
        step: step.filter(|_| shape.is_none_or(|shape| shape.step.is_some())),
        code: shape.is_none_or(|shape| shape.code.is_some()).then(|| is.problem.code.to_string()),
    }
}

fn said_incidents(incidents: &[ExpectedIncident]) -> Said {
    let one = |incident: &ExpectedIncident| {
        let fields = [("step", &incident.step), ("code", &incident.code)].into_iter();
        let fields =
            fields.filter_map(|(key, value)| Some(format!("{key}: {}", yaml::scalar(value.as_ref()?))));
        format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
    };
    match incidents {
        [] => Said::Nothing,
        [only] => Said::One(one(only)),
        _ => Said::Items(incidents.iter().map(one).collect()),
    }
}

fn said_time(range: &RangeInclusive<Duration>) -> Said {
    let (least, most) = (range.start(), range.end());
    Said::One(if least == most { told(*least) } else { format!("{}..{}", told(*least), told(*most)) })
}

/// As reports tell how long a saga took, `1d 0h` or `2h 05m`, but with all of it: no less would be the same again.
fn told(span: Duration) -> String {
    let (seconds, minutes, hours) = (span.as_secs() % 60, span.as_secs() / 60 % 60, span.as_secs() / 3_600);
    let millis = span.subsec_millis();
    // The unit below the greatest is told even if there is none of it.
    let (begins, below) = match (hours, minutes) {
        (24.., _) => (format!("{}d {}h", hours / 24, hours % 24), [(minutes, "m"), (seconds, "s")]),
        (1.., _) => (format!("{hours}h {minutes:02}m"), [(0, "m"), (seconds, "s")]),
        (0, 1..) => (format!("{minutes}m {seconds:02}s"), [(0, "m"), (0, "s")]),
        _ if span.is_zero() || seconds > 0 => (format!("{seconds}s"), [(0, "m"), (0, "s")]),
        _ => return format!("{millis}ms"),
    };
    let below = below.into_iter().chain([(u64::from(millis), "ms")]).filter(|(count, _)| *count > 0);
    below.fold(begins, |told, (count, unit)| format!("{told} {count}{unit}"))
}

impl Said {
    /// One thing a line, as it can be compared best.
    pub fn lines(&self, key: &str) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::One(text) => vec![format!("{key}: {text}")],
            Self::Items(items) if items.is_empty() => vec![format!("{key}: []")],
            Self::Items(items) => [format!("{key}:")]
                .into_iter()
                .chain(items.iter().map(|item| format!("  - {item}")))
                .collect(),
            Self::Fields(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("  {name}: {value}"));
                [format!("{key}:")].into_iter().chain(fields).collect()
            }
        }
    }

    /// On one line, if it fits.
    pub(super) fn compact(&self, key: &str) -> Vec<String> {
        let line = match self {
            Self::Items(items) if items.iter().all(|item| !item.contains(": ")) => {
                let items: Vec<_> = items.iter().map(|item| yaml::between_brackets(item)).collect();
                format!("{key}: [{}]", items.join(", "))
            }
            Self::Fields(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{name}: {value}"));
                format!("{key}: {{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            _ => return self.lines(key),
        };
        if line.chars().count() <= WIDE { vec![line] } else { self.lines(key) }
    }
}
