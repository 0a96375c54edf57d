//! The texts of a picture: a short label for each element, and a tooltip of a few lines.

use std::time::Duration;

use super::model::GroupKind;
use snorri_core::definition::{Action, CommandAction, OnTimeout, OnWaitTimeout, Sleep, Step, Trigger};
use snorri_core::expression::template::{Part, Template};

pub(super) const DEFAULT: &str = "default";

/// The name of a step, or its kind if it has none.
pub(super) fn label(step: &Step) -> String {
    match step.name.split_once('#') {
        Some(_) => step.action.kind().to_string(),
        None => step.name.to_string(),
    }
}

/// The command, event or target of a step.
pub(super) fn detail(step: &Step) -> String {
    match &step.action {
        Action::Command(command) => command.command.name.to_string(),
        Action::Wait(wait) => format!("{} within {}", wait.awaited.name(), span(wait.timeout)),
        Action::Sleep(Sleep::For(duration)) => format!("for {}", span(*duration)),
        Action::Sleep(Sleep::Until(time)) => format!("until {}", time.source()),
        Action::Child(child) => format!("{} v{}", child.definition, child.version),
        Action::Publish(publish) => publish.event.to_string(),
        Action::Fail { code, .. } => code.clone(),
        Action::Choice(_) | Action::ForEach(_) => String::new(),
    }
}

/// The command or saga that compensates a step.
pub(super) fn compensation(step: &Step) -> Option<String> {
    match &step.action {
        Action::Command(command) => {
            command.compensation.as_ref().map(|compensation| compensation.name.to_string())
        }
        Action::Child(child) if child.compensated => Some(child.definition.to_string()),
        _ => None,
    }
}

pub(super) fn when(step: &Step) -> Option<String> {
    step.when.as_ref().map(|condition| condition.source().to_owned())
}

/// The condition of each of the `count` branches of a choice.
pub(super) fn conditions(step: &Step, count: usize) -> Vec<String> {
    let Action::Choice(conditions) = &step.action else { return vec![String::new(); count] };
    let sources = conditions.iter().map(|condition| condition.source().to_owned());
    sources.chain(std::iter::repeat(DEFAULT.to_owned())).take(count).collect()
}

pub(super) fn heading(kind: GroupKind, step: Option<&Step>) -> String {
    match (kind, step.map(|step| &step.action)) {
        (GroupKind::ForEach, Some(Action::ForEach(each))) => {
            let at_a_time = match each.concurrency {
                1 => "one after the other".to_owned(),
                count => format!("{count} at a time"),
            };
            format!("for each {}, {at_a_time}", each.item)
        }
        (GroupKind::Choice, _) => "one of these".into(),
        _ => "side by side".into(),
    }
}

pub(super) fn trigger(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Event { event, when, .. } => match when {
            Some(condition) => format!("{event} if {}", condition.source()),
            None => event.to_string(),
        },
        Trigger::Schedule { cron, .. } => format!("{cron} UTC"),
    }
}

/// The lines of the tooltip of a step.
pub(super) fn about(step: &Step) -> Vec<String> {
    let mut lines = vec![label(step)];
    match &step.action {
        Action::Command(step) => {
            lines.extend(about_command("sends", &step.command));
            match step.on_timeout {
                OnTimeout::Retry => {}
                OnTimeout::Unknown => lines.push("no reply in time: unknown at once".into()),
                OnTimeout::Hold => lines.push("no reply in time: held for an operator".into()),
            }
        }
        Action::Wait(wait) => {
            let what = if wait.awaited.event().is_some() { "event" } else { "signal" };
            let name = wait.awaited.name();
            lines.push(format!("waits for the {what} {name}, at most {}", span(wait.timeout)));
            lines.push(match wait.on_timeout {
                OnWaitTimeout::Fail => "nothing in time: rolls back".into(),
                OnWaitTimeout::Continue => "nothing in time: continues".into(),
                OnWaitTimeout::Hold => "nothing in time: held for an operator".into(),
            });
        }
        Action::Child(child) => lines.push(format!("runs {} version {}", child.definition, child.version)),
        Action::Publish(publish) => {
            lines.push(format!("publishes {} to {}", publish.event, publish.exchange));
        }
        Action::Fail { code, message } => lines.push(format!("fails with {code}: {}", text(message))),
        Action::ForEach(each) => lines.push(format!(
            "for each {} of {}, {} at a time",
            each.item,
            each.list.source(),
            each.concurrency
        )),
        Action::Sleep(_) => lines.push(format!("sleeps {}", detail(step))),
        Action::Choice(_) => lines.push("the first condition that is true decides".into()),
    }
    lines.extend(when(step).map(|condition| format!("only if {condition}")));
    if step.is_pivot() {
        lines.push("pivot: no way back once it succeeded".into());
    }
    if step.optional {
        lines.push("optional: the saga continues without it".into());
    }
    lines
}

pub(super) fn about_compensation(step: &Step) -> Vec<String> {
    let mut lines = vec![format!("compensation of {}", step.name)];
    match &step.action {
        Action::Command(step) => {
            lines.extend(
                step.compensation.iter().flat_map(|compensation| about_command("sends", compensation)),
            );
        }
        Action::Child(child) => lines.push(format!("{} is rolled back as a whole", child.definition)),
        _ => {}
    }
    lines
}

fn about_command(verb: &str, command: &CommandAction) -> Vec<String> {
    let mut lines = vec![
        format!("{verb} {} to {}", command.name, command.exchange),
        format!("waits {} for the reply, at most {} attempts", span(command.timeout), command.retry.attempts),
    ];
    lines.extend(command.reply_events.iter().map(|reply| format!("listens for {}", reply.event.event)));
    lines
}

/// The source of a text template.
fn text(template: &Template) -> String {
    match template {
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.clone(),
                Part::Expression(expression) => format!("${{ {} }}", expression.source()),
            })
            .collect(),
        Template::Expression(expression) => format!("${{ {} }}", expression.source()),
        Template::Literal(serde_json::Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

/// A duration in the largest units that it is a whole number of: `24h`, `90s`, `1500ms`.
fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        _ if millis >= 172_800_000 && millis.is_multiple_of(86_400_000) => {
            format!("{}d", millis / 86_400_000)
        }
        _ if millis >= 3_600_000 && millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis >= 60_000 && millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis >= 1_000 && millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}
