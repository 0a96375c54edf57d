//! The stimuli of a state: every outcome of everything that is under way, and the inputs that may arrive at any time.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::model_check::Surroundings;
use crate::model_check::operator::Act;
use snorri_core::definition::{Action, Definition};
use snorri_core::id::{Direction, StepPath, Time};
use snorri_core::input::{Attempt, Input, Reply, ReplyResult};
use snorri_core::journal::{By, Problem, ReceivedEvent};
use snorri_core::state::{NoRoute, Pending, State, StepOutcome, StepState};

/// The constant time of the exploration. All timers are due later, until a stimulus makes one due.
pub(super) const NOW: Time = Time(1_000_000_000_000);

/// One stimulus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stimulus {
    pub(super) kind: StimulusKind,
    /// `None`: it is about the saga as a whole.
    pub(super) of: Option<(StepPath, Direction)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum StimulusKind {
    Started,
    Success,
    /// A success of a command that has been given up.
    LateSuccess,
    /// A success that was accepted before.
    Duplicate,
    Refusal,
    Error,
    Unroutable,
    /// The command has been unroutable for longer than `unroutable_timeout`.
    NoRoute,
    /// No reply by the deadline.
    Timeout,
    /// The next attempt, or the end of a sleep, is due.
    Due,
    ReceivedEvent,
    /// The event or signal of a wait did not arrive in time.
    NoArrival,
    Cancelled,
    /// The saga's own timeout has passed.
    Overdue,
    /// The parent saga is rolled back.
    CompensationRequested,
    /// An operator intervenes.
    Operator(Act),
}

impl StimulusKind {
    fn of(self, path: &StepPath, direction: Direction) -> Stimulus {
        Stimulus { kind: self, of: Some((path.clone(), direction)) }
    }

    fn alone(self) -> Stimulus {
        Stimulus { kind: self, of: None }
    }

    /// Whether it must not change what the saga does next.
    pub(super) fn is_repetition(self) -> bool {
        matches!(self, Self::Duplicate | Self::LateSuccess)
    }

    /// Whether it is caused by the passing of time, which has no effect on a paused saga.
    pub(super) fn is_timer(self) -> bool {
        matches!(self, Self::Timeout | Self::Due | Self::NoArrival | Self::Overdue)
    }

    /// Whether it leads to states that no saga reaches without an operator.
    pub(super) fn is_intervention(self) -> bool {
        matches!(self, Self::Operator(act) if act != Act::Resume)
    }
}

impl Act {
    /// The intervention as a stimulus.
    pub(super) fn on(self, step: Option<&StepPath>) -> Stimulus {
        let of = step.map(|step| (step.clone(), Direction::Forward));
        Stimulus { kind: StimulusKind::Operator(self), of }
    }
}

/// All stimuli in `state`, those that lead to an end fastest first.
pub(super) fn all(definition: &Definition, state: &State, around: &Surroundings) -> Vec<Stimulus> {
    let mut found = Vec::new();
    for (path, step) in &state.steps {
        for direction in [Direction::Forward, Direction::Compensate] {
            of_step(definition, state, (path, step, direction), around, &mut found);
        }
    }
    if state.ended.is_none() && state.stopping.is_none() {
        found.push(StimulusKind::Cancelled.alone());
    }
    if state.overdue_at().is_some() {
        found.push(StimulusKind::Overdue.alone());
    }
    if around.is_child && state.compensation_requested.is_none() {
        found.push(StimulusKind::CompensationRequested.alone());
    }
    found
}

fn of_step(
    definition: &Definition,
    state: &State,
    (path, step, direction): (&StepPath, &StepState, Direction),
    around: &Surroundings,
    found: &mut Vec<Stimulus>,
) {
    let mut can = |kinds: &[StimulusKind]| found.extend(kinds.iter().map(|kind| kind.of(path, direction)));
    let action = definition.step(path).map(|step| &step.action);
    let child = match action {
        Some(Action::Child(child)) => Some(&**child),
        _ => None,
    };
    let was_sent = step.attempts(direction).last > 0;
    let ended = state.ended.is_some();
    let Some(pending) = step.pending(direction).filter(|_| !ended) else {
        let gave_up =
            matches!(step.outcome, StepOutcome::Unknown { late_output: None }) && !step.succeeded_late;
        match direction {
            Direction::Forward if was_sent && gave_up => can(&[StimulusKind::LateSuccess]),
            Direction::Forward if was_sent && matches!(step.outcome, StepOutcome::Completed(_)) => {
                can(&[StimulusKind::Duplicate]);
            }
            Direction::Compensate if step.is_compensated() => can(&[StimulusKind::Duplicate]),
            _ => {}
        }
        return;
    };
    match (pending, child) {
        (Pending::Child, Some(child))
            if direction == Direction::Compensate
                && around.is_known(child)
                && !around.is_committed(child) =>
        {
            can(&[StimulusKind::Success]);
        }
        (Pending::Child, _) => can(&[StimulusKind::Success, StimulusKind::Refusal]),
        (Pending::Reply { .. }, _) => {
            can(&[
                StimulusKind::Success,
                StimulusKind::Refusal,
                StimulusKind::Error,
                StimulusKind::Timeout,
                StimulusKind::Unroutable,
                StimulusKind::NoRoute,
            ]);
        }
        (Pending::Retry { .. }, _) => can(&[StimulusKind::Due, StimulusKind::Success, StimulusKind::Refusal]),
        // A command that is published again is in the state that it had before it was returned, which is explored anyway.
        (Pending::Route { .. }, _) => {
            can(&[StimulusKind::NoRoute, StimulusKind::Success, StimulusKind::Refusal]);
        }
        (Pending::Operator, _) if was_sent && child.is_none() => {
            can(&[StimulusKind::Success, StimulusKind::Refusal]);
        }
        (Pending::ReceivedEvent { .. }, _) if state.stopping.is_none() => {
            can(&[StimulusKind::ReceivedEvent, StimulusKind::NoArrival]);
        }
        (Pending::Sleep { .. }, _) if state.stopping.is_none() => can(&[StimulusKind::Due]),
        (Pending::Operator | Pending::ReceivedEvent { .. } | Pending::Sleep { .. }, _) => {}
    }
}

