//! What must hold of every decision, and of every state in which nothing happens any more.
//!
//! Nothing is taken from the core but its facts: what may have happened out there is concluded from what was sent and what was
//! answered.

use super::Surroundings;
use super::happening::{Happening, Kind};
use super::operator::Act;
use crate::saga::definition::{Action, Definition, OnCompensationFailure, OnWaitTimeout, Step};
use crate::saga::id::{Direction, StepPath};
use crate::saga::journal::{Fact, Reason};
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
    /// An intervention is refused that must be accepted, is accepted that must be refused, or does something else than it
    /// says.
    WrongIntervention,
    /// A paused saga starts something, or a pause changes what follows.
    PauseChanges,
    /// No intervention but abandoning leads a saga to an end.
    NoWayOut,
    /// A migration to the same definition is refused or changes what follows.
    MigrationChanges,
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
    let rules = [sends, concludes, changes, keeps_asking, beside_pivot, rests, obeys];
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
        Direction::Forward if is_first && is_overtaken(seen, step) => Some(Rule::CommandTooEarly),
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

/// Whether a step has begun that comes after this one: only a migration could lead there.
fn is_overtaken(seen: &Seen<'_>, sent: &StepPath) -> bool {
    let mut begun = seen.before.steps.keys().chain(seen.before.entered.keys());
    seen.after.migrated.is_some() && begun.any(|path| comes_after(seen.definition, path, sent))
}

/// What is wrong with a state that a migration to `definition` led to: a step that must be undone comes after one whose undo
/// has begun.
pub(super) fn of_migration(definition: &Definition, state: &State) -> Option<Broken> {
    // Optional steps are undone on the way forward, too.
    let is_undoing = |(path, step): &(&StepPath, &StepState)| {
        let is_optional = definition.step(path).is_some_and(|step| step.optional);
        step.undo.is_some() && !(is_optional && matches!(step.outcome, Outcome::Unknown { .. }))
    };
    let is_left = |path: &StepPath, step: &StepState| {
        must_be_undone(definition, path, step) && !step.is_undone() && !is_left_behind(definition, step)
    };
    state.steps.iter().filter(is_undoing).find_map(|(earlier, _)| {
        let mut later = state.steps.iter().filter(|(path, step)| is_left(path, step));
        let overtaken = later.any(|(path, _)| comes_after(definition, path, earlier));
        overtaken.then(|| (Rule::UndoOutOfOrder, Some(earlier.clone())))
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
    let said = |act, step| came(Kind::Operator(act), step, Direction::Forward);
    seen.facts.iter().find_map(|fact| match fact {
        Fact::Failed { step, .. } => {
            let was_sent = seen.before.step(step)?.attempts(Direction::Forward).last > 0;
            let refused = came(Kind::Refusal, step, Direction::Forward) || said(Act::Failed, step);
            (was_sent && !refused).then(|| (Rule::UnknownAsRefused, Some(step.clone())))
        }
        Fact::Undone { step } => {
            let undone = came(Kind::Success, step, Direction::Compensate) || said(Act::Succeeded, step);
            (!undone).then(|| (Rule::HalfUndone, Some(step.clone())))
        }
        _ => None,
    })
}

/// What has an outcome keeps it, unless the pivot succeeded after all and the saga goes forward again. What an operator
/// skipped stays skipped even then; what an operator said did not happen must happen after all.
fn changes(seen: &Seen<'_>) -> Option<Broken> {
    let goes_forward = seen.facts.iter().any(|fact| matches!(fact, Fact::StopDropped));
    let changed = seen.before.steps.iter().find(|(path, before)| {
        let after = seen.after.step(path);
        let kept = after.is_some_and(|after| {
            std::mem::discriminant(&after.outcome) == std::mem::discriminant(&before.outcome)
                && (!before.is_undone() || after.is_undone())
                && is_decided(before) == is_decided(after)
        });
        let must_stay =
            !matches!(before.outcome, Outcome::Pending(_)) && (!goes_forward || before.passed_over);
        must_stay && !kept
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
        let is_answered = match &seen.happening.of {
            Some((of, _)) => of == *step,
            None => seen.happening.kind == Kind::Operator(Act::Retry),
        };
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

/// A paused saga takes in what happens, and does nothing about it.
fn rests(seen: &Seen<'_>) -> Option<Broken> {
    let is_released = matches!(seen.happening.kind, Kind::Operator(Act::Resume | Act::Abandon));
    if seen.before.paused.is_none() || is_released {
        return None;
    }
    let started = seen.facts.iter().find_map(|fact| match fact {
        Fact::Sent { step, .. }
        | Fact::ChildSent { step, .. }
        | Fact::Published { step }
        | Fact::Waiting { step, .. }
        | Fact::Sleeping { step, .. }
        | Fact::Chosen { step, .. }
        | Fact::FannedOut { step, .. }
        | Fact::Omitted { step } => Some(Some(step.clone())),
        Fact::RollbackBegan | Fact::StopDropped | Fact::Ended { .. } => Some(None),
        _ => None,
    });
    started.map(|step| (Rule::PauseChanges, step))
}

/// An intervention does what it says.
fn obeys(seen: &Seen<'_>) -> Option<Broken> {
    let Kind::Operator(act) = seen.happening.kind else { return None };
    let path = seen.happening.of.as_ref().map(|(path, _)| path);
    let after = path.and_then(|path| seen.after.step(path));
    let is = |outcome: fn(&StepState) -> bool| after.is_some_and(outcome);
    let sends = |fact: &Fact| matches!(fact, Fact::Sent { .. } | Fact::ChildSent { .. });
    let obeyed = match act {
        Act::Succeeded => is(|step| matches!(step.outcome, Outcome::Completed(_)) || step.is_undone()),
        Act::Failed => is(is_decided),
        Act::Skip => {
            let loose = |state: &State| {
                let incidents = state.incidents.iter().filter(|incident| incident.direction.is_none());
                incidents.filter(|incident| incident.step.as_ref() == path).count()
            };
            loose(seen.before) > loose(seen.after) || is(|step| step.passed_over || step.is_undone())
        }
        Act::Rollback => seen.after.stopping.is_some(),
        Act::Abandon => seen.after.status() == Status::Abandoned && !seen.facts.iter().any(sends),
        Act::Retry | Act::RaiseLimits | Act::Pause | Act::Resume | Act::Migrate => true,
    };
    (!obeyed).then(|| (Rule::WrongIntervention, path.cloned()))
}

/// Whether an operator decided that the saga goes on without this step.
pub(super) fn is_decided(step: &StepState) -> bool {
    let is_resolved =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed(it) if it.is(Reason::ResolvedAsNotDone));
    step.passed_over || is_resolved(&step.outcome)
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
            let is_excused = may_miss || is_decided(step);
            let missing = matches!(step.outcome, Outcome::Failed(_) | Outcome::Unknown { .. }) && !is_excused;
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
