//! A way through a saga as lines that people can read.

use super::happening::{Happening, Kind};
use super::operator::Act;
use crate::saga::definition::{Action, Definition};
use crate::saga::id::{Direction, StepPath};
use crate::saga::journal::Fact;
use crate::saga::state::{State, Status};

/// Tells what happened and what followed from it.
pub(super) fn tell(definition: &Definition, happening: &Happening, facts: &[Fact], lines: &mut Vec<String>) {
    lines.push(happened(definition, happening));
    let news = facts.iter().filter(|fact| !says_the_same(happening, fact));
    lines.extend(news.filter_map(|fact| follows(definition, fact)).map(|line| format!("   {line}")));
}

/// Whether a fact is what happened, once more.
fn says_the_same(happening: &Happening, fact: &Fact) -> bool {
    let Some((path, direction)) = &happening.of else { return false };
    let (kind, step, of) = match fact {
        Fact::Completed { step, .. } => (Kind::Success, step, Direction::Forward),
        Fact::Undone { step } => (Kind::Success, step, Direction::Compensate),
        Fact::Failed { step, .. } => (Kind::Refusal, step, Direction::Forward),
        _ => return false,
    };
    happening.kind == kind && step == path && of == *direction
}

/// Tells what the core refused.
pub(super) fn refused(definition: &Definition, happening: &Happening) -> String {
    format!("{}: refused", happened(definition, happening))
}

/// Tells where it ended.
pub(super) fn tell_end(state: &State, lines: &mut Vec<String>) {
    lines.push(match state.status() {
        Status::Stuck => "it is stuck until an operator decides".to_owned(),
        status if status.is_final() => format!("it ends {}", status.as_str()),
        _ if state.paused.is_some() => "it is paused".to_owned(),
        status => format!("it is {}", status.as_str()),
    });
}

fn happened(definition: &Definition, happening: &Happening) -> String {
    if let Kind::Operator(act) = happening.kind {
        return intervened(act, happening.of.as_ref().map(|(path, _)| path));
    }
    let Some((path, direction)) = &happening.of else {
        return match happening.kind {
            Kind::Started => "a saga is started",
            Kind::Cancelled => "somebody cancels the saga",
            Kind::UndoAsked => "the saga that this one is part of is rolled back",
            _ => "the saga's own timeout passes",
        }
        .to_owned();
    };
    let what = match direction {
        Direction::Forward => format!("`{path}`"),
        Direction::Compensate => format!("the undo of `{path}`"),
    };
    let is_child = matches!(definition.step(path).map(|step| &step.action), Some(Action::Child(_)));
    match happening.kind {
        Kind::Refusal if is_child && *direction == Direction::Compensate => {
            format!("{what} is refused: the child has passed its own pivot")
        }
        Kind::Success if is_child => format!("{what} ends well"),
        Kind::Refusal if is_child => format!("{what} ends rolled back"),
        Kind::Success => format!("{what} succeeds"),
        Kind::LateSuccess => format!("{what} succeeds too late"),
        Kind::Duplicate => format!("the success of {what} comes once more"),
        Kind::Refusal => format!("{what} is refused"),
        Kind::Error => format!("{what} fails this time"),
        Kind::Unroutable => format!("{what} reaches no queue yet"),
        Kind::NoRoute => format!("{what} reaches no queue for as long as it waits for one"),
        Kind::Timeout => format!("{what} is not answered in time"),
        Kind::Arrival => format!("what {what} waits for comes"),
        Kind::NoArrival => format!("what {what} waits for does not come in time"),
        _ => format!("the time of {what} has come"),
    }
}

fn intervened(act: Act, step: Option<&StepPath>) -> String {
    let of = step.map_or_else(|| "all that is held".to_owned(), |step| format!("`{step}`"));
    match act {
        Act::Retry => format!("an operator retries {of}"),
        Act::Succeeded => format!("an operator resolves {of} as succeeded"),
        Act::Failed => format!("an operator resolves {of} as failed"),
        Act::Skip => format!("an operator skips {of}"),
        Act::Rollback => "an operator rolls the saga back".to_owned(),
        Act::Abandon => "an operator abandons the saga".to_owned(),
        Act::RaiseLimits => "an operator raises the limits of the saga".to_owned(),
        Act::Pause => "an operator pauses the saga".to_owned(),
        Act::Resume => "an operator resumes the saga".to_owned(),
        Act::Migrate => "an operator migrates the saga to another version".to_owned(),
    }
}

fn follows(definition: &Definition, fact: &Fact) -> Option<String> {
    let command = |step: &StepPath, direction| {
        definition.step(step)?.command(direction).map(|command| command.name.to_string())
    };
    Some(match fact {
        Fact::Sent { step, direction, attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let undoes = if *direction == Direction::Compensate { ", the undo of" } else { ", for" };
            format!("sends {}{undoes} `{step}`{again}", command(step, *direction).unwrap_or_default())
        }
        Fact::ChildSent { step, direction: Direction::Forward, .. } => {
            format!("starts the saga of `{step}`")
        }
        Fact::ChildSent { step, direction: Direction::Compensate, .. } => {
            format!("has the saga of `{step}` undone")
        }
        Fact::Published { step } => format!("publishes `{step}`"),
        Fact::Omitted { step } => format!("`{step}` is left out"),
        Fact::Chosen { step, branch } => format!("takes branch {} of `{step}`", branch + 1),
        Fact::FannedOut { step, items } => format!("`{step}` has {} items", items.len()),
        Fact::Waiting { step, .. } => format!("`{step}` waits"),
        Fact::Sleeping { step, .. } => format!("`{step}` sleeps"),
        Fact::Failed { step, .. } => format!("`{step}` has failed"),
        Fact::Unknown { step, .. } => format!("nobody knows whether `{step}` happened"),
        Fact::Undone { step } => format!("`{step}` is undone"),
        Fact::Held { step, direction: Direction::Forward, .. } => format!("`{step}` waits for an operator"),
        Fact::Held { step, direction: Direction::Compensate, .. } => {
            format!("the undo of `{step}` waits for an operator")
        }
        Fact::Completed { step, .. } => format!("`{step}` counts as done"),
        Fact::StopDropped => "the pivot has succeeded: the saga goes on after all".to_owned(),
        Fact::RollbackBegan => "the saga turns back".to_owned(),
        Fact::IncidentRaised { .. } => "an operator is called".to_owned(),
        _ => return None,
    })
}
