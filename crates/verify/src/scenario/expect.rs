//! Expected and observed values as YAML text, to be compared, shown and written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::script::{Aim, Expected, ExpectedIncident, Line, Scenario};
use super::world::{Observed, SentMessage};
use super::yaml;
use snorri_core::Status;
use snorri_core::state::Incident;
use snorri_definition::duration::format_duration;

/// Most characters of a line with several values.
const WIDE: usize = 90;

/// One key of `expect`, with its values as YAML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub key: &'static str,
    pub expected: YamlText,
    pub got: YamlText,
}

/// The value of a key as YAML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum YamlText {
    /// Not there.
    Absent,
    One(String),
    Items(Vec<String>),
    Fields(Vec<(String, String)>),
}

/// The keys that a scenario expects, with expected and observed values.
pub fn sections(scenario: &Scenario, observed: &Observed) -> Vec<Section> {
    scenario.expected.as_ref().map(|expected| compare(expected, observed)).unwrap_or_default()
}

/// The keys with differing values.
pub fn differing(scenario: &Scenario, observed: &Observed) -> Vec<Section> {
    sections(scenario, observed).into_iter().filter(|section| section.expected != section.got).collect()
}

/// The default expectations of a run, for a scenario without `expect`.
pub(super) fn worth_expecting(observed: &Observed) -> Vec<Section> {
    let expected = Expected {
        status: Some(observed.status),
        commands: Some(Vec::new()),
        events: (!observed.events.is_empty()).then(Vec::new),
        output: observed.output.clone(),
        // An unexpected incident is written in full.
        incident: (!observed.incidents.is_empty()).then(Vec::new),
        ..Expected::default()
    };
    compare(&expected, observed)
}

fn compare(expected: &Expected, observed: &Observed) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |key, expected, got| sections.push(Section { key, expected, got });
    if let Some(status) = expected.status {
        let value = |status: Status| YamlText::One(status.as_str().to_owned());
        add("status", value(status), value(observed.status));
    }
    for key in ["commands", "events"] {
        if let Some((lines, got)) = lines(key, expected, observed) {
            add(key, YamlText::Items(items(lines)), YamlText::Items(items(&got)));
        }
    }
    if let Some(output) = &expected.output {
        add("output", format_value(output), format_value(observed.output.as_ref().unwrap_or(&Value::Null)));
    }
    if let Some(problem) = &expected.problem {
        let got =
            observed.problem.as_ref().map_or(YamlText::Absent, |code| YamlText::One(yaml::scalar(code)));
        add("problem", YamlText::One(yaml::scalar(problem)), got);
    }
    if let Some(incidents) = &expected.incident {
        let got: Vec<_> =
            observed.incidents.iter().enumerate().map(|(nth, is)| incident(incidents, nth, is)).collect();
        add("incident", format_incidents(incidents), format_incidents(&got));
    }
    if let Some(range) = &expected.duration {
        // A duration within the range is written like the range.
        let got = observed.lasted;
        let expected = format_range(range);
        add(
            "duration",
            expected.clone(),
            if range.contains(&got) { expected } else { format_range(&(got..=got)) },
        );
    }
    sections
}

/// The expected and the observed lines of `commands` or `events`.
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

/// The messages sent, named as in the expected lines: with items, or without them if those have no items of the step.
fn sent(expected: &[Line], commands: &[SentMessage]) -> Vec<Line> {
    let is_expected = |what: &str| expected.iter().any(|line| line.what == what);
    let names_items = |step: &str| {
        let item = format!("{step}[");
        let names =
            |line: &Line| line.what.strip_prefix("compensate ").unwrap_or(&line.what).starts_with(&item);
        expected.iter().any(names)
    };
    let line = |sent: &SentMessage| {
        let (exactly, all) = (sent.aim.to_string(), Aim::of_all_items(&sent.aim).to_string());
        let by_item = is_expected(&exactly) || (names_items(sent.aim.path.name()) && !is_expected(&all));
        let what = if by_item { exactly } else { all };
        Line { what, name: Some(sent.name.to_string()), payload: Some(sent.payload.clone()) }
    };
    commands.iter().map(line).collect()
}

/// Reduces each line to the parts that its counterpart among the expected lines has.
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

/// Formats lines as items. Equal lines in a row become one, with their number.
pub(super) fn items(lines: &[Line]) -> Vec<String> {
    let mut written: Vec<(String, usize, bool)> = Vec::new();
    for Line { what, name, payload } in lines {
        let text = match (name, payload) {
            (Some(name), _) => format!("{}: {}", yaml::name(what), yaml::scalar(name)),
            (None, Some(payload)) => format!("{}: {}", yaml::name(what), yaml::value(payload)),
            (None, None) => yaml::name(what),
        };
        let is_plain = name.is_none() && payload.is_none();
        match written.last_mut() {
            Some((last, times, true)) if is_plain && *last == text => *times += 1,
            _ => written.push((text, 1, is_plain)),
        }
    }
    let item = |(text, times, _): (String, usize, bool)| match times {
        1 => text,
        // The number goes inside the closing quote.
        _ => match text.strip_suffix('"') {
            Some(text) => format!("{text} x{times}\""),
            None => format!("{text} x{times}"),
        },
    };
    written.into_iter().map(item).collect()
}

fn format_value(value: &Value) -> YamlText {
    match value {
        Value::Object(fields) if !fields.is_empty() => YamlText::Fields(
            fields.iter().map(|(key, field)| (yaml::scalar(key), yaml::value(field))).collect(),
        ),
        _ => YamlText::One(yaml::value(value)),
    }
}

/// Reduces an incident to the fields that its counterpart among the expected ones has.
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

fn format_incidents(incidents: &[ExpectedIncident]) -> YamlText {
    let one = |incident: &ExpectedIncident| {
        let fields = [("step", &incident.step), ("code", &incident.code)].into_iter();
        let fields =
            fields.filter_map(|(key, value)| Some(format!("{key}: {}", yaml::scalar(value.as_ref()?))));
        format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
    };
    match incidents {
        [] => YamlText::Absent,
        [only] => YamlText::One(one(only)),
        _ => YamlText::Items(incidents.iter().map(one).collect()),
    }
}

fn format_range(range: &RangeInclusive<Duration>) -> YamlText {
    let (least, most) = (range.start(), range.end());
    YamlText::One(if least == most {
        format_duration(*least)
    } else {
        format!("{}..{}", format_duration(*least), format_duration(*most))
    })
}

impl YamlText {
    /// One value per line, for comparison.
    pub fn lines(&self, key: &str) -> Vec<String> {
        match self {
            Self::Absent => Vec::new(),
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
