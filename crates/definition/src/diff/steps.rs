//! Compares steps, and the messages that they send.

use std::collections::BTreeSet;

use super::schema::{self, Role};
use super::{Changes, Whom, Written, block, fields, word};
use crate::duration::format_duration;
use snorri_core::definition::{
    Action, Awaited, Child, CommandAction, CommandStep, EventPattern, ForEach, Publish, Sleep, Step, Wait,
};
use snorri_core::{Definition, Direction};

type Version<'a> = (&'a Definition, &'a Written);

pub(super) fn compare((old, old_text): Version<'_>, (new, new_text): Version<'_>, changes: &mut Changes) {
    let sent: BTreeSet<_> = old.commands().map(address).collect();
    let mut comparison = Comparison { sent, changes };
    for step in old.steps() {
        match same(new, step) {
            None => comparison.removed(step),
            Some(now) => {
                let replies = (old_text.reply(&step.name), new_text.reply(&now.name));
                comparison.steps(step, now);
                let place = format!("{}.reply", place(step));
                let role = Role::Taken(Whom::Participants);
                schema::compare(&place, role, replies.0, replies.1, comparison.changes);
            }
        }
    }
    for step in new.steps().iter().filter(|step| same(old, step).is_none()) {
        comparison.added(step);
    }
    block::compare(old, new, changes);
    pivot(old, new, changes);
}

/// The step of the same name, if it is of the same kind.
fn same<'a>(definition: &'a Definition, step: &Step) -> Option<&'a Step> {
    let found = definition.step_at(definition.index_of(&step.name)?);
    (found.action.kind() == step.action.kind()).then_some(found)
}

fn pivot(old: &Definition, new: &Definition, changes: &mut Changes) {
    let names = |definition: &Definition| {
        let pivots = definition.steps().iter().filter(|step| step.is_pivot());
        pivots.map(|step| step.name.to_string()).collect::<BTreeSet<_>>()
    };
    let (before, after) = (names(old), names(new));
    if before != after {
        let list = |names: BTreeSet<String>| match names.len() {
            0 => "none".to_owned(),
            _ => names.into_iter().collect::<Vec<_>>().join(", "),
        };
        changes.breaks("pivot", Whom::Rollback, format!("{} (it was {})", list(after), list(before)));
    }
}

struct Comparison<'a, 'c> {
    /// Exchange and routing key of all commands of the old version.
    sent: BTreeSet<(&'a str, &'a str)>,
    changes: &'c mut Changes,
}

impl Comparison<'_, '_> {
    fn removed(&mut self, step: &Step) {
        let place = place(step);
        let what = format!("removed ({})", step.action.kind());
        match &step.action {
            Action::Publish(publish) => {
                let what = format!("`{}` is no longer published", publish.event);
                self.changes.breaks(place, Whom::Readers, what);
            }
            Action::Command(command) => {
                let what = format!("removed: `{}` is no longer sent", command.command.name);
                self.changes.fits(place, what);
            }
            _ => self.changes.fits(place, what),
        }
    }

    fn added(&mut self, step: &Step) {
        let place = place(step);
        match &step.action {
            Action::Command(_) => {
                for direction in [Direction::Forward, Direction::Compensate] {
                    if let Some(command) = step.command(direction) {
                        self.new_command(&at(&place, direction), command);
                    }
                }
            }
            Action::Wait(wait) => {
                let what = format!("added: waits for {}", awaited(&wait.awaited));
                self.changes.breaks(place, Whom::Senders, what);
            }
            action => self.changes.fits(place, format!("added ({})", action.kind())),
        }
    }

    /// Reports a command that the step did not send before, which a participant must handle.
    fn new_command(&mut self, place: &str, command: &CommandAction) {
        let (exchange, name) = address(command);
        let what = format!("added: sends `{name}` to `{exchange}`");
        if self.sent.contains(&(exchange, name)) {
            self.changes.fits(place, format!("{what}, as others do"));
        } else {
            self.changes.breaks(place, Whom::Participants, what);
        }
    }

