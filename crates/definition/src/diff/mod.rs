//! Compares two versions of a definition, and finds the changes that break something.
//!
//! Running sagas keep their version, unless an operator migrates them; `saga::migration` checks whether they can be migrated.
//! The diff is about the parties around them when the new version is released: those who start sagas, handle their commands,
//! read their outputs and events, or rely on their compensations. A change that cannot be judged counts as breaking.

mod block;
mod fields;
mod schema;
mod steps;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use self::schema::Role;
use super::Compiled;
use super::bundle::bundle;
use super::diagnostic::Problems;
use super::duration::format_duration;
use super::files::Files;
use super::source::{self, Node};
use snorri_core::Definition;
use snorri_core::definition::Trigger;
use snorri_core::expression::template::Template;

/// The differences between two versions of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub saga: String,
    pub old: u32,
    pub new: u32,
    /// Whether any of the changes breaks something.
    pub breaking: bool,
    pub changes: Vec<Change>,
    /// Remarks besides the changes.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What has changed, as in `input.amount` or `steps.charge.payload`.
    pub place: String,
    /// How.
    pub change: String,
    /// The party that it breaks. `None` if it is compatible.
    pub breaks: Option<Whom>,
}

/// A party around a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// They start it, or send it signals or events.
    Senders,
    /// They handle its commands.
    Participants,
    /// They read its output or the events that it publishes.
    Readers,
    /// They rely on its compensations.
    Rollback,
}

/// Why two definitions cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    #[error("these are two sagas, not two versions of one: `{old}` and `{new}`")]
    Names { old: String, new: String },
}

/// Compares two versions of a definition.
pub fn diff(old: &Compiled, new: &Compiled) -> Result<Diff, Incomparable> {
    let (before, after) = (&*old.definition, &*new.definition);
    if before.name != after.name {
        return Err(Incomparable::Names { old: before.name.to_string(), new: after.name.to_string() });
    }
    let mut changes = Changes::default();
    let (old_text, new_text) = (Written::of(old), Written::of(new));
    schema::compare(
        "input",
        Role::Taken(Whom::Senders),
        old.input_schema.as_ref(),
        new.input_schema.as_ref(),
        &mut changes,
    );
    settings(before, after, &mut changes);
    starts(before, after, &mut changes);
    steps::compare((before, &old_text), (after, &new_text), &mut changes);
    fields::compare("output", Whom::Readers, before.output.as_ref(), after.output.as_ref(), &mut changes);
    schema::compare(
        "output_schema",
        Role::Given(Whom::Readers),
        old_text.output.as_ref(),
        new_text.output.as_ref(),
        &mut changes,
    );
    let changes = changes.0;
    Ok(Diff {
        saga: before.name.to_string(),
        old: before.version,
        new: after.version,
        breaking: changes.iter().any(|change| change.breaks.is_some()),
        notes: notes(old, new),
        changes,
    })
}

fn notes(old: &Compiled, new: &Compiled) -> Vec<String> {
    let (before, after) = (old.definition.version, new.definition.version);
    let mut notes = Vec::new();
    if old.digest != new.digest && after <= before {
        notes.push(format!(
            "version {after} is not higher than {before}, and a registered version never changes: write `version: {}`",
            before.saturating_add(1)
        ));
    }
    notes
}

fn settings(old: &Definition, new: &Definition, changes: &mut Changes) {
    match (&old.key, &new.key) {
        (None, None) => {}
        (Some(old), None) => {
            let text = format!("removed (it was {}): a repeated start is one more saga", fields::shown(old));
            changes.breaks("key", Whom::Senders, text);
        }
        (None, Some(new)) => {
            let text = format!("added: a start with the same {} is the same saga", fields::shown(new));
            changes.breaks("key", Whom::Senders, text);
        }
        (Some(old), Some(new)) => {
            let (old, new) = (fields::shown(old), fields::shown(new));
            if old != new {
                changes.breaks("key", Whom::Senders, format!("computed differently: {new} (it was {old})"));
            }
        }
    }
    attributes(old, new, changes);
    let format = |duration: Option<_>| duration.map_or("none".to_owned(), format_duration);
    changes.if_changed("timeout", &format(old.timeout), &format(new.timeout));
    changes.if_changed("on_late_reply", &word(&old.on_late_reply), &word(&new.on_late_reply));
    changes.if_changed(
        "on_compensation_failure",
        &word(&old.on_compensation_failure),
        &word(&new.on_compensation_failure),
    );
    match (old.lifecycle_events, new.lifecycle_events) {
        (true, false) => changes.breaks("lifecycle_events", Whom::Readers, "no longer published"),
        (false, true) => changes.fits("lifecycle_events", "published now"),
        _ => {}
    }
}

