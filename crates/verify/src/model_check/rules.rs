//! The rules that every decision, and every state in which nothing more happens, must satisfy.
//!
//! They rely on nothing of the core but its facts: what participants may have done is derived from the commands and replies.

use crate::model_check::Surroundings;
use crate::model_check::operator::Act;
use crate::model_check::stimulus::{Stimulus, StimulusKind};
use snorri_core::definition::{Action, Definition, OnCompensationFailure, OnWaitTimeout, Step};
use snorri_core::id::{Direction, StepPath};
use snorri_core::journal::{Fact, ProblemCode, SkipReason};
use snorri_core::state::{Pending, State, Status, StepOutcome, StepState};
use snorri_core::walk::comes_after;

/// A rule of the model check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A saga ended as compensated, and a step that may have happened is not compensated.
    HalfUndone,
    /// A saga ended as completed, and a step that must have happened did not, or was compensated.
    HalfDone,
    /// Nothing is under way, there is no incident, and the saga has not ended.
    WaitsForEver,
    /// A command was sent before the steps that precede it had ended.
    CommandTooEarly,
    /// A command was sent after the step's compensation, or after the saga had stopped.
    CommandAfterUndo,
    /// A step is compensated before one that came after it.
    UndoOutOfOrder,
    /// The outcome of a step was changed afterwards.
    OutcomeChanged,
    /// A command that may have been carried out counts as refused.
    UnknownAsRefused,
    /// A step stopped waiting for an operator without an intervention and without a reply.
    IncidentLost,
    /// A child that has passed its own pivot has to be compensated, and cannot be.
    ChildPastPivot,
    /// A step was refused after the pivot parallel to it had succeeded: the saga can neither roll back nor complete.
    RefusedBesidePivot,
    /// An intervention is refused that must be accepted, is accepted that must be refused, or has another effect than its own.
    WrongIntervention,
    /// A paused saga acts, or a pause changes what follows.
    PauseChanges,
    /// No intervention except `abandon` leads a saga to an end.
    NoWayOut,
    /// A migration to the same definition is refused or changes what follows.
    MigrationChanges,
}

/// A broken rule, and its step.
pub(super) type Broken = (Rule, Option<StepPath>);

/// Checks a decision that was made in `before`.
pub(super) fn of_decision(
    definition: &Definition,
    before: &State,
    stimulus: &Stimulus,
    facts: &[Fact],
    after: &State,
) -> Option<Broken> {
    let rules = [sends, concludes, changes, keeps_held, parallel_to_pivot, rests, obeys];
    let seen = Seen { definition, before, stimulus, facts, after };
    rules.iter().find_map(|rule| rule(&seen))
}

/// The decision that the rules check.
struct Seen<'a> {
    definition: &'a Definition,
    before: &'a State,
    stimulus: &'a Stimulus,
    facts: &'a [Fact],
    after: &'a State,
}

