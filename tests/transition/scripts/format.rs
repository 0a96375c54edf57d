//! The consequences of an event, as lines of a script.

use super::*;

pub(super) fn format_fact<'m>(
    fact: &Fact,
    messages: &mut impl Iterator<Item = &'m Message>,
) -> Option<String> {
    Some(match fact {
        Fact::Started(_) => return None,
        Fact::TimerSet { .. } => return None,
        Fact::OutcomeRequested { to } => format!("the outcome is also sent to {}", to.queue),
        Fact::Sent { step, direction, attempt, .. } => {
            let payload = match messages.next() {
                Some(Message::Command(command)) => format!("{} {}", command.name, command.payload.get()),
                other => panic!("a command, not {other:?}"),
            };
            format!("send {}{step} #{attempt}: {payload}", prefix(*direction))
        }
        Fact::ClockStarted { step, direction, attempt, deadline } => {
            let until = humantime::format_duration(deadline.since(Time(0)));
            format!("{}{step} #{attempt} waits until {until}", prefix(*direction))
        }
        Fact::WaitingForRoute { step, direction, returns, .. } => {
            format!("{}{step} waits for a route, returned {returns} times", prefix(*direction))
        }
        Fact::LimitsRaised => "limits raised".to_owned(),
        Fact::RetryScheduled { step, direction, problem, .. } => {
            format!("{}{step} again later: {}", prefix(*direction), problem.code)
        }
        Fact::Completed { step, output } => format!("{step} completed: {output}"),
        Fact::Failed { step, problem } => format!("{step} failed: {}", problem.code),
        Fact::Unknown { step, problem } => format!("{step} unknown: {}", problem.code),
        Fact::Skipped { step, reason: SkipReason::Condition, .. } => {
            format!("{step} skipped: its condition is false")
        }
        Fact::BranchSelected { step, branch } => format!("{step} takes branch {branch}"),
        Fact::ItemsExpanded { step, items } => format!("{step} expands to {} items", items.len()),
        Fact::Waiting { step, .. } => format!("{step} waits"),
        Fact::Sleeping { step, .. } => format!("{step} sleeps"),
        Fact::Published { step } => match messages.next() {
            Some(Message::Event(event)) => {
                format!("publish {}: {} {}", step, event.name, event.payload.get())
            }
            other => panic!("an event, not {other:?}"),
        },
        Fact::ChildSent { step, direction, attempt } => {
            format_child_command(messages, step, *direction, *attempt)
        }
        Fact::EventReceived(_) => "event received".to_owned(),
        Fact::EventConsumed { step, .. } => format!("{step} consumes the event"),
        Fact::CompensationRequested { .. } => "compensation requested".to_owned(),
        Fact::Compensated { step } => format!("{step} compensated"),
        Fact::Skipped { step, direction, .. } => format!("{}{step} skipped", prefix(*direction)),
        Fact::Held { step, direction, problem } => {
            format!("{}{step} held: {}", prefix(*direction), problem.code)
        }
        Fact::Retried { step, direction } => format!("{}{step} retried", prefix(*direction)),
        Fact::Stopping { problem, .. } => format!("stopping: {}", problem.code),
        Fact::RollbackRevoked => "rollback revoked".to_owned(),
        Fact::RollbackBegan => "rolling back".to_owned(),
        Fact::LateReply { step, .. } => format!("late success of {step}"),
        Fact::Overdue => "overdue".to_owned(),
        Fact::IncidentRaised { problem, .. } => format!("incident: {}", problem.code),
        Fact::IncidentCleared { .. } => "incident cleared".to_owned(),
        Fact::Paused => "paused".to_owned(),
        Fact::Resumed { held_millis } => {
            format!("resumed after {}", humantime::format_duration(Duration::from_millis(*held_millis)))
        }
        Fact::Migrated { version } => format!("continues with version {version}"),
        Fact::Ended { output: Some(output), .. } => format!("output: {output}"),
        Fact::Ended { .. } => return None,
    })
}

fn format_child_command<'m>(
    messages: &mut impl Iterator<Item = &'m Message>,
    step: &StepPath,
    direction: Direction,
    attempt: u32,
) -> String {
    match messages.find(|message| matches!(message, Message::ChildCommand(_))) {
        Some(Message::ChildCommand(command)) => {
            let (definition, input) = (&command.definition, command.input.get());
            format!("child {}{step} #{attempt}: {definition}@{} {input}", prefix(direction), command.version)
        }
        other => panic!("a child command, not {other:?}"),
    }
}

/// Formats a message that has no fact of its own.
pub(super) fn format_message(message: &Message) -> Option<String> {
    match message {
        Message::ChildCommand(command) => Some(format!("child {}: {:?}", command.parent.step, command.kind)),
        Message::ChildResult(result) => {
            let Attempt { step, direction, number } = &result.attempt;
            Some(format!("child result {}{step} #{number}: {:?}", prefix(*direction), result.result.kind()))
        }
        Message::Lifecycle(event) => Some(format!("emit {}", event.change.as_str())),
        _ => None,
    }
}

fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "",
        Direction::Compensate => "compensate ",
    }
}