    fn steps(&mut self, old: &Step, new: &Step) {
        let place = place(old);
        let condition =
            |step: &Step| step.when.as_ref().map_or("always".into(), |when| when.source().to_owned());
        self.changes.if_changed(format!("{place}.when"), &condition(old), &condition(new));
        self.changes.if_changed(format!("{place}.optional"), &old.optional, &new.optional);
        match (&old.action, &new.action) {
            (Action::Command(old), Action::Command(new)) => self.command_steps(&place, old, new),
            (Action::Choice(old), Action::Choice(new)) => {
                let sources = |conditions: &[snorri_core::expression::Expression]| {
                    conditions.iter().map(|condition| condition.source()).collect::<Vec<_>>().join("; ")
                };
                self.changes.if_changed(format!("{place}.choice"), &sources(old), &sources(new));
            }
            (Action::ForEach(old), Action::ForEach(new)) => self.loops(&place, old, new),
            (Action::Wait(old), Action::Wait(new)) => self.waits(&place, old, new),
            (Action::Sleep(old), Action::Sleep(new)) => {
                self.changes.if_changed(format!("{place}.sleep"), &slept(old), &slept(new));
            }
            (Action::Child(old), Action::Child(new)) => self.children(&place, old, new),
            (Action::Publish(old), Action::Publish(new)) => self.publications(&place, old, new),
            (Action::Fail { code: old, message: was }, Action::Fail { code: new, message: is }) => {
                if old != new {
                    let what = format!("{new} (it was {old})");
                    self.changes.breaks(format!("{place}.fail.code"), Whom::Readers, what);
                }
                let (was, is) = (fields::shown(was), fields::shown(is));
                self.changes.if_changed(format!("{place}.fail.message"), &was, &is);
            }
            _ => {}
        }
    }

    fn command_steps(&mut self, place: &str, old: &CommandStep, new: &CommandStep) {
        self.commands(place, &old.command, &new.command);
        self.changes.if_changed(
            format!("{place}.on_timeout"),
            &word(&old.on_timeout),
            &word(&new.on_timeout),
        );
        let place = at(place, Direction::Compensate);
        match (&old.compensation, &new.compensation) {
            (None, None) => {}
            (Some(old), None) => {
                let what = format!("removed: `{}` is no longer sent, the step stays as it is", old.name);
                self.changes.breaks(place, Whom::Rollback, what);
            }
            (None, Some(new)) => self.new_command(&place, new),
            (Some(old), Some(new)) => self.commands(&place, old, new),
        }
    }

    fn commands(&mut self, place: &str, old: &CommandAction, new: &CommandAction) {
        if address(old) != address(new) {
            let (exchange, name) = address(new);
            let (old_exchange, old_name) = address(old);
            let what = format!("`{name}` to `{exchange}` (it was `{old_name}` to `{old_exchange}`)");
            if self.sent.contains(&(exchange, name)) {
                self.changes.fits(format!("{place}.command"), what);
            } else {
                self.changes.breaks(format!("{place}.command"), Whom::Participants, what);
            }
        }
        let payload = format!("{place}.payload");
        fields::compare(&payload, Whom::Participants, Some(&old.payload), Some(&new.payload), self.changes);
        self.changes.if_changed(
            format!("{place}.timeout"),
            &format_duration(old.timeout),
            &format_duration(new.timeout),
        );
        let retry = |command: &CommandAction| {
            let retry = command.retry;
            format!(
                "{} attempts, {}..{}",
                retry.attempts,
                format_duration(retry.first),
                format_duration(retry.most)
            )
        };
        self.changes.if_changed(format!("{place}.retry"), &retry(old), &retry(new));
        self.replies(&format!("{place}.reply_events"), old, new);
    }