/// Forward commands are sent in order until the saga stops, and compensations in reverse order.
fn sends(seen: &Seen<'_>) -> Option<Broken> {
    let mut stopped = seen.before.stopping.is_some();
    for fact in seen.facts {
        match fact {
            Fact::Stopping { .. } | Fact::RollbackBegan => stopped = true,
            Fact::RollbackRevoked => stopped = false,
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
    let compensation_began = before.is_some_and(|step| step.compensation.is_some());
    match direction {
        Direction::Forward if compensation_began || stopped && is_first => Some(Rule::CommandAfterUndo),
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

/// Whether a step that comes after this one has begun: only a migration could cause that.
fn is_overtaken(seen: &Seen<'_>, sent: &StepPath) -> bool {
    let mut begun = seen.before.steps.keys().chain(seen.before.entered.keys());
    seen.after.migrated.is_some() && begun.any(|path| comes_after(seen.definition, path, sent))
}

/// Checks a state after a migration to `definition`: a step that must be compensated must not come after one whose compensation
/// has begun.
pub(super) fn of_migration(definition: &Definition, state: &State) -> Option<Broken> {
    // Optional steps are compensated on the way forward, too.
    let is_compensating = |(path, step): &(&StepPath, &StepState)| {
        let is_optional = definition.step(path).is_some_and(|step| step.optional);
        step.compensation.is_some() && !(is_optional && matches!(step.outcome, StepOutcome::Unknown { .. }))
    };
    let is_left = |path: &StepPath, step: &StepState| {
        must_be_compensated(definition, path, step)
            && !step.is_compensated()
            && !is_left_behind(definition, step)
    };
    state.steps.iter().filter(is_compensating).find_map(|(earlier, _)| {
        let mut later = state.steps.iter().filter(|(path, step)| is_left(path, step));
        let overtaken = later.any(|(path, _)| comes_after(definition, path, earlier));
        overtaken.then(|| (Rule::UndoOutOfOrder, Some(earlier.clone())))
    })
}

fn is_out_of_order(seen: &Seen<'_>, compensated: &StepPath) -> bool {
    // A compensation that is sent in the same decision has no effect before its reply.
    seen.after.steps.iter().any(|(path, state)| {
        path != compensated
            && comes_after(seen.definition, path, compensated)
            && must_be_compensated(seen.definition, path, state)
            && !state.is_compensated()
            && !is_left_behind(seen.definition, state)
    })
}

fn is_left_behind(definition: &Definition, state: &StepState) -> bool {
    definition.on_compensation_failure == OnCompensationFailure::Continue
        && state.pending(Direction::Compensate) == Some(Pending::Operator)
}

/// Only a refusal means that a step did not happen, and only the success of a compensation that it was compensated.
fn concludes(seen: &Seen<'_>) -> Option<Broken> {
    let came = |kind, step: &StepPath, direction| {
        let of = seen.stimulus.of.as_ref();
        seen.stimulus.kind == kind && of.is_some_and(|(path, of)| path == step && *of == direction)
    };
    let resolved = |act, step| came(StimulusKind::Operator(act), step, Direction::Forward);
    seen.facts.iter().find_map(|fact| match fact {
        Fact::Failed { step, .. } => {
            let was_sent = seen.before.step(step)?.attempts(Direction::Forward).last > 0;
            let refused =
                came(StimulusKind::Refusal, step, Direction::Forward) || resolved(Act::Failed, step);
            (was_sent && !refused).then(|| (Rule::UnknownAsRefused, Some(step.clone())))
        }
        Fact::Compensated { step } => {
            let compensated =
                came(StimulusKind::Success, step, Direction::Compensate) || resolved(Act::Succeeded, step);
            (!compensated).then(|| (Rule::HalfUndone, Some(step.clone())))
        }
        _ => None,
    })
}

/// A step keeps its outcome, unless the pivot has succeeded after all and the saga goes forward again. A step that an operator
/// skipped stays skipped even then; a step that an operator resolved as failed must happen after all.
fn changes(seen: &Seen<'_>) -> Option<Broken> {
    let goes_forward = seen.facts.iter().any(|fact| matches!(fact, Fact::RollbackRevoked));
    let changed = seen.before.steps.iter().find(|(path, before)| {
        let after = seen.after.step(path);
        let kept = after.is_some_and(|after| {
            std::mem::discriminant(&after.outcome) == std::mem::discriminant(&before.outcome)
                && (!before.is_compensated() || after.is_compensated())
                && is_decided(before) == is_decided(after)
        });
        let must_stay = !matches!(before.outcome, StepOutcome::Pending(_))
            && (!goes_forward || before.skipped_by_operator);
        must_stay && !kept
    });
    changed.map(|(path, _)| (Rule::OutcomeChanged, Some(path.clone())))
}

/// A held step stays held, unless it is answered after all or the saga stops.
fn keeps_held(seen: &Seen<'_>) -> Option<Broken> {
    let stops = seen.facts.iter().any(|fact| matches!(fact, Fact::Stopping { .. }));
    let incidents = seen.before.incidents.iter();
    let held = incidents.filter_map(|incident| Some((incident.step.as_ref()?, incident.direction?)));
    let mut lost = held.filter(|(step, direction)| {
        let is_held = |state: &StepState| state.pending(*direction) == Some(Pending::Operator);
        let is_answered = match &seen.stimulus.of {
            Some((of, _)) => of == *step,
            None => seen.stimulus.kind == StimulusKind::Operator(Act::Retry),
        };
        !(stops || is_answered || seen.after.step(step).is_some_and(is_held))
    });
    lost.next().map(|(step, _)| (Rule::IncidentLost, Some(step.clone())))
}

/// Parallel to a pivot that has succeeded, these strand the saga: the refusal of a step with a compensation, a wait that fails,
/// and a `fail`. A step without a compensation may not be refused.
fn parallel_to_pivot(seen: &Seen<'_>) -> Option<Broken> {
    if !seen.after.is_past_pivot(seen.definition) {
        return None;
    }
    let refuses = |step: &Step| match &step.action {
        Action::Fail { .. } => true,
        Action::Wait(wait) => {
            seen.stimulus.kind == StimulusKind::NoArrival && wait.on_timeout == OnWaitTimeout::Fail
        }
        _ => seen.stimulus.kind == StimulusKind::Refusal && step.has_compensation(),
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

/// A paused saga records its inputs and does not act on them.
fn rests(seen: &Seen<'_>) -> Option<Broken> {
    let is_released = matches!(seen.stimulus.kind, StimulusKind::Operator(Act::Resume | Act::Abandon));
    if seen.before.paused.is_none() || is_released {
        return None;
    }
    let started = seen.facts.iter().find_map(|fact| match fact {
        Fact::Sent { step, .. }
        | Fact::ChildSent { step, .. }
        | Fact::Published { step }
        | Fact::Waiting { step, .. }
        | Fact::Sleeping { step, .. }
        | Fact::BranchSelected { step, .. }
        | Fact::ItemsExpanded { step, .. }
        | Fact::Skipped { step, reason: SkipReason::Condition, .. } => Some(Some(step.clone())),
        Fact::RollbackBegan | Fact::RollbackRevoked | Fact::Ended { .. } => Some(None),
        _ => None,
    });
    started.map(|step| (Rule::PauseChanges, step))
}

/// An intervention has its own effect.
fn obeys(seen: &Seen<'_>) -> Option<Broken> {
    let StimulusKind::Operator(act) = seen.stimulus.kind else { return None };
    let path = seen.stimulus.of.as_ref().map(|(path, _)| path);
    let after = path.and_then(|path| seen.after.step(path));
    let is = |outcome: fn(&StepState) -> bool| after.is_some_and(outcome);
    let sends = |fact: &Fact| matches!(fact, Fact::Sent { .. } | Fact::ChildSent { .. });
    let obeyed = match act {
        Act::Succeeded => {
            is(|step| matches!(step.outcome, StepOutcome::Completed(_)) || step.is_compensated())
        }
        Act::Failed => is(is_decided),
        Act::Skip => {
            let loose = |state: &State| {
                let incidents = state.incidents.iter().filter(|incident| incident.direction.is_none());
                incidents.filter(|incident| incident.step.as_ref() == path).count()
            };
            loose(seen.before) > loose(seen.after)
                || is(|step| step.skipped_by_operator || step.is_compensated())
        }
        Act::Rollback => seen.after.stopping.is_some(),
        Act::Abandon => seen.after.status() == Status::Abandoned && !seen.facts.iter().any(sends),
        Act::Retry | Act::RaiseLimits | Act::Pause | Act::Resume | Act::Migrate => true,
    };
    (!obeyed).then(|| (Rule::WrongIntervention, path.cloned()))
}

/// Whether an operator decided that the saga continues without this step.
pub(super) fn is_decided(step: &StepState) -> bool {
    let is_resolved = |outcome: &StepOutcome| matches!(outcome, StepOutcome::Failed(it) if it.is(ProblemCode::ResolvedAsFailed));
    step.skipped_by_operator || is_resolved(&step.outcome)
}

/// Checks a state in which nothing more happens without an input from outside.
pub(super) fn of_end(definition: &Definition, state: &State) -> Option<Broken> {
    let find = |wrong: &dyn Fn(&StepPath, &StepState) -> bool| {
        state.steps.iter().find(|(path, step)| wrong(path, step)).map(|(path, _)| Some(path.clone()))
    };
    match state.status() {
        Status::Compensated => find(&|path, step| {
            let may_stand = must_be_compensated(definition, path, step) && !step.is_compensated();
            let is_pivot = definition.step(path).is_some_and(Step::is_pivot);
            let happened = matches!(step.outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. });
            may_stand || (is_pivot && happened)
        })
        .map(|step| (Rule::HalfUndone, step)),
        Status::Completed => find(&|path, step| {
            let may_miss = definition.step(path).is_none_or(|step| step.may_miss());
            let is_excused = may_miss || is_decided(step);
            let missing =
                matches!(step.outcome, StepOutcome::Failed(_) | StepOutcome::Unknown { .. }) && !is_excused;
            let was_unknown = matches!(step.outcome, StepOutcome::Unknown { .. });
            missing || may_be_there(definition, path, step) || (step.compensation.is_some() && !was_unknown)
        })
        .map(|step| (Rule::HalfDone, step)),
        Status::Running | Status::Compensating => Some((Rule::WaitsForEver, None)),
        Status::Stuck | Status::Abandoned => None,
    }
}

/// Whether an optional step that the saga continues without may have happened, and was neither compensated nor decided by an
/// operator.
fn may_be_there(definition: &Definition, path: &StepPath, state: &StepState) -> bool {
    let has_compensation = definition.step(path).is_some_and(|step| step.optional && step.has_compensation());
    let is_unknown = matches!(state.outcome, StepOutcome::Unknown { .. });
    has_compensation && is_unknown && !state.skipped_by_operator && !state.is_compensated()
}

/// Whether a step may have happened and has a compensation.
fn must_be_compensated(definition: &Definition, path: &StepPath, state: &StepState) -> bool {
    let may_have_happened = match &state.outcome {
        StepOutcome::Completed(_) | StepOutcome::Unknown { .. } => true,
        StepOutcome::Pending(_) => state.attempts(Direction::Forward).last > 0,
        StepOutcome::Failed(_) | StepOutcome::Skipped => false,
    };
    may_have_happened && definition.step(path).is_some_and(|step| step.has_compensation())
}

/// Whether the compensation of a child was refused because the child had passed its pivot.
pub(super) fn stranded_by_child(
    definition: &Definition,
    around: &Surroundings,
    stimulus: &Stimulus,
) -> Option<Broken> {
    let (path, direction) = stimulus.of.as_ref()?;
    let Action::Child(child) = &definition.step(path)?.action else { return None };
    let refused = stimulus.kind == StimulusKind::Refusal && *direction == Direction::Compensate;
    (refused && around.is_committed(child)).then(|| (Rule::ChildPastPivot, Some(path.clone())))
}