impl Stimulus {
    /// The state at the moment of the stimulus, and its input.
    pub(super) fn to_input<'s>(
        &self,
        definition: &Definition,
        state: &'s State,
    ) -> Option<(Cow<'s, State>, Input)> {
        let mut state = Cow::Borrowed(state);
        let Some((path, direction)) = &self.of else {
            let input = match self.kind {
                StimulusKind::Cancelled => {
                    Input::Cancel(By { actor: "user".to_owned(), reason: "a change of mind".to_owned() })
                }
                StimulusKind::CompensationRequested => Input::Compensate { attempt: 1 },
                _ => {
                    let state = state.to_mut();
                    state.deadline = Some(NOW);
                    state.wake = Some(NOW);
                    Input::wake()
                }
            };
            return Some((state, input));
        };
        let number = state.step(path)?.attempts(*direction).last;
        let attempt = Attempt { step: path.clone(), direction: *direction, number };
        let reply = |result| Input::Reply(Reply { attempt: attempt.clone(), result });
        let input = match self.kind {
            StimulusKind::Success | StimulusKind::LateSuccess | StimulusKind::Duplicate => {
                reply(ReplyResult::Success(Arc::default()))
            }
            StimulusKind::Refusal => reply(ReplyResult::Failure(Problem::of_participant("refused", ""))),
            StimulusKind::Error => reply(ReplyResult::Error(Problem::of_participant("error", ""))),
            StimulusKind::Unroutable => Input::Unroutable(attempt),
            StimulusKind::NoRoute => {
                lose_route(state.to_mut(), path, *direction);
                Input::Unroutable(attempt)
            }
            StimulusKind::ReceivedEvent => Input::Event(Arc::new(arrival(definition, path)?)),
            _ => {
                make_due(state.to_mut(), path, *direction);
                Input::wake()
            }
        };
        Some((state, input))
    }
}

fn arrival(definition: &Definition, path: &StepPath) -> Option<ReceivedEvent> {
    let Action::Wait(wait) = &definition.step(path)?.action else { return None };
    Some(ReceivedEvent::new(wait.awaited.source(), None, Value::Null))
}

/// Makes the timer of this step due, and no other one.
fn make_due(state: &mut State, path: &StepPath, direction: Direction) {
    state.wake = Some(NOW);
    let Some(step) = state.steps.get_mut(path) else { return };
    let pending = match direction {
        Direction::Forward => match &mut step.outcome {
            StepOutcome::Pending(pending) => Some(pending),
            _ => None,
        },
        Direction::Compensate => {
            step.compensation.as_mut().and_then(|compensation| compensation.pending.as_mut())
        }
    };
    if let Some(
        Pending::Reply { deadline: at }
        | Pending::Retry { until: at }
        | Pending::Route { until: at }
        | Pending::ReceivedEvent { deadline: at }
        | Pending::Sleep { until: at },
    ) = pending
    {
        *at = NOW;
    }
}

/// Makes the command of this step unroutable for as long as its `unroutable_timeout`.
fn lose_route(state: &mut State, path: &StepPath, direction: Direction) {
    if let Some(step) = state.steps.get_mut(path) {
        step.set_pending(direction, Pending::Reply { deadline: NOW });
        step.attempts_mut(direction).no_route = Some(NoRoute { since: Time(0), returns: 1 });
    }
}

/// Whether the saga makes no progress without an input from outside.
pub(super) fn is_quiet(state: &State) -> bool {
    state.ended.is_some()
        || under_way(state) == 0 && !(state.incidents.is_empty() && state.overdue_at().is_some())
}

/// The number of pending operations that end without an operator.
pub(super) fn under_way(state: &State) -> usize {
    let both = [Direction::Forward, Direction::Compensate];
    let pending = state.steps.values().flat_map(|step| both.map(|direction| step.pending(direction)));
    pending.flatten().filter(|pending| ends_unaided(state)(*pending)).count()
}

/// Whether a pending operation ends without an operator.
pub(super) fn ends_unaided(state: &State) -> impl Fn(Pending) -> bool {
    let is_stopping = state.stopping.is_some();
    move |pending| match pending {
        Pending::Reply { .. } | Pending::Retry { .. } | Pending::Route { .. } | Pending::Child => true,
        Pending::ReceivedEvent { .. } | Pending::Sleep { .. } => !is_stopping,
        Pending::Operator => false,
    }
}