    /// The domain events that are replies.
    fn replies(&mut self, place: &str, old: &CommandAction, new: &CommandAction) {
        let names = |command: &CommandAction| -> BTreeSet<String> {
            let replies = command.reply_events.iter();
            replies.map(|reply| format!("{} as {}", pattern(&reply.event), word(&reply.result))).collect()
        };
        let (before, after) = (names(old), names(new));
        for gone in before.difference(&after) {
            self.changes.breaks(place, Whom::Participants, format!("no longer {gone}"));
        }
        for more in after.difference(&before) {
            self.changes.fits(place, format!("now {more}"));
        }
    }

    fn loops(&mut self, place: &str, old: &ForEach, new: &ForEach) {
        self.changes.if_changed(format!("{place}.for_each"), old.list.source(), new.list.source());
        self.changes.if_changed(format!("{place}.as"), &*old.item, &*new.item);
        self.changes.if_changed(format!("{place}.concurrency"), &old.concurrency, &new.concurrency);
        let output = |step: &ForEach| step.output.as_ref().map_or("its steps' outputs".into(), fields::shown);
        self.changes.if_changed(format!("{place}.output"), &output(old), &output(new));
    }

    fn waits(&mut self, place: &str, old: &Wait, new: &Wait) {
        let (before, after) = (awaited(&old.awaited), awaited(&new.awaited));
        if before != after {
            let what = format!("{after} (it was {before})");
            self.changes.breaks(format!("{place}.wait"), Whom::Senders, what);
        }
        self.changes.if_changed(
            format!("{place}.timeout"),
            &format_duration(old.timeout),
            &format_duration(new.timeout),
        );
        self.changes.if_changed(
            format!("{place}.on_timeout"),
            &word(&old.on_timeout),
            &word(&new.on_timeout),
        );
    }

    fn children(&mut self, place: &str, old: &Child, new: &Child) {
        let name = |child: &Child| format!("{}@{}", child.definition, child.version);
        self.changes.if_changed(format!("{place}.saga"), &name(old), &name(new));
        let (before, after) = (fields::shown(&old.input), fields::shown(&new.input));
        self.changes.if_changed(format!("{place}.input"), &before, &after);
        match (old.compensated, new.compensated) {
            (true, false) => {
                let what = "no longer compensated with this saga";
                self.changes.breaks(format!("{place}.compensate"), Whom::Rollback, what);
            }
            (false, true) => {
                self.changes.fits(format!("{place}.compensate"), "compensated with this saga");
            }
            _ => {}
        }
    }

    fn publications(&mut self, place: &str, old: &Publish, new: &Publish) {
        let address = |publish: &Publish| format!("`{}` to `{}`", publish.event, publish.exchange);
        let (before, after) = (address(old), address(new));
        if before != after {
            let what = format!("{after} (it was {before})");
            self.changes.breaks(format!("{place}.publish"), Whom::Readers, what);
        }
        let payload = format!("{place}.payload");
        fields::compare(&payload, Whom::Readers, Some(&old.payload), Some(&new.payload), self.changes);
    }
}

fn place(step: &Step) -> String {
    format!("steps.{}", step.name)
}

fn at(place: &str, direction: Direction) -> String {
    match direction {
        Direction::Forward => place.to_owned(),
        Direction::Compensate => format!("{place}.compensate"),
    }
}

fn address(command: &CommandAction) -> (&str, &str) {
    (&command.exchange, &command.name)
}

fn awaited(awaited: &Awaited) -> String {
    match awaited {
        Awaited::Signal(name) => format!("the signal `{name}`"),
        Awaited::Event(event) => pattern(event),
    }
}

fn pattern(event: &EventPattern) -> String {
    let matches = event.matches.as_ref().map(|matches| format!(", if {}", matches.source()));
    format!(
        "the event `{}` of `{}` for `{}`{}",
        event.event,
        event.exchange,
        event.correlate.source(),
        matches.unwrap_or_default()
    )
}

fn slept(sleep: &Sleep) -> String {
    match sleep {
        Sleep::For(duration) => format_duration(*duration),
        Sleep::Until(time) => format!("until {}", time.source()),
    }
}
