//! What became of one step, and of its compensation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::id::{Direction, Time};
use super::journal::Problem;

#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    pub outcome: Outcome,
    /// Whether an operator let the saga go on without it.
    pub passed_over: bool,
    /// Whether a success was journaled that contradicts the outcome. It is journaled once.
    pub succeeded_late: bool,
    /// The undoing, once it was begun.
    pub undo: Option<Undo>,
    pub forward: Attempts,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Pending(Pending),
    Completed(Arc<Value>),
    Failed(Problem),
    /// Nobody knows whether it happened. A success that came late gives its output to the compensation.
    Unknown {
        late_output: Option<Arc<Value>>,
    },
    /// Its `when` was false.
    Omitted,
}

/// What became of a step's compensation.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    pub attempts: Attempts,
    /// `None` once it is done.
    pub pending: Option<Pending>,
}

/// What a step that has no outcome yet waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    Reply {
        deadline: Time,
    },
    Backoff {
        until: Time,
    },
    /// A queue for the command; it is sent again then.
    Route {
        until: Time,
    },
    /// A signal or an event.
    Arrival {
        deadline: Time,
    },
    Sleep {
        until: Time,
    },
    /// The end of a child saga.
    Child,
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// The number of the last attempt that was sent; 0 if none was.
    pub last: u32,
    /// How many of them count against the retry budget: an operator's retry begins it anew.
    pub tried: u32,
    /// Since when no queue takes the command.
    pub no_route: Option<NoRoute>,
}

/// A command that the broker returns, because no queue is bound for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoute {
    pub since: Time,
    /// How often it came back, from 1.
    pub returns: u32,
}

impl StepState {
    pub(super) fn new(pending: Pending) -> Self {
        Self::concluded(Outcome::Pending(pending))
    }

    pub(super) fn concluded(outcome: Outcome) -> Self {
        Self { outcome, passed_over: false, succeeded_late: false, undo: None, forward: Attempts::default() }
    }

    /// The output that later steps see.
    pub fn output(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Completed(output) => Some(output),
            _ => None,
        }
    }

    /// What the command of this direction waits for, if it has no outcome yet.
    pub fn pending(&self, direction: Direction) -> Option<Pending> {
        match (direction, &self.outcome) {
            (Direction::Forward, Outcome::Pending(pending)) => Some(*pending),
            (Direction::Forward, _) => None,
            (Direction::Compensate, _) => self.undo.as_ref().and_then(|undo| undo.pending),
        }
    }

    pub fn attempts(&self, direction: Direction) -> Attempts {
        match direction {
            Direction::Forward => self.forward,
            Direction::Compensate => self.undo.as_ref().map_or_else(Attempts::default, |undo| undo.attempts),
        }
    }

    /// Whether it may have happened and was not undone, although the saga goes on without it: an operator who passed
    /// over it decided that already.
    pub fn stands_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown { .. }) && !self.passed_over && !self.is_undone()
    }

    pub fn is_undone(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.pending.is_none())
    }

    /// When something becomes due. Nothing that was only waited for does once the saga is stopping.
    pub(super) fn due(&self, is_stopping: bool) -> Option<Time> {
        let due = |pending| match pending {
            Pending::Reply { deadline: at }
            | Pending::Backoff { until: at }
            | Pending::Route { until: at } => Some(at),
            Pending::Arrival { deadline: at } | Pending::Sleep { until: at } => {
                Some(at).filter(|_| !is_stopping)
            }
            Pending::Child | Pending::Operator => None,
        };
        let of = |direction| self.pending(direction).and_then(due);
        of(Direction::Forward).into_iter().chain(of(Direction::Compensate)).min()
    }

    /// Has whatever is due be due so much later.
    pub(super) fn put_off(&mut self, held: Duration) {
        if let Outcome::Pending(pending) = &mut self.outcome {
            pending.put_off(held);
        }
        self.forward.put_off(held);
        if let Some(undo) = &mut self.undo {
            undo.attempts.put_off(held);
            if let Some(pending) = &mut undo.pending {
                pending.put_off(held);
            }
        }
    }

    pub(crate) fn attempts_mut(&mut self, direction: Direction) -> &mut Attempts {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Compensate => {
                &mut self.undo.get_or_insert_with(|| Undo::new(Pending::Operator)).attempts
            }
        }
    }

    pub(crate) fn set_pending(&mut self, direction: Direction, pending: Pending) {
        match direction {
            Direction::Forward => self.outcome = Outcome::Pending(pending),
            Direction::Compensate => {
                self.undo.get_or_insert_with(|| Undo::new(pending)).pending = Some(pending);
            }
        }
    }
}

impl Pending {
    fn put_off(&mut self, held: Duration) {
        match self {
            Self::Reply { deadline: at }
            | Self::Backoff { until: at }
            | Self::Route { until: at }
            | Self::Arrival { deadline: at }
            | Self::Sleep { until: at } => *at = at.after(held),
            Self::Child | Self::Operator => {}
        }
    }
}

impl Attempts {
    /// A command that came back for want of a queue is sent again as the same attempt.
    pub(super) fn sent(&mut self, attempt: u32) {
        self.tried += u32::from(attempt > self.last);
        self.last = attempt;
    }

    /// A command waits for a queue for so long, the time of a pause not counted.
    fn put_off(&mut self, held: Duration) {
        if let Some(no_route) = &mut self.no_route {
            no_route.since = no_route.since.after(held);
        }
    }
}

impl Undo {
    pub(super) fn new(pending: Pending) -> Self {
        Self { attempts: Attempts::default(), pending: Some(pending) }
    }
}
