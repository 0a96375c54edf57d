//! What can happen to a saga in a state: every outcome of all that is under way, and what comes from outside at any time.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::Surroundings;
use super::operator::Act;
use crate::saga::definition::{Action, Definition};
use crate::saga::id::{Direction, StepPath, Time};
use crate::saga::input::{Attempt, Input, Reply, ReplyResult};
use crate::saga::journal::{Arrival, By, Problem};
use crate::saga::state::{NoRoute, Outcome, Pending, State, StepState};

/// The time at which everything happens. Whatever is due is due later, until it is chosen to be due.
pub(super) const NOW: Time = Time(1_000_000_000_000);

/// One thing that can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) kind: Kind,
    /// `None`: it is about the saga as a whole.
    pub(super) of: Option<(StepPath, Direction)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Started,
    Success,
    /// A success of what has been given up.
    LateSuccess,
    /// A success that was taken in before.
    Duplicate,
    Refusal,
    Error,
    Unroutable,
    /// No queue for longer than the command waits for one.
    NoRoute,
    /// No reply by the deadline.
    Timeout,
    /// The time of the next attempt, or the end of a sleep, has come.
    Due,
    Arrival,
    /// What a wait was for did not come.
    NoArrival,
    Cancelled,
    /// The saga's own timeout has passed.
    Overdue,
    /// The saga that this one is part of is rolled back.
    UndoAsked,
    /// An operator intervenes.
    Operator(Act),
}

impl Kind {
    fn of(self, path: &StepPath, direction: Direction) -> Happening {
        Happening { kind: self, of: Some((path.clone(), direction)) }
    }

    fn alone(self) -> Happening {
        Happening { kind: self, of: None }
    }

    /// Whether it does not change what the saga does next, unless something is wrong.
    pub(super) fn is_repetition(self) -> bool {
        matches!(self, Self::Duplicate | Self::LateSuccess)
    }

    /// Whether it comes about because time passes, which it does not for a paused saga.
    pub(super) fn is_timer(self) -> bool {
        matches!(self, Self::Timeout | Self::Due | Self::NoArrival | Self::Overdue)
    }

    /// Whether it leads to states that no saga reaches without an operator.
    pub(super) fn is_intervention(self) -> bool {
        matches!(self, Self::Operator(act) if act != Act::Resume)
    }
}

/// All that can happen in `state`, that which leads to an end fastest first.
pub(super) fn all(definition: &Definition, state: &State, around: &Surroundings) -> Vec<Happening> {
    let mut found = Vec::new();
    for (path, step) in &state.steps {
        for direction in [Direction::Forward, Direction::Compensate] {
            of_step(definition, state, (path, step, direction), around, &mut found);
        }
    }
    if state.ended.is_none() && state.stopping.is_none() {
        found.push(Kind::Cancelled.alone());
    }
    if state.overdue_at().is_some() {
        found.push(Kind::Overdue.alone());
    }
    if around.is_child && state.undo_asked.is_none() {
        found.push(Kind::UndoAsked.alone());
    }
    found
}

fn of_step(
    definition: &Definition,
    state: &State,
    (path, step, direction): (&StepPath, &StepState, Direction),
    around: &Surroundings,
    found: &mut Vec<Happening>,
) {
    let mut can = |kinds: &[Kind]| found.extend(kinds.iter().map(|kind| kind.of(path, direction)));
    let action = definition.step(path).map(|step| &step.action);
    let child = match action {
        Some(Action::Child(child)) => Some(&**child),
        _ => None,
    };
    let was_sent = step.attempts(direction).last > 0;
    let ended = state.ended.is_some();
    let Some(pending) = step.pending(direction).filter(|_| !ended) else {
        let gave_up = matches!(step.outcome, Outcome::Unknown { late_output: None }) && !step.succeeded_late;
        match direction {
            Direction::Forward if was_sent && gave_up => can(&[Kind::LateSuccess]),
            Direction::Forward if was_sent && matches!(step.outcome, Outcome::Completed(_)) => {
                can(&[Kind::Duplicate]);
            }
            Direction::Compensate if step.is_undone() => can(&[Kind::Duplicate]),
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
            can(&[Kind::Success]);
        }
        (Pending::Child, _) => can(&[Kind::Success, Kind::Refusal]),
        (Pending::Reply { .. }, _) => {
            can(&[Kind::Success, Kind::Refusal, Kind::Error, Kind::Timeout, Kind::Unroutable, Kind::NoRoute]);
        }
        (Pending::Backoff { .. }, _) => can(&[Kind::Due, Kind::Success, Kind::Refusal]),
        // Sent again, it is where it was before it came back: what follows then is tried from there.
        (Pending::Route { .. }, _) => can(&[Kind::NoRoute, Kind::Success, Kind::Refusal]),
        (Pending::Operator, _) if was_sent && child.is_none() => can(&[Kind::Success, Kind::Refusal]),
        (Pending::Arrival { .. }, _) if state.stopping.is_none() => can(&[Kind::Arrival, Kind::NoArrival]),
        (Pending::Sleep { .. }, _) if state.stopping.is_none() => can(&[Kind::Due]),
        (Pending::Operator | Pending::Arrival { .. } | Pending::Sleep { .. }, _) => {}
    }
}

