//! The state of a saga: the fold of its journal.
//!
//! There is no program counter. The state holds the outcome of each step; [`walk`](super::walk) derives from it what may start
//! next and what must be compensated next.

mod parts;
pub mod status;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use parts::{End, Entered, Incident, Kept, Stop};
pub use status::Status;
pub use step::{Attempts, Compensation, NoRoute, Pending, StepOutcome, StepState};

use super::definition::{Definition, Step};
use super::id::{Direction, SagaId, StepPath, Time};
use super::journal::{AnswerTo, Entry, Fact, Inherited, Problem, SkipReason, Started};
use super::json::approximate_bytes;

/// The state of one saga.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub id: SagaId,
    /// The number of its journal entries. 0: it was never started.
    pub seq: u32,
    /// Its start, without what it took over from another saga, which is in its steps.
    pub started: Option<Arc<Started>>,
    pub started_at: Time,
    /// The addresses of the outcome, in addition to that of the start.
    pub outcome_requests: Vec<AnswerTo>,
    /// The version of its definition, if it is not the one that it was started with.
    pub migrated: Option<u32>,
    /// When its own timeout passes.
    pub deadline: Option<Time>,
    /// Since when it is paused, and no time passes for it.
    pub paused: Option<Time>,
    pub steps: BTreeMap<StepPath, StepState>,
    /// The branches that were selected and the items of the lists.
    pub entered: BTreeMap<StepPath, Entered>,
    /// The signals and events that were received, in this order.
    pub arrivals: Vec<Kept>,
    /// Why no new step starts any more, if so.
    pub stopping: Option<Stop>,
    pub rolling_back: bool,
    /// The attempt in which the parent saga wants this one compensated.
    pub compensation_requested: Option<u32>,
    pub incidents: Vec<Incident>,
    /// The number of forward executions: commands (further attempts not counted), events, waits, children.
    pub executions: u32,
    /// The bytes of all outputs, as [`json::approximate_bytes`](super::json::approximate_bytes) counts them.
    pub output_bytes: usize,
    /// How often an operator granted the saga its limits once more.
    pub limits_raised: u32,
    pub late_replies: u32,
    /// Whether the saga's own timeout has passed and was recorded.
    pub overdue: bool,
    /// When the store will wake it.
    pub wake: Option<Time>,
    pub ended: Option<End>,
    /// The id as expressions see it.
    pub(super) id_text: Arc<str>,
}

impl State {
    /// The state of a saga without entries.
    pub fn new(id: SagaId) -> Self {
        Self {
            id,
            seq: 0,
            started: None,
            started_at: Time::default(),
            outcome_requests: Vec::new(),
            migrated: None,
            deadline: None,
            paused: None,
            steps: BTreeMap::new(),
            entered: BTreeMap::new(),
            arrivals: Vec::new(),
            stopping: None,
            rolling_back: false,
            compensation_requested: None,
            incidents: Vec::new(),
            executions: 0,
            output_bytes: 0,
            limits_raised: 0,
            late_replies: 0,
            overdue: false,
            wake: None,
            ended: None,
            id_text: id.to_string().into(),
        }
    }

