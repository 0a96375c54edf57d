//! Decodes a scenario file into its scenarios, and reports all problems.

mod expected;
mod fields;
mod scripted_event;
pub(super) mod start;
mod stubs;

use std::collections::BTreeMap;
use std::ops::Range;

use super::script::{Aim, Scenario, Stubs, Suite};
pub(super) use expected::times;
use fields::{Fields, Shape};
use scripted_event::scripted_events;
use snorri_core::definition::Step;
use snorri_core::{Direction, StepPath, Time};
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::Problems;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::source::{self, Node, Value};
use start::Begin;

const FILE: Shape = Shape {
    name: "a scenario file",
    keys: &["definition", "description", "input", "stubs", "starts_at", "scenarios"],
};

const SCENARIO: Shape = Shape {
    name: "a scenario",
    keys: &["name", "description", "input", "start", "stubs", "starts_at", "when", "expect"],
};

/// The default of `starts_at`: 2026-01-01T00:00:00Z.
const STARTS_AT: Time = Time(1_767_225_600_000);

/// The context in which a scenario is decoded.
pub(super) struct ScenarioReader<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) problems: Problems,
}

/// The value of `definition` in `source`, and its place. `None` if there is no such key, or the source cannot be parsed.
pub fn definition_of(source: &str) -> Option<(String, Range<usize>)> {
    let root = source::parse(plain(source), &mut Problems::default())?;
    let Value::Mapping(entries) = &root.value else { return None };
    let entry = entries.iter().find(|entry| entry.key == "definition")?;
    let Value::String(path) = &entry.value.value else { return None };
    Some((path.clone(), entry.value.span.clone()))
}

/// Decodes the scenarios in `source` for `compiled`. `file` is its name in diagnostics.
pub fn read(file: &str, source: &str, compiled: &Compiled) -> Result<Suite, Diagnostics> {
    let source = plain(source);
    let mut reader = ScenarioReader { compiled, problems: Problems::default() };
    let scenarios = source::parse(source, &mut reader.problems).and_then(|root| reader.file(&root));
    match scenarios {
        Some(scenarios) if reader.problems.is_empty() => Ok(Suite { scenarios }),
        _ => Err(reader.problems.into_diagnostics(file, source)),
    }
}

/// The source without a byte order mark: places are counted from after it.
pub(super) fn plain(source: &str) -> &str {
    source.strip_prefix('\u{feff}').unwrap_or(source)
}

/// The keys of a file that apply to all of its scenarios.
struct Shared<'a> {
    input: Option<&'a Node>,
    stubs: Stubs,
    starts_at: Time,
}

