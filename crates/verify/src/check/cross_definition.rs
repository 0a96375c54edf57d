//! Cross-definition check: all senders of a command agree on its payload and its reply.
//!
//! A participant has one handler for a command, whichever saga it comes from. Only the newest versions are compared:
//! registered versions are immutable, and a new version may differ from them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use snorri_core::definition::{CommandAction, StepIndex};
use snorri_core::expression::template::Template;
use snorri_core::id::Direction;
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;

/// Reports another definition of the same name and version: only one of the two can be registered.
pub(super) fn twin(compiled: &Compiled, others: &[Arc<Compiled>]) -> Option<Diagnostic> {
    let is_twin =
        |other: &&Arc<Compiled>| other.label() == compiled.label() && other.digest != compiled.digest;
    let twin = others.iter().find(is_twin)?;
    let (file, label) = (&twin.findings.file, compiled.label());
    let message = format!("{label} is also defined in {file}, with different content");
    let at = compiled.places.first().cloned().unwrap_or(0..0);
    Some(
        Diagnostic::new(code::TWO_OF_A_VERSION, at, message)
            .label("only one of the two can be registered")
            .help("a version never changes: give the newer one the next `version`"),
    )
}

pub(super) fn check(compiled: &Compiled, others: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let definition = &compiled.definition;
    let newest = newest(others);
    if newest.get(&*definition.name).is_some_and(|it| it.definition.version > definition.version) {
        return Vec::new();
    }
    let own = commands_of(compiled);
    let foreign = newest.into_values().filter(|it| it.definition.name != definition.name);
    let theirs: Vec<_> = foreign.flat_map(commands_of).collect();
    let mut found = Vec::new();
    for (index, mine) in own.iter().enumerate() {
        let same = |other: &&SentCommand<'_>| mine.is_same(other);
        let (before, after) = (&own[..index], &own[index + 1..]);
        // A difference within a definition is reported once, at the later of the two commands.
        let mut replies = before.iter().chain(&theirs).filter(same);
        found.extend(replies.find(|other| mine.has_other_reply(other)).map(|other| mine.reply(other)));
        let mut payloads = before.iter().chain(after).chain(&theirs).filter(same);
        found.extend(payloads.find_map(|other| mine.payload(other, &mine.lacks(other)?)));
    }
    found
}

/// The newest version of each definition, ordered by name.
fn newest(others: &[Arc<Compiled>]) -> BTreeMap<&str, &Compiled> {
    let mut newest: BTreeMap<&str, &Compiled> = BTreeMap::new();
    for compiled in others {
        let latest = newest.entry(&compiled.definition.name).or_insert(compiled);
        if latest.definition.version < compiled.definition.version {
            *latest = compiled;
        }
    }
    newest
}

/// A command that a step sends.
struct SentCommand<'a> {
    by: &'a Compiled,
    step: StepIndex,
    direction: Direction,
    command: &'a CommandAction,
}

fn commands_of(compiled: &Compiled) -> Vec<SentCommand<'_>> {
    let steps = compiled.definition.steps().iter().enumerate();
    let both = [Direction::Forward, Direction::Compensate];
    let sent = steps.flat_map(|(index, step)| {
        both.into_iter().filter_map(move |direction| {
            let command = step.command(direction)?;
            Some(SentCommand { by: compiled, step: StepIndex(index), direction, command })
        })
    });
    sent.collect()
}

impl SentCommand<'_> {
    fn is_same(&self, other: &Self) -> bool {
        self.command.exchange == other.command.exchange && self.command.name == other.command.name
    }

    fn schema(&self) -> Option<&Value> {
        let is_forward = self.direction == Direction::Forward;
        self.by.replies.get(self.step.0)?.as_ref().filter(|_| is_forward)
    }

    fn has_other_reply(&self, other: &Self) -> bool {
        matches!((self.schema(), other.schema()), (Some(mine), Some(theirs)) if mine != theirs)
    }

    fn keys(&self) -> Option<Vec<&str>> {
        match &self.command.payload {
            Template::Object(fields) => Some(fields.iter().map(|(name, _)| name.as_str()).collect()),
            Template::Literal(Value::Object(fields)) => Some(fields.keys().map(String::as_str).collect()),
            _ => None,
        }
    }

    /// The keys of the other payload that this one lacks.
    fn lacks<'b>(&self, other: &'b Self) -> Option<Vec<&'b str>> {
        let (mine, theirs) = (self.keys()?, other.keys()?);
        let lacks: Vec<_> = theirs.into_iter().filter(|key| !mine.contains(key)).collect();
        (!lacks.is_empty()).then_some(lacks)
    }

    /// Names the step, with its definition if that is not the definition of `from`.
    fn name_from(&self, from: &Self) -> String {
        let name = &self.by.definition.step_at(self.step).name;
        let prefix = if self.direction == Direction::Compensate { "the compensation of " } else { "" };
        if self.by.definition.name == from.by.definition.name {
            format!("{prefix}`{name}`")
        } else {
            format!("{prefix}`{name}` in `{}`", self.by.label())
        }
    }

    fn place(&self, key: &str) -> Range<usize> {
        match self.direction {
            Direction::Forward => self.by.place_of(self.step, &[key, "command"]),
            Direction::Compensate => self.by.place_of(self.step, &["compensate"]),
        }
    }

    fn reply(&self, other: &Self) -> Diagnostic {
        let (command, there) = (&self.command.name, other.name_from(self));
        let message = format!("the `reply` of `{command}` differs from that of {there}");
        let diagnostic = Diagnostic::new(code::REPLIES_DIFFER, self.place("reply"), message)
            .label("a different schema for the reply to the same command")
            .help("a participant answers a command in one way: write the same `reply` in both, or refer to one file with `$ref`")
            .warning();
        self.with(diagnostic, other, "reply")
    }

    fn payload(&self, other: &Self, lacks: &[&str]) -> Option<Diagnostic> {
        let (command, there) = (&self.command.name, other.name_from(self));
        let missing = suggest::all_of(lacks.iter().copied());
        let message = format!("`{command}` is sent without {missing}, which {there} sends");
        let first = lacks.first()?;
        let diagnostic = Diagnostic::new(code::PAYLOADS_DIFFER, self.place("payload"), message)
            .label(format!("{missing} is not in it"))
            .help(format!("add it, or send an explicit null: `{first}: null`"))
            .warning();
        Some(self.with(diagnostic, other, "payload"))
    }

    /// Adds the place of the other command, if it is in the same source.
    fn with(&self, diagnostic: Diagnostic, other: &Self, key: &str) -> Diagnostic {
        let is_here = std::ptr::eq(self.by, other.by);
        if is_here { diagnostic.also(other.place(key), "the same command") } else { diagnostic }
    }
}