impl Happening {
    /// The state at the moment at which it happens, and the input that it is.
    pub(super) fn come_true<'s>(
        &self,
        definition: &Definition,
        state: &'s State,
    ) -> Option<(Cow<'s, State>, Input)> {
        let mut state = Cow::Borrowed(state);
        let Some((path, direction)) = &self.of else {
            let input = match self.kind {
                Kind::Cancelled => {
                    Input::Cancel(By { actor: "somebody".to_owned(), reason: "a change of mind".to_owned() })
                }
                Kind::UndoAsked => Input::Undo { attempt: 1 },
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
            Kind::Success | Kind::LateSuccess | Kind::Duplicate => {
                reply(ReplyResult::Success(Arc::default()))
            }
            Kind::Refusal => reply(ReplyResult::Failure(Problem::of_participant("refused", ""))),
            Kind::Error => reply(ReplyResult::Error(Problem::of_participant("error", ""))),
            Kind::Unroutable => Input::Unroutable(attempt),
            Kind::NoRoute => {
                lose_route(state.to_mut(), path, *direction);
                Input::Unroutable(attempt)
            }
            Kind::Arrival => Input::Arrival(Arc::new(arrival(definition, path)?)),
            _ => {
                make_due(state.to_mut(), path, *direction);
                Input::wake()
            }
        };
        Some((state, input))
    }
}

fn arrival(definition: &Definition, path: &StepPath) -> Option<Arrival> {
    let Action::Wait(wait) = &definition.step(path)?.action else { return None };
    Some(Arrival::new(wait.awaited.source(), None, Value::Null))
}

/// Has what this step waits for be due, and nothing else.
fn make_due(state: &mut State, path: &StepPath, direction: Direction) {
    state.wake = Some(NOW);
    let Some(step) = state.steps.get_mut(path) else { return };
    let pending = match direction {
        Direction::Forward => match &mut step.outcome {
            Outcome::Pending(pending) => Some(pending),
            _ => None,
        },
        Direction::Compensate => step.undo.as_mut().and_then(|undo| undo.pending.as_mut()),
    };
    if let Some(
        Pending::Reply { deadline: at }
        | Pending::Backoff { until: at }
        | Pending::Route { until: at }
        | Pending::Arrival { deadline: at }
        | Pending::Sleep { until: at },
    ) = pending
    {
        *at = NOW;
    }
}

/// Has the command of this step come back for as long as it waits for a queue.
fn lose_route(state: &mut State, path: &StepPath, direction: Direction) {
    if let Some(step) = state.steps.get_mut(path) {
        step.set_pending(direction, Pending::Reply { deadline: NOW });
        step.attempts_mut(direction).no_route = Some(NoRoute { since: Time(0), returns: 1 });
    }
}

/// Whether nothing will happen any more by itself.
pub(super) fn is_quiet(state: &State) -> bool {
    state.ended.is_some()
        || under_way(state) == 0 && !(state.incidents.is_empty() && state.overdue_at().is_some())
}

/// How many things will happen by themselves.
pub(super) fn under_way(state: &State) -> usize {
    let both = [Direction::Forward, Direction::Compensate];
    let pending = state.steps.values().flat_map(|step| both.map(|direction| step.pending(direction)));
    pending.flatten().filter(|pending| goes_on(state)(*pending)).count()
}

/// Whether what waits like this comes to an end by itself.
pub(super) fn goes_on(state: &State) -> impl Fn(Pending) -> bool {
    let is_stopping = state.stopping.is_some();
    move |pending| match pending {
        Pending::Reply { .. } | Pending::Backoff { .. } | Pending::Route { .. } | Pending::Child => true,
        Pending::Arrival { .. } | Pending::Sleep { .. } => !is_stopping,
        Pending::Operator => false,
    }
}
