//! How the attempts of commands end, as far as the windows are concerned.

use snorri_core::journal::{Fact, Problem, ProblemCode};
use snorri_core::message::Command;
use snorri_core::{Direction, Entry, SagaId, StepPath};

/// The command of a step, whatever its attempt.
pub type CommandKey = (SagaId, StepPath, Direction);

pub fn key_of(command: &Command) -> CommandKey {
    (command.saga, command.step.clone(), command.direction)
}

/// How an attempt of a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    Answered,
    TimedOut,
    /// It never reached its participant.
    NotTaken,
}

/// The commands that journal entries conclude.
pub fn conclusions<'a>(
    entries: impl Iterator<Item = (SagaId, &'a Entry)> + 'a,
) -> impl Iterator<Item = (CommandKey, Conclusion)> + 'a {
    let of = |problem: &Problem| match () {
        () if problem.is(ProblemCode::Timeout) => Conclusion::TimedOut,
        () if problem.is(ProblemCode::Unroutable) => Conclusion::NotTaken,
        () => Conclusion::Answered,
    };
    let concluded = move |fact: &Fact| match fact {
        Fact::Completed { step, .. } => Some((step.clone(), Direction::Forward, Conclusion::Answered)),
        Fact::Failed { step, problem } | Fact::Unknown { step, problem } => {
            Some((step.clone(), Direction::Forward, of(problem)))
        }
        Fact::Compensated { step } => Some((step.clone(), Direction::Compensate, Conclusion::Answered)),
        Fact::RetryScheduled { step, direction, problem, .. }
        | Fact::WaitingForRoute { step, direction, problem, .. }
        | Fact::Held { step, direction, problem } => Some((step.clone(), *direction, of(problem))),
        _ => None,
    };
    entries.flat_map(move |(saga, entry)| {
        entry
            .facts
            .iter()
            .filter_map(concluded)
            .map(move |(step, direction, conclusion)| ((saga, step, direction), conclusion))
    })
}