impl ScenarioReader<'_> {
    fn file(&mut self, root: &Node) -> Option<Vec<Scenario>> {
        if root.value == Value::Null {
            self.problems.report(
                Diagnostic::new(code::MISSING_KEY, root.span.clone(), "this file is empty")
                    .help("begin with `scenarios:` and a list below it, `- name: everything works`"),
            );
            return None;
        }
        let fields = Fields::of(root, &FILE, &mut self.problems)?;
        if let Some(entry) = fields.get("definition") {
            fields::text(entry, &mut self.problems);
        }
        let shared = Shared {
            input: fields.get("input").map(|entry| &entry.value),
            stubs: stubs::stubs(fields.get("stubs"), self),
            starts_at: self.starts_at(fields).unwrap_or(STARTS_AT),
        };
        let example = "[{ name: everything works, ... }]";
        let entry = fields.require(
            "scenarios",
            "scenarios:` and a list below it, `- name: ...",
            &mut self.problems,
        )?;
        let items = fields::list(entry, example, &mut self.problems)?;
        let mut names: BTreeMap<String, Range<usize>> = BTreeMap::new();
        let mut scenarios = Vec::new();
        for item in items {
            let Some((name, span, scenario)) = self.scenario(item, &shared) else { continue };
            if let Some(first) = names.get(&name) {
                self.problems.report(
                    Diagnostic::new(
                        code::SCENARIO_NAME,
                        span.clone(),
                        format!("there are two scenarios named `{name}`"),
                    )
                    .label("named as another one")
                    .also(first.clone(), "the other one")
                    .help("name what is different about this one"),
                );
            }
            names.entry(name).or_insert(span);
            scenarios.extend(scenario);
        }
        Some(scenarios)
    }

    fn scenario(
        &mut self,
        node: &Node,
        shared: &Shared<'_>,
    ) -> Option<(String, Range<usize>, Option<Scenario>)> {
        let fields = Fields::of(node, &SCENARIO, &mut self.problems)?;
        let name = fields.require("name", "name: everything works", &mut self.problems).and_then(|entry| {
            let name = fields::text(entry, &mut self.problems)?;
            Some((name.to_owned(), entry.value.span.clone()))
        });
        let stubs = stubs::stubs(fields.get("stubs"), self);
        let answered = stubs.0.keys().cloned().collect();
        let stubs = stubs.or(&shared.stubs);
        let when = scripted_events(fields.get("when"), self);
        let expected = fields.get("expect").and_then(|entry| expected::expected(entry, self));
        let starts_at = self.starts_at(fields).unwrap_or(shared.starts_at);
        let input = start::begin(fields, shared.input, self);
        let (name, span) = name?;
        let scenario = input.map(|Begin { input, key, attributes }| Scenario {
            name: name.clone(),
            starts_at,
            input,
            key,
            attributes,
            stubs,
            answered,
            when,
            expected,
        });
        Some((name, span, scenario))
    }

    fn starts_at(&mut self, fields: Fields<'_>) -> Option<Time> {
        let entry = fields.get("starts_at")?;
        let text = fields::text(entry, &mut self.problems)?;
        let time = Time::from_rfc3339(text);
        if time.is_none() {
            let message = format!("`{text}` is not a time");
            self.problems.report(
                Diagnostic::new(code::BAD_VALUE, entry.value.span.clone(), message)
                    .label("expected a time")
                    .help("write it like `2026-11-21T09:00:00Z`"),
            );
        }
        time
    }
}

/// Decodes references to steps.
impl<'a> ScenarioReader<'a> {
    /// `ship`, `compensate ship`, `install[2]` or `compensate install[2]`.
    pub(super) fn aim(&mut self, text: &str, span: &Range<usize>) -> Option<Aim> {
        let (direction, path) = match text.strip_prefix("compensate ") {
            Some(path) => (Direction::Compensate, path.trim()),
            None => (Direction::Forward, text.trim()),
        };
        let (path, step) = self.step(path, span)?;
        if direction == Direction::Compensate && !step.has_compensation() {
            let message = format!("`{}` has no compensation", step.name);
            self.problems.report(
                Diagnostic::new(code::SCENARIO_ANSWER, span.clone(), message)
                    .label("never sent")
                    .help(format!("give it `compensate:` in the definition, or write `{}`", step.name)),
            );
            return None;
        }
        Some(Aim { direction, path })
    }

    pub(super) fn step(&mut self, text: &str, span: &Range<usize>) -> Option<(StepPath, &'a Step)> {
        let definition = &self.compiled.definition;
        let name = text.split('[').next().unwrap_or_default();
        let Some(index) = definition.index_of(name) else {
            let steps = definition.steps().iter().map(|step| &*step.name);
            self.problems.report(
                Diagnostic::new(
                    code::SCENARIO_STEP,
                    span.clone(),
                    format!("`{}` has no step `{name}`", definition.name),
                )
                .label("no such step")
                .maybe_help(suggest::did_you_mean(name, steps)),
            );
            return None;
        };
        let step = definition.step_at(index);
        let path: Option<StepPath> = text.parse().ok();
        let deep = step.within.len();
        let Some(path) = path.filter(|path| [0, deep].contains(&path.items().len())) else {
            let message = format!("`{text}` does not match the position of `{name}`");
            let items = "[0]".repeat(deep);
            let (label, help) = match deep {
                0 => ("in no `for_each`".to_owned(), format!("write `{name}`")),
                _ => (
                    format!("{deep} `for_each` around it"),
                    format!("write `{name}{items}`, with the number of the item from 0, or `{name}` for all"),
                ),
            };
            self.problems
                .report(Diagnostic::new(code::SCENARIO_STEP, span.clone(), message).label(label).help(help));
            return None;
        };
        Some((path, step))
    }
}