    /// The state that `entries`, the whole journal of saga `id`, lead to.
    pub fn replay<'a>(id: SagaId, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut state = Self::new(id);
        for entry in entries {
            for fact in &entry.facts {
                state.apply(fact, entry.at);
            }
            state.seq += 1;
        }
        state
    }

    pub fn status(&self) -> Status {
        match &self.ended {
            Some(end) => end.status,
            None if !self.incidents.is_empty() => Status::Stuck,
            None if self.rolling_back => Status::Compensating,
            None => Status::Running,
        }
    }

    /// The version of its definition. 0: it was never started.
    pub fn version(&self) -> u32 {
        self.migrated.or(self.started.as_ref().map(|started| started.version)).unwrap_or_default()
    }

    pub fn step(&self, path: &StepPath) -> Option<&StepState> {
        self.steps.get(path)
    }

    /// Whether a pivot succeeded: from then on the saga cannot roll back. A pivot is unknown only by an operator's decision,
    /// and may have succeeded.
    pub fn is_past_pivot(&self, definition: &Definition) -> bool {
        self.any_pivot(definition, |outcome| {
            matches!(outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. })
        })
    }

    fn any_pivot(&self, definition: &Definition, has: impl Fn(&StepOutcome) -> bool) -> bool {
        self.steps
            .iter()
            .any(|(path, step)| has(&step.outcome) && definition.step(path).is_some_and(Step::is_pivot))
    }

    /// The next time at which the saga must be looked at, if any.
    pub fn next_due(&self) -> Option<Time> {
        if self.ended.is_some() || self.paused.is_some() {
            return None;
        }
        let pending = self.steps.values().filter_map(|step| step.due(self.stopping.is_some()));
        pending.chain(self.overdue_at()).min()
    }

    /// When the saga's own timeout passes, as long as that would change something.
    pub fn overdue_at(&self) -> Option<Time> {
        let matters = self.ended.is_none() && !self.overdue && self.stopping.is_none();
        self.deadline.filter(|_| matters)
    }

    /// Applies one fact of an entry written at `at`. The only place where a state changes.
    pub fn apply(&mut self, fact: &Fact, at: Time) {
        match fact {
            Fact::Started(started) => self.start(started, at),
            Fact::OutcomeRequested { to } => self.outcome_requests.push(to.clone()),
            Fact::Sent { step, direction, attempt, deadline } => {
                self.sent(step, *direction, *attempt, Pending::Reply { deadline: *deadline });
            }
            Fact::ClockStarted { step, direction, deadline, .. } => {
                if let Some(step) = self.steps.get_mut(step) {
                    step.set_pending(*direction, Pending::Reply { deadline: *deadline });
                }
            }
            Fact::WaitingForRoute { step, direction, returns, at: until, .. } => {
                self.no_route(step, *direction, *returns, at, *until);
            }
            Fact::RetryScheduled { step, direction, at, .. } => self.retry_scheduled(step, *direction, *at),
            Fact::Completed { step, output } => {
                self.output_bytes += approximate_bytes(output);
                self.conclude(step, StepOutcome::Completed(Arc::clone(output)));
            }
            Fact::Failed { step, problem } => self.conclude(step, StepOutcome::Failed(problem.clone())),
            Fact::Unknown { step, .. } => self.conclude(step, StepOutcome::Unknown { late_output: None }),
            Fact::Compensated { step } => self.compensated(step),
            Fact::BranchSelected { step, branch } => self.enter(step, Entered::Branch(*branch)),
            Fact::ItemsExpanded { step, items } => self.enter(step, Entered::Items(Arc::clone(items))),
            Fact::Waiting { step, deadline } => {
                self.begun(step, Pending::ReceivedEvent { deadline: *deadline });
            }
            Fact::Sleeping { step, until } => self.begun(step, Pending::Sleep { until: *until }),
            Fact::Published { step } => {
                self.executions += 1;
                self.conclude(step, StepOutcome::Completed(Arc::default()));
            }
            Fact::ChildSent { step, direction, attempt } => {
                self.sent(step, *direction, *attempt, Pending::Child);
            }
            Fact::EventReceived(arrival) => {
                self.arrivals.push(Kept { arrival: Arc::clone(arrival), taken: false });
            }
            Fact::EventConsumed { arrival, .. } => self.taken(*arrival as usize),
            Fact::CompensationRequested { attempt } => {
                self.compensation_requested = Some(*attempt);
                self.ended = None;
            }
            Fact::Skipped { step, direction: Direction::Forward, reason } => self.skipped(step, *reason),
            Fact::Skipped { step, direction: Direction::Compensate, .. } => self.compensated(step),
            Fact::Held { step, direction, problem } => self.held(step, *direction, problem, at),
            Fact::LimitsRaised => self.limits_raised += 1,
            Fact::Retried { step, direction } => self.retried(step, *direction),
            Fact::Stopping { reason, problem } => {
                self.stopping = Some(Stop { reason: *reason, problem: problem.clone() });
            }
            Fact::RollbackRevoked => self.stopping = None,
            Fact::RollbackBegan => self.rolling_back = true,
            Fact::LateReply { step, output } => self.late_reply(step, output),
            Fact::Overdue => self.overdue = true,
            Fact::IncidentRaised { step, problem } => self.raise(step.clone(), None, problem, at),
            Fact::IncidentCleared { step } => {
                self.incidents.retain(|incident| incident.direction.is_some() || incident.step != *step);
            }
            Fact::Paused => self.paused = Some(at),
            Fact::Resumed { held_millis } => self.resume(Duration::from_millis(*held_millis)),
            Fact::Migrated { version } => self.migrated = Some(*version),
            Fact::TimerSet { at } => self.wake = *at,
            Fact::Ended { status, output } => {
                self.ended = Some(End { status: *status, output: output.clone(), at });
                self.wake = None;
                self.paused = None;
            }
        }
    }

    fn start(&mut self, started: &Started, at: Time) {
        let taken_over = started.inherited.as_ref().map(|inherited| Inherited {
            saga: inherited.saga,
            from: inherited.from.clone(),
            facts: Vec::new(),
        });
        self.started_at = at;
        self.deadline = started.deadline;
        self.started = Some(Arc::new(Started { inherited: taken_over, ..started.clone() }));
        for fact in started.inherited.iter().flat_map(|inherited| &inherited.facts) {
            self.apply(fact, at);
        }
    }

    /// Puts off everything that was due, as if the time of the pause had not passed.
    fn resume(&mut self, held: Duration) {
        self.paused = None;
        self.deadline = self.deadline.map(|deadline| deadline.after(held));
        for step in self.steps.values_mut() {
            step.put_off(held);
        }
    }

    fn sent(&mut self, path: &StepPath, direction: Direction, attempt: u32, pending: Pending) {
        match direction {
            Direction::Forward => {
                let step = self.steps.entry(path.clone()).or_insert_with(|| StepState::new(pending));
                self.executions += u32::from(step.forward.last == 0);
                step.outcome = StepOutcome::Pending(pending);
                step.forward.sent(attempt);
            }
            Direction::Compensate => {
                if let Some(step) = self.steps.get_mut(path) {
                    let compensation = step.compensation.get_or_insert_with(|| Compensation::new(pending));
                    compensation.pending = Some(pending);
                    compensation.attempts.sent(attempt);
                }
            }
        }
    }

    fn no_route(&mut self, path: &StepPath, direction: Direction, returns: u32, now: Time, until: Time) {
        if let Some(step) = self.steps.get_mut(path) {
            step.set_pending(direction, Pending::Route { until });
            let attempts = step.attempts_mut(direction);
            let since = attempts.no_route.map_or(now, |no_route| no_route.since);
            attempts.no_route = Some(NoRoute { since, returns });
        }
    }

    fn begun(&mut self, path: &StepPath, pending: Pending) {
        self.executions += 1;
        self.steps.insert(path.clone(), StepState::new(pending));
    }

    /// From now on the steps of the block count. A problem of the block that an operator was asked about is cleared.
    fn enter(&mut self, path: &StepPath, entered: Entered) {
        self.steps.remove(path);
        self.entered.insert(path.clone(), entered);
    }

    fn retry_scheduled(&mut self, path: &StepPath, direction: Direction, until: Time) {
        if let Some(step) = self.steps.get_mut(path) {
            step.set_pending(direction, Pending::Retry { until });
            step.attempts_mut(direction).no_route = None;
        }
    }

    fn conclude(&mut self, path: &StepPath, outcome: StepOutcome) {
        self.drop_incident(path, Direction::Forward);
        match self.steps.get_mut(path) {
            Some(step) => step.outcome = outcome,
            // A step that failed before its first command could be made.
            None => {
                self.steps.insert(path.clone(), StepState::concluded(outcome));
            }
        }
    }

    fn taken(&mut self, arrival: usize) {
        if let Some(kept) = self.arrivals.get_mut(arrival) {
            kept.taken = true;
        }
    }

    /// A step that an operator skips may have happened.
    fn skipped(&mut self, path: &StepPath, reason: SkipReason) {
        match reason {
            SkipReason::Condition => self.conclude(path, StepOutcome::Skipped),
            SkipReason::Operator => {
                self.conclude(path, StepOutcome::Unknown { late_output: None });
                if let Some(step) = self.steps.get_mut(path) {
                    step.skipped_by_operator = true;
                }
            }
        }
    }

    fn compensated(&mut self, path: &StepPath) {
        self.drop_incident(path, Direction::Compensate);
        if let Some(step) = self.steps.get_mut(path) {
            step.compensation.get_or_insert_with(|| Compensation::new(Pending::Operator)).pending = None;
        }
    }

    fn held(&mut self, path: &StepPath, direction: Direction, problem: &Problem, at: Time) {
        let step = self.steps.entry(path.clone()).or_insert_with(|| StepState::new(Pending::Operator));
        step.set_pending(direction, Pending::Operator);
        self.raise(Some(path.clone()), Some(direction), problem, at);
    }

    fn retried(&mut self, path: &StepPath, direction: Direction) {
        self.drop_incident(path, direction);
        if let Some(step) = self.steps.get_mut(path) {
            let attempts = step.attempts_mut(direction);
            (attempts.tried, attempts.no_route) = (0, None);
        }
    }

    fn late_reply(&mut self, path: &StepPath, output: &Arc<Value>) {
        self.late_replies += 1;
        let Some(step) = self.steps.get_mut(path) else { return };
        step.succeeded_late = true;
        if let StepOutcome::Unknown { late_output } = &mut step.outcome
            && step.compensation.is_none()
        {
            *late_output = Some(Arc::clone(output));
        }
    }

    fn raise(&mut self, step: Option<StepPath>, direction: Option<Direction>, problem: &Problem, at: Time) {
        self.incidents.push(Incident { step, direction, problem: problem.clone(), at });
    }

    fn drop_incident(&mut self, path: &StepPath, direction: Direction) {
        self.incidents
            .retain(|incident| incident.step.as_ref() != Some(path) || incident.direction != Some(direction));
    }
}
