//! What must hold of every decision, and of every state in which nothing happens any more.
//!
//! Nothing is taken from the core but its facts: what may have happened out there is concluded from what was sent and what was
//! answered.

use super::Surroundings;
use super::happening::{Happening, Kind};
use crate::saga::definition::{Action, Definition, OnCompensationFailure, OnWaitTimeout, Step};
use crate::saga::id::{Direction, StepPath};
use crate::saga::journal::Fact;
use crate::saga::state::{Outcome, Pending, State, Status, StepState};
use crate::saga::walk::comes_after;

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// It ended as compensated, and something that may have happened is not undone.
    HalfUndone,
    /// It ended as completed, and something that must have happened did not, or was undone.
    HalfDone,
    /// Nothing is under way, nobody was called, and it has not ended.
    WaitsForEver,
    /// A command was sent before what comes before it had come to its end.
    CommandTooEarly,
    /// A command was sent after the step's undo, or after the saga had stopped.
    CommandAfterUndo,
    /// A step is undone before one that came after it.
    UndoOutOfOrder,
    /// What had become of a step was changed afterwards.
    OutcomeChanged,
    /// A command that may have been carried out counts as refused.
    UnknownAsRefused,
    /// What waits for an operator does so no more, and neither an operator nor an answer came.
    IncidentLost,
    /// A child that has passed its own pivot is to be undone, and cannot be.
    ChildPastPivot,
    /// A step was refused after the pivot beside it had succeeded: there is no way back and none forward.
    RefusedBesidePivot,
}

/// A broken rule, and the step that it is about.
pub(super) type Broken = (Rule, Option<StepPath>);

/// What is wrong with a decision that was taken on `before`.
pub(super) fn of_decision(
    definition: &Definition,
    before: &State,
    happening: &Happening,
    facts: &[Fact],
    after: &State,
) -> Option<Broken> {
    let rules = [sends, concludes, changes, keeps_asking, beside_pivot];
    let seen = Seen { definition, before, happening, facts, after };
    rules.iter().find_map(|rule| rule(&seen))
}

/// A decision, as rules look at it.
struct Seen<'a> {
    definition: &'a Definition,
    before: &'a State,
    happening: &'a Happening,
    facts: &'a [Fact],
    after: &'a State,
}

/// Commands go forward one after the other until the saga stops, and undo in the order in which later comes before earlier.
fn sends(seen: &Seen<'_>) -> Option<Broken> {
    let mut stopped = seen.before.stopping.is_some();
    for fact in seen.facts {
        match fact {
            Fact::Stopping { .. } | Fact::RollbackBegan => stopped = true,
            Fact::StopDropped => stopped = false,
            Fact::Sent { step, direction, .. } | Fact::ChildSent { step, direction, .. } => {
                let broken = sent(seen, step, *direction, stopped);
                if let Some(rule) = broken {
                    return Some((rule, Some(step.clone())));
                }
            }
            _ => {}
        }
    }
    None
}

fn sent(seen: &Seen<'_>, step: &StepPath, direction: Direction, stopped: bool) -> Option<Rule> {
    let before = seen.before.step(step);
    let is_first = before.is_none_or(|step| step.attempts(direction).last == 0);
    let undo_began = before.is_some_and(|step| step.undo.is_some());
    match direction {
        Direction::Forward if undo_began || stopped && is_first => Some(Rule::CommandAfterUndo),
        Direction::Forward if is_first && is_too_early(seen, step) => Some(Rule::CommandTooEarly),
        Direction::Compensate if is_first && is_out_of_order(seen, step) => Some(Rule::UndoOutOfOrder),
        _ => None,
    }
}

fn is_too_early(seen: &Seen<'_>, sent: &StepPath) -> bool {
    seen.after.steps.iter().any(|(path, state)| {
        let is_open =
            state.pending(Direction::Forward).is_some() || may_be_there(seen.definition, path, state);
        is_open && comes_after(seen.definition, sent, path)
    })
}

fn is_out_of_order(seen: &Seen<'_>, undone: &StepPath) -> bool {
    // What is undone within the same decision comes to nothing before its reply.
    seen.after.steps.iter().any(|(path, state)| {
        path != undone
            && comes_after(seen.definition, path, undone)
            && must_be_undone(seen.definition, path, state)
            && !state.is_undone()
            && !is_left_behind(seen.definition, state)
    })
}

fn is_left_behind(definition: &Definition, state: &StepState) -> bool {
    definition.on_compensation_failure == OnCompensationFailure::Continue
        && state.pending(Direction::Compensate) == Some(Pending::Operator)
}

/// Only a refusal says that nothing happened, and only the success of an undo that something was undone.
fn concludes(seen: &Seen<'_>) -> Option<Broken> {
    let came = |kind, step: &StepPath, direction| {
        let of = seen.happening.of.as_ref();
        seen.happening.kind == kind && of.is_some_and(|(path, of)| path == step && *of == direction)
    };
    seen.facts.iter().find_map(|fact| match fact {
        Fact::Failed { step, .. } => {
            let was_sent = seen.before.step(step)?.attempts(Direction::Forward).last > 0;
            let refused = came(Kind::Refusal, step, Direction::Forward);
            (was_sent && !refused).then(|| (Rule::UnknownAsRefused, Some(step.clone())))
        }
        Fact::Undone { step } if !came(Kind::Success, step, Direction::Compensate) => {
            Some((Rule::HalfUndone, Some(step.clone())))
        }
        _ => None,
    })
}