/// Compares attributes. They break nothing: only searches use them, and running sagas keep theirs.
fn attributes(old: &Definition, new: &Definition, changes: &mut Changes) {
    let find = |attributes: &[(Arc<str>, Template)], wanted: &str| {
        attributes.iter().find(|(name, _)| **name == *wanted).map(|(_, value)| fields::shown(value))
    };
    for (name, value) in &old.attributes {
        let now = find(&new.attributes, name).unwrap_or_else(|| "removed".to_owned());
        changes.if_changed(format!("attributes.{name}"), &fields::shown(value), &now);
    }
    for (name, value) in new.attributes.iter().filter(|(name, _)| find(&old.attributes, name).is_none()) {
        changes.fits(format!("attributes.{name}"), format!("added: {}", fields::shown(value)));
    }
}

fn starts(old: &Definition, new: &Definition, changes: &mut Changes) {
    let find = |starts: &[Trigger], wanted: &str| {
        starts.iter().find(|start| trigger(start).0 == wanted).map(|start| trigger(start).1)
    };
    for start in &old.starts {
        let (name, how) = trigger(start);
        match find(&new.starts, &name) {
            None => changes.breaks("start", Whom::Senders, format!("no longer by {name}")),
            Some(now) if now != how => changes.fits("start", format!("by {name}: {now} (it was: {how})")),
            Some(_) => {}
        }
    }
    for (name, _) in new.starts.iter().map(trigger) {
        if find(&old.starts, &name).is_none() {
            changes.fits("start", format!("now also by {name}"));
        }
    }
}

/// Formats a trigger: the event or schedule, and how it starts a saga.
fn trigger(trigger: &Trigger) -> (String, String) {
    match trigger {
        Trigger::Event { exchange, event, when, input } => {
            let when = when.as_ref().map_or("always".to_owned(), |when| format!("when {}", when.source()));
            let input = input.as_ref().map_or("its body".to_owned(), fields::shown);
            (format!("the event `{event}` of `{exchange}`"), format!("{when}, with {input}"))
        }
        Trigger::Schedule { cron, input } => {
            (format!("the schedule `{cron}`"), format!("with {}", fields::shown(input)))
        }
    }
}

/// One of a few words, as it is written in a definition.
fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// The changes found so far.
#[derive(Debug, Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn breaks(&mut self, place: impl Display, whom: Whom, change: impl Into<String>) {
        self.0.push(Change { place: place.to_string(), change: change.into(), breaks: Some(whom) });
    }

    fn fits(&mut self, place: impl Display, change: impl Into<String>) {
        self.0.push(Change { place: place.to_string(), change: change.into(), breaks: None });
    }

    /// A change that breaks nothing.
    fn if_changed<T: PartialEq + Display + ?Sized>(&mut self, place: impl Display, old: &T, new: &T) {
        if old != new {
            self.fits(place, format!("{new} (it was {old})"));
        }
    }
}

/// The schemas in a definition's text: compiled schemas can validate, but not be compared.
#[derive(Debug, Default)]
struct Written {
    output: Option<Value>,
    /// Of the replies, by the names of their steps.
    replies: BTreeMap<String, Value>,
}

impl Written {
    fn of(compiled: &Compiled) -> Self {
        let text = compiled.source.strip_prefix('\u{feff}').unwrap_or(&compiled.source);
        // It has been parsed and bundled before, so that there are no problems.
        let mut problems = Problems::default();
        let Some(root) = source::parse(text, &mut problems) else { return Self::default() };
        let mut files = Files::new(&compiled.files);
        let mut schema = |node| bundle(node, &mut files, &mut problems);
        let mut written =
            Self { output: get(&root, "output_schema").and_then(&mut schema), ..Self::default() };
        let mut todo: Vec<_> = get(&root, "steps").into_iter().collect();
        while let Some(node) = todo.pop() {
            match &node.value {
                source::Value::Sequence(items) => todo.extend(items),
                source::Value::Mapping(_) if get(node, "command").is_some() => {
                    if let (Some(name), Some(reply)) = (get(node, "name"), get(node, "reply")) {
                        let name = name.to_json().as_str().unwrap_or_default().to_owned();
                        written.replies.extend(schema(reply).map(|schema| (name, schema)));
                    }
                }
                _ => {
                    let lists = ["parallel", "choice", "steps", "default"];
                    todo.extend(lists.into_iter().filter_map(|key| get(node, key)));
                }
            }
        }
        written
    }

    /// The schema of a step's reply.
    fn reply(&self, step: &str) -> Option<&Value> {
        self.replies.get(step)
    }
}

/// The value under `key` in a mapping.
fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let source::Value::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}
