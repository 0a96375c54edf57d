//! The state of one step, and of its compensation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::id::{Direction, Time};
use crate::journal::{Problem, SkipReason};

#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    pub outcome: StepOutcome,
    /// Whether an operator skipped the step.
    pub skipped_by_operator: bool,
    /// Whether a success was journaled that contradicts the outcome. It is journaled once.
    pub succeeded_late: bool,
    /// The compensation, once it was begun.
    pub compensation: Option<Compensation>,
    pub forward: Attempts,
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutcome {
    Pending(Pending),
    Completed(Arc<Value>),
    Failed(Problem),
    /// It is unknown whether the step happened. The output of a late success is kept for the compensation.
    Unknown {
        late_output: Option<Arc<Value>>,
    },
    /// Its `when` was false.
    Skipped,
}

/// The state of a step's compensation.
#[derive(Debug, Clone, PartialEq)]
pub struct Compensation {
    pub attempts: Attempts,
    /// `None` once it is done.
    pub pending: Option<Pending>,
}

/// What a step without an outcome waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    Reply {
        deadline: Time,
    },
    Retry {
        until: Time,
    },
    /// A queue for the command, which is then sent again.
    Route {
        until: Time,
    },
    /// A signal or an event.
    ReceivedEvent {
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
    /// How many of them count against the retry budget: an operator's retry resets it.
    pub tried: u32,
    /// Since when no queue is bound for the command.
    pub no_route: Option<NoRoute>,
}

/// A command that the broker returned, because no queue is bound for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoute {
    pub since: Time,
    /// How often it was returned, from 1.
    pub returns: u32,
}

impl StepState {
    pub(crate) fn new(pending: Pending) -> Self {
        Self::concluded(StepOutcome::Pending(pending))
    }

    pub(crate) fn concluded(outcome: StepOutcome) -> Self {
        Self {
            outcome,
            skipped_by_operator: false,
            succeeded_late: false,
            compensation: None,
            forward: Attempts::default(),
        }
    }

    /// The output that later steps see.
    pub fn output(&self) -> Option<&Value> {
        match &self.outcome {
            StepOutcome::Completed(output) => Some(output),
            _ => None,
        }
    }

    /// What the command of this direction waits for, if it has no outcome yet.
    pub fn pending(&self, direction: Direction) -> Option<Pending> {
        match (direction, &self.outcome) {
            (Direction::Forward, StepOutcome::Pending(pending)) => Some(*pending),
            (Direction::Forward, _) => None,
            (Direction::Compensate, _) => {
                self.compensation.as_ref().and_then(|compensation| compensation.pending)
            }
        }
    }

    pub fn attempts(&self, direction: Direction) -> Attempts {
        match direction {
            Direction::Forward => self.forward,
            Direction::Compensate => self
                .compensation
                .as_ref()
                .map_or_else(Attempts::default, |compensation| compensation.attempts),
        }
    }

    /// Whether the step may have happened and was not compensated, although the saga continues without it: an operator who
    /// skipped it has decided that already.
    pub fn stands_unknown(&self) -> bool {
        matches!(self.outcome, StepOutcome::Unknown { .. })
            && !self.skipped_by_operator
            && !self.is_compensated()
    }

    /// Why the step was skipped, if it was.
    pub fn skip_reason(&self) -> Option<SkipReason> {
        match self.outcome {
            StepOutcome::Skipped => Some(SkipReason::Condition),
            _ => self.skipped_by_operator.then_some(SkipReason::Operator),
        }
    }

    pub fn is_compensated(&self) -> bool {
        self.compensation.as_ref().is_some_and(|compensation| compensation.pending.is_none())
    }

    /// When something becomes due. Once the saga is stopping, plain waits are never due.
    pub(crate) fn due(&self, is_stopping: bool) -> Option<Time> {
        let due = |pending| match pending {
            Pending::Reply { deadline: at } | Pending::Retry { until: at } | Pending::Route { until: at } => {
                Some(at)
            }
            Pending::ReceivedEvent { deadline: at } | Pending::Sleep { until: at } => {
                Some(at).filter(|_| !is_stopping)
            }
            Pending::Child | Pending::Operator => None,
        };
        let of = |direction| self.pending(direction).and_then(due);
        of(Direction::Forward).into_iter().chain(of(Direction::Compensate)).min()
    }

    /// Puts off everything that is due.
    pub(crate) fn put_off(&mut self, held: Duration) {
        if let StepOutcome::Pending(pending) = &mut self.outcome {
            pending.put_off(held);
        }
        self.forward.put_off(held);
        if let Some(compensation) = &mut self.compensation {
            compensation.attempts.put_off(held);
            if let Some(pending) = &mut compensation.pending {
                pending.put_off(held);
            }
        }
    }

    pub fn attempts_mut(&mut self, direction: Direction) -> &mut Attempts {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Compensate => {
                &mut self.compensation.get_or_insert_with(|| Compensation::new(Pending::Operator)).attempts
            }
        }
    }

    pub fn set_pending(&mut self, direction: Direction, pending: Pending) {
        match direction {
            Direction::Forward => self.outcome = StepOutcome::Pending(pending),
            Direction::Compensate => {
                self.compensation.get_or_insert_with(|| Compensation::new(pending)).pending = Some(pending);
            }
        }
    }
}

impl Pending {
    fn put_off(&mut self, held: Duration) {
        match self {
            Self::Reply { deadline: at }
            | Self::Retry { until: at }
            | Self::Route { until: at }
            | Self::ReceivedEvent { deadline: at }
            | Self::Sleep { until: at } => *at = at.after(held),
            Self::Child | Self::Operator => {}
        }
    }
}

impl Attempts {
    /// A command that was returned because no queue is bound is sent again as the same attempt.
    pub(crate) fn sent(&mut self, attempt: u32) {
        self.tried += u32::from(attempt > self.last);
        self.last = attempt;
    }

    /// Puts off the start of the wait for a queue: the time of a pause does not count.
    fn put_off(&mut self, held: Duration) {
        if let Some(no_route) = &mut self.no_route {
            no_route.since = no_route.since.after(held);
        }
    }
}

impl Compensation {
    pub(crate) fn new(pending: Pending) -> Self {
        Self { attempts: Attempts::default(), pending: Some(pending) }
    }
}