/// What has an outcome keeps it, unless the pivot succeeded after all and the saga goes forward again.
fn changes(seen: &Seen<'_>) -> Option<Broken> {
    if seen.facts.iter().any(|fact| matches!(fact, Fact::StopDropped)) {
        return None;
    }
    let changed = seen.before.steps.iter().find(|(path, before)| {
        let after = seen.after.step(path);
        let kept = after.is_some_and(|after| {
            std::mem::discriminant(&after.outcome) == std::mem::discriminant(&before.outcome)
                && (!before.is_undone() || after.is_undone())
        });
        !matches!(before.outcome, Outcome::Pending(_)) && !kept
    });
    changed.map(|(path, _)| (Rule::OutcomeChanged, Some(path.clone())))
}

/// What waits for an operator goes on waiting, unless it is answered after all or the saga stops.
fn keeps_asking(seen: &Seen<'_>) -> Option<Broken> {
    let stops = seen.facts.iter().any(|fact| matches!(fact, Fact::Stopping { .. }));
    let incidents = seen.before.incidents.iter();
    let held = incidents.filter_map(|incident| Some((incident.step.as_ref()?, incident.direction?)));
    let mut lost = held.filter(|(step, direction)| {
        let is_held = |state: &StepState| state.pending(*direction) == Some(Pending::Operator);
        let is_answered = seen.happening.of.as_ref().is_some_and(|(of, _)| of == *step);
        !(stops || is_answered || seen.after.step(step).is_some_and(is_held))
    });
    lost.next().map(|(step, _)| (Rule::IncidentLost, Some(step.clone())))
}

/// Beside a pivot that has succeeded, a refusal strands the saga: of a step that says how it is undone, and so may be
/// refused; of a wait that fails; of a `fail`.
fn beside_pivot(seen: &Seen<'_>) -> Option<Broken> {
    if !seen.after.is_past_pivot(seen.definition) {
        return None;
    }
    let refuses = |step: &Step| match &step.action {
        Action::Fail { .. } => true,
        Action::Wait(wait) => {
            seen.happening.kind == Kind::NoArrival && wait.on_timeout == OnWaitTimeout::Fail
        }
        _ => seen.happening.kind == Kind::Refusal && step.has_undo(),
    };
    seen.facts.iter().find_map(|fact| {
        let Fact::Held { step, direction: Direction::Forward, .. } = fact else { return None };
        let is_after = seen.after.steps.keys().any(|pivot| {
            seen.definition.step(pivot).is_some_and(Step::is_pivot)
                && comes_after(seen.definition, step, pivot)
        });
        let refused = seen.definition.step(step).is_some_and(refuses);
        (refused && !is_after).then(|| (Rule::RefusedBesidePivot, Some(step.clone())))
    })
}

/// What is wrong with a state in which nothing happens any more by itself.
pub(super) fn of_end(definition: &Definition, state: &State) -> Option<Broken> {
    let find = |wrong: &dyn Fn(&StepPath, &StepState) -> bool| {
        state.steps.iter().find(|(path, step)| wrong(path, step)).map(|(path, _)| Some(path.clone()))
    };
    match state.status() {
        Status::Compensated => find(&|path, step| {
            let may_stand = must_be_undone(definition, path, step) && !step.is_undone();
            let is_pivot = definition.step(path).is_some_and(Step::is_pivot);
            let happened = matches!(step.outcome, Outcome::Completed(_) | Outcome::Unknown { .. });
            may_stand || (is_pivot && happened)
        })
        .map(|step| (Rule::HalfUndone, step)),
        Status::Completed => find(&|path, step| {
            let may_miss = definition.step(path).is_none_or(|step| step.may_miss());
            let missing = matches!(step.outcome, Outcome::Failed(_) | Outcome::Unknown { .. }) && !may_miss;
            let was_unknown = matches!(step.outcome, Outcome::Unknown { .. });
            missing || may_be_there(definition, path, step) || (step.undo.is_some() && !was_unknown)
        })
        .map(|step| (Rule::HalfDone, step)),
        Status::Running | Status::Compensating => Some((Rule::WaitsForEver, None)),
        Status::Stuck | Status::Abandoned => None,
    }
}

/// Whether an optional step that the saga continues without may have happened and was not compensated, without an
/// operator's decision.
fn may_be_there(definition: &Definition, path: &StepPath, state: &StepState) -> bool {
    let has_undo = definition.step(path).is_some_and(|step| step.optional && step.has_undo());
    let is_unknown = matches!(state.outcome, Outcome::Unknown { .. });
    has_undo && is_unknown && !state.passed_over && !state.is_undone()
}

/// Whether a step may have happened and has something to undo.
fn must_be_undone(definition: &Definition, path: &StepPath, state: &StepState) -> bool {
    let may_have_happened = match &state.outcome {
        Outcome::Completed(_) | Outcome::Unknown { .. } => true,
        Outcome::Pending(_) => state.attempts(Direction::Forward).last > 0,
        Outcome::Failed(_) | Outcome::Omitted => false,
    };
    may_have_happened && definition.step(path).is_some_and(|step| step.has_undo())
}

/// Whether the undo of a child was refused for good, because it had passed its pivot.
pub(super) fn stranded_by_child(
    definition: &Definition,
    around: &Surroundings,
    happening: &Happening,
) -> Option<Broken> {
    let (path, direction) = happening.of.as_ref()?;
    let Action::Child(child) = &definition.step(path)?.action else { return None };
    let refused = happening.kind == Kind::Refusal && *direction == Direction::Compensate;
    (refused && around.is_committed(child)).then(|| (Rule::ChildPastPivot, Some(path.clone())))
}
