//! Renders a path through the state space as text, line by line.

use crate::model_check::operator::Act;
use crate::model_check::stimulus::{Stimulus, StimulusKind};
use snorri_core::definition::{Action, Definition};
use snorri_core::id::{Direction, StepPath};
use snorri_core::journal::{Fact, SkipReason};
use snorri_core::state::{State, Status};

/// Adds a line for the stimulus, and one for each fact that follows from it.
pub(super) fn describe_stimulus(
    definition: &Definition,
    stimulus: &Stimulus,
    facts: &[Fact],
    lines: &mut Vec<String>,
) {
    lines.push(describe_cause(definition, stimulus));
    let news = facts.iter().filter(|fact| !repeats_fact(stimulus, fact));
    lines.extend(news.filter_map(|fact| describe_fact(definition, fact)).map(|line| format!("   {line}")));
}

/// Whether a fact only repeats the stimulus.
fn repeats_fact(stimulus: &Stimulus, fact: &Fact) -> bool {
    let Some((path, direction)) = &stimulus.of else { return false };
    let (kind, step, of) = match fact {
        Fact::Completed { step, .. } => (StimulusKind::Success, step, Direction::Forward),
        Fact::Compensated { step } => (StimulusKind::Success, step, Direction::Compensate),
        Fact::Failed { step, .. } => (StimulusKind::Refusal, step, Direction::Forward),
        _ => return false,
    };
    stimulus.kind == kind && step == path && of == *direction
}

/// The line for a stimulus that the core refused.
pub(super) fn describe_refused(definition: &Definition, stimulus: &Stimulus) -> String {
    format!("{}: refused", describe_cause(definition, stimulus))
}

/// Adds a line for the last state.
pub(super) fn describe_end(state: &State, lines: &mut Vec<String>) {
    lines.push(match state.status() {
        Status::Stuck => "it is stuck until an operator decides".to_owned(),
        status if status.is_final() => format!("it ends {}", status.as_str()),
        _ if state.paused.is_some() => "it is paused".to_owned(),
        status => format!("it is {}", status.as_str()),
    });
}

fn describe_cause(definition: &Definition, stimulus: &Stimulus) -> String {
    if let StimulusKind::Operator(act) = stimulus.kind {
        return describe_intervention(act, stimulus.of.as_ref().map(|(path, _)| path));
    }
    let Some((path, direction)) = &stimulus.of else {
        return match stimulus.kind {
            StimulusKind::Started => "a saga is started",
            StimulusKind::Cancelled => "the saga is cancelled",
            StimulusKind::CompensationRequested => "the parent saga is rolled back",
            _ => "the saga's own timeout passes",
        }
        .to_owned();
    };
    let what = match direction {
        Direction::Forward => format!("`{path}`"),
        Direction::Compensate => format!("the compensation of `{path}`"),
    };
    let is_child = matches!(definition.step(path).map(|step| &step.action), Some(Action::Child(_)));
    match stimulus.kind {
        StimulusKind::Refusal if is_child && *direction == Direction::Compensate => {
            format!("{what} is refused: the child has passed its own pivot")
        }
        StimulusKind::Success if is_child => format!("{what} completes"),
        StimulusKind::Refusal if is_child => format!("{what} is rolled back"),
        StimulusKind::Success => format!("{what} succeeds"),
        StimulusKind::LateSuccess => format!("{what} succeeds too late"),
        StimulusKind::Duplicate => format!("the success of {what} is repeated"),
        StimulusKind::Refusal => format!("{what} is refused"),
        StimulusKind::Error => format!("{what} fails this time"),
        StimulusKind::Unroutable => format!("{what} reaches no queue yet"),
        StimulusKind::NoRoute => format!("{what} reaches no queue for as long as it waits for one"),
        StimulusKind::Timeout => format!("{what} is not answered in time"),
        StimulusKind::ReceivedEvent => format!("{what} receives its event"),
        StimulusKind::NoArrival => format!("{what} receives no event in time"),
        _ => format!("{what} is due"),
    }
}

fn describe_intervention(act: Act, step: Option<&StepPath>) -> String {
    let of = step.map_or_else(|| "everything that is held".to_owned(), |step| format!("`{step}`"));
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

fn describe_fact(definition: &Definition, fact: &Fact) -> Option<String> {
    let command = |step: &StepPath, direction| {
        definition.step(step)?.command(direction).map(|command| command.name.to_string())
    };
    Some(match fact {
        Fact::Sent { step, direction, attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let purpose = if *direction == Direction::Compensate { ", the compensation of" } else { ", for" };
            format!("sends {}{purpose} `{step}`{again}", command(step, *direction).unwrap_or_default())
        }
        Fact::ChildSent { step, direction: Direction::Forward, .. } => {
            format!("starts the saga of `{step}`")
        }
        Fact::ChildSent { step, direction: Direction::Compensate, .. } => {
            format!("has the saga of `{step}` compensated")
        }
        Fact::Published { step } => format!("publishes `{step}`"),
        Fact::Skipped { step, reason: SkipReason::Condition, .. } => format!("`{step}` is skipped"),
        Fact::BranchSelected { step, branch } => format!("takes branch {} of `{step}`", branch + 1),
        Fact::ItemsExpanded { step, items } => format!("`{step}` has {} items", items.len()),
        Fact::Waiting { step, .. } => format!("`{step}` waits"),
        Fact::Sleeping { step, .. } => format!("`{step}` sleeps"),
        Fact::Failed { step, .. } => format!("`{step}` has failed"),
        Fact::Unknown { step, .. } => format!("it is unknown whether `{step}` happened"),
        Fact::Compensated { step } => format!("`{step}` is compensated"),
        Fact::Held { step, direction: Direction::Forward, .. } => format!("`{step}` waits for an operator"),
        Fact::Held { step, direction: Direction::Compensate, .. } => {
            format!("the compensation of `{step}` waits for an operator")
        }
        Fact::Completed { step, .. } => format!("`{step}` counts as completed"),
        Fact::RollbackRevoked => "the pivot has succeeded: the saga continues after all".to_owned(),
        Fact::RollbackBegan => "the saga rolls back".to_owned(),
        Fact::IncidentRaised { .. } => "an incident is raised".to_owned(),
        _ => return None,
    })
}
