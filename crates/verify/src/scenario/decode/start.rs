//! Decodes the start of a saga: its input, or the event or schedule that its input is built from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::ScenarioReader;
use super::fields::{self, Fields, Shape};
use snorri_core::definition::Trigger;
use snorri_core::expression::{EvaluationError, Scope, Variable};
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::source::{Entry, Node};

const START: Shape = Shape { name: "`start`", keys: &["event", "exchange", "body", "schedule"] };

/// The input, key and attributes of a saga.
pub(super) struct Begin {
    pub(super) input: Arc<Json>,
    pub(super) key: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
}

/// The scope of an expression outside of a saga: one variable.
pub(in crate::scenario) struct Only<'a>(
    pub(in crate::scenario) &'static str,
    pub(in crate::scenario) &'a Json,
);

impl Scope for Only<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == self.0).then_some(Variable::Json(self.1))
    }
}

/// The input of a scenario, with the key and attributes that the definition derives from it.
pub(super) fn begin(
    fields: Fields<'_>,
    shared: Option<&Node>,
    reader: &mut ScenarioReader<'_>,
) -> Option<Begin> {
    if let Some(entry) = fields.get("start") {
        if let Some(second) = fields.get("input") {
            reader.problems.report(
                Diagnostic::new(
                    code::EITHER_OR,
                    second.key_span.clone(),
                    "`start` already provides the input",
                )
                .label("a second input")
                .help("keep one of `start` and `input`"),
            );
        }
        let input = started(entry, reader)?;
        let help = "`start:` in the definition builds this input";
        return checked(input, None, (&entry.key_span, Some(help)), reader);
    }
    let node = fields.get("input").map(|entry| &entry.value).or(shared);
    let input = node.map_or_else(|| Json::Object(Map::new()), Node::to_json);
    let help = node.is_none().then_some("add `input:`, here or at the top of the file");
    checked(input, node, (node.map_or(fields.head, |node| &node.span), help), reader)
}

/// The input that a trigger of the definition builds from an event or a time.
fn started(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<Json> {
    let fields = Fields::of(&entry.value, &START, &mut reader.problems)?;
    let made = match (fields.get("event"), fields.get("schedule")) {
        (Some(event), _) => by_event(event, fields, reader)?,
        (None, Some(schedule)) => by_schedule(schedule, reader)?,
        (None, None) => {
            fields.require("event", "event: order.placed", &mut reader.problems);
            return None;
        }
    };
    made.map_err(|error| {
        let body = fields.get("body").map(|entry| entry.value.to_json()).unwrap_or_default();
        let wrong = evaluation_failed("no input can be built from it", &error, &body, entry.key_span.clone());
        reader.problems.report(wrong);
    })
    .ok()
}

/// Reports a failed expression. For a missing field it names the field and those that exist.
fn evaluation_failed(what: &str, error: &EvaluationError, from: &Json, at: Range<usize>) -> Diagnostic {
    let Some(key) = error.message.strip_prefix("No such key: ") else {
        return Diagnostic::new(code::SCENARIO_INPUT, at, format!("{what}: {error}"));
    };
    // `input.customer.id` looks for `id` within `customer`.
    let mut looked_at = from;
    for name in error.expression.split('.').skip(1).take_while(|name| *name != key) {
        looked_at = looked_at.get(name).unwrap_or(looked_at);
    }
    let names: Vec<_> = looked_at.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let help = match suggest::nearest(key, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => format!("add `{key}: ...`"),
        None => format!("add `{key}: ...` to {}", suggest::all_of(names)),
    };
    Diagnostic::new(code::SCENARIO_INPUT, at, format!("{what}: it has no `{key}`"))
        .label(format!("`{}` reads `{key}`", error.expression))
        .help(help)
}

fn by_event(
    entry: &Entry,
    fields: Fields<'_>,
    reader: &mut ScenarioReader<'_>,
) -> Option<Result<Json, EvaluationError>> {
    let name = fields::text(entry, &mut reader.problems)?;
    let from = match fields.get("exchange") {
        Some(entry) => Some(fields::text(entry, &mut reader.problems)?),
        None => None,
    };
    let body = fields.get("body").map_or_else(|| Json::Object(Map::new()), |entry| entry.value.to_json());
    let scope = Only("event", &body);
    let mut known = Vec::new();
    let mut is_refused = false;
    for trigger in &reader.compiled.definition.starts {
        let Trigger::Event { exchange, event, when, input } = trigger else { continue };
        known.push(&**event);
        if **event != *name || from.is_some_and(|from| **exchange != *from) {
            continue;
        }
        match when.as_ref().map(|when| when.evaluate(&scope)) {
            None | Some(Ok(Json::Bool(true))) => {
                return Some(input.as_ref().map_or_else(|| Ok(body.clone()), |input| input.render(&scope)));
            }
            Some(Err(error)) => return Some(Err(error)),
            Some(Ok(_)) => is_refused = true,
        }
    }
    let (message, label, help) = match is_refused {
        true => (format!("this event `{name}` starts no saga"), "its `when` is false", None),
        false => {
            let help = suggest::did_you_mean(name, known);
            (format!("no event `{name}` starts this saga"), "not under `start:`", help)
        }
    };
    reader.problems.report(
        Diagnostic::new(code::SCENARIO_ARRIVAL, entry.value.span.clone(), message)
            .label(label)
            .maybe_help(help),
    );
    None
}

/// The input that a schedule builds from a time. If there are several schedules, the first one is used.
fn by_schedule(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<Result<Json, EvaluationError>> {
    let time = fields::text(entry, &mut reader.problems)?;
    let mut triggers = reader.compiled.definition.starts.iter();
    let input = triggers.find_map(|trigger| match trigger {
        Trigger::Schedule { input, .. } => Some(input),
        Trigger::Event { .. } => None,
    });
    if input.is_none() {
        reader.problems.report(
            Diagnostic::new(code::SCENARIO_ARRIVAL, entry.key_span.clone(), "no schedule starts this saga")
                .label("not under `start:`"),
        );
    }
    Some(input?.render(&Only("schedule", &json!({ "time": time }))))
}

/// Validates an input, and derives the key and the attributes from it. `node` is its place in the file, if it has one.
fn checked(
    input: Json,
    node: Option<&Node>,
    (head, help): (&Range<usize>, Option<&str>),
    reader: &mut ScenarioReader<'_>,
) -> Option<Begin> {
    let compiled = reader.compiled;
    if let Err(invalid) = compiled.check_input(&input) {
        for wrong in invalid {
            let at = node.map_or(head, |node| &node.at(&wrong.path).span).clone();
            let place = if wrong.path.is_empty() { String::new() } else { format!(" at `{}`", wrong.path) };
            let message = format!("the input does not match the definition{place}: {}", wrong.message);
            let diagnostic = Diagnostic::new(code::SCENARIO_INPUT, at, message)
                .label("does not match `input` of the definition");
            reader.problems.report(diagnostic.maybe_help(help.map(str::to_owned)));
        }
        return None;
    }
    let made = match compiled.key(&input) {
        Ok(key) => compiled
            .attributes(&input)
            .map(|attributes| (key, attributes))
            .map_err(|error| ("an attribute", error)),
        Err(error) => Err(("the key", error)),
    };
    match made {
        Ok((key, attributes)) => Some(Begin { input: Arc::new(input), key, attributes }),
        Err((what, error)) => {
            let what = format!("{what} cannot be built from this input");
            reader.problems.report(evaluation_failed(&what, &error, &input, head.clone()));
            None
        }
    }
}
