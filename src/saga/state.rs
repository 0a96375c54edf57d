//! The state of a saga: the fold of its journal.
//!
//! There is no program counter. The state holds what became of each step; what may start next and what must be
//! undone next is derived from that by [`walk`](super::walk).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub use super::status::Status;
pub use super::step_state::{Attempts, NoRoute, Outcome, Pending, StepState, Undo};

use super::definition::{Definition, Step};
use super::id::{Direction, SagaId, StepPath, Time};
use super::journal::{AnswerTo, Arrival, Carried, Entry, Fact, Problem, Started, StopReason};
use super::limits::output_bytes;

/// All that is known of one saga.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub id: SagaId,
    /// How many entries its journal has. 0: it was never started.
    pub seq: u32,
    /// What it took over from another saga is in its steps, and not here once more.
    pub started: Option<Arc<Started>>,
    pub started_at: Time,
    /// Where the outcome is to be sent, in addition to the address that the saga was started with.
    pub outcome_requests: Vec<AnswerTo>,
    /// The version of its definition, if it is not the one that it was started in.
    pub migrated: Option<u32>,
    /// When its own timeout passes.
    pub deadline: Option<Time>,
    /// Since when no time passes for it.
    pub paused: Option<Time>,
    pub steps: BTreeMap<StepPath, StepState>,
    /// The choices that were made and the lists that are gone through.
    pub entered: BTreeMap<StepPath, Entered>,
    /// The signals and events that came, in this order.
    pub arrivals: Vec<Kept>,
    /// Why no new step starts any more, if so.
    pub stopping: Option<Stop>,
    pub rolling_back: bool,
    /// The attempt in which the saga that this one is part of wants it undone.
    pub undo_asked: Option<u32>,
    pub incidents: Vec<Incident>,
    /// What was begun on the way forward: commands (further attempts not counted), events, waits, children.
    pub executions: u32,
    /// The bytes of all outputs, as [`limits::output_bytes`](super::limits::output_bytes) counts them.
    pub output_bytes: usize,
    /// How often an operator granted the saga its limits once more.
    pub limits_raised: u32,
    pub late_replies: u32,
    /// Whether the saga's own timeout has passed and was taken note of.
    pub overdue: bool,
    /// When the store will wake it.
    pub wake: Option<Time>,
    pub ended: Option<End>,
    /// The id as expressions see it.
    pub(super) id_text: Arc<str>,
}

/// What a block of others has decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Entered {
    /// The branch of a choice; there may be none of this index.
    Branch(u32),
    /// The items of a `for_each`.
    Items(Arc<Vec<Value>>),
}

/// An arrival, and whether a step took it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub arrival: Arc<Arrival>,
    pub taken: bool,
}

/// Why a saga stops going forward.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub reason: StopReason,
    pub problem: Problem,
}

/// Why a saga waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    pub step: Option<StepPath>,
    pub direction: Option<Direction>,
    pub problem: Problem,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub status: Status,
    pub output: Option<Arc<Value>>,
    pub at: Time,
}

impl State {
    /// A saga that nothing is known of.
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
            undo_asked: None,
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

    /// Whether a pivot succeeded: from then on there is no way back. A pivot is unknown only if an operator said so,
    /// and may have succeeded.
    pub fn is_past_pivot(&self, definition: &Definition) -> bool {
        self.any_pivot(definition, |outcome| {
            matches!(outcome, Outcome::Completed(_) | Outcome::Unknown { .. })
        })
    }

    fn any_pivot(&self, definition: &Definition, has: impl Fn(&Outcome) -> bool) -> bool {
        self.steps
            .iter()
            .any(|(path, step)| has(&step.outcome) && definition.step(path).is_some_and(Step::is_pivot))
    }

    /// When something becomes due by itself, if anything does.
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

    /// Takes in one fact of an entry written at `at`. The only place where a state changes.
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
                self.output_bytes += output_bytes(output);
                self.conclude(step, Outcome::Completed(Arc::clone(output)));
            }
            Fact::Failed { step, problem } => self.conclude(step, Outcome::Failed(problem.clone())),
            Fact::Unknown { step, .. } => self.conclude(step, Outcome::Unknown { late_output: None }),
            Fact::Undone { step } => self.undone(step),
            Fact::Omitted { step } => self.conclude(step, Outcome::Omitted),
            Fact::Chosen { step, branch } => self.enter(step, Entered::Branch(*branch)),
            Fact::FannedOut { step, items } => self.enter(step, Entered::Items(Arc::clone(items))),
            Fact::Waiting { step, deadline } => self.begun(step, Pending::Arrival { deadline: *deadline }),
            Fact::Sleeping { step, until } => self.begun(step, Pending::Sleep { until: *until }),
            Fact::Published { step } => {
                self.executions += 1;
                self.conclude(step, Outcome::Completed(Arc::default()));
            }
            Fact::ChildSent { step, direction, attempt } => {
                self.sent(step, *direction, *attempt, Pending::Child);
            }
            Fact::Arrived(arrival) => {
                self.arrivals.push(Kept { arrival: Arc::clone(arrival), taken: false });
            }
            Fact::Taken { arrival, .. } => self.taken(*arrival as usize),
            Fact::UndoAsked { attempt } => {
                self.undo_asked = Some(*attempt);
                self.ended = None;
            }
            Fact::Skipped { step, direction: Direction::Forward } => self.skipped(step),
            Fact::Skipped { step, direction: Direction::Compensate } => self.undone(step),
            Fact::Held { step, direction, problem } => self.held(step, *direction, problem, at),
            Fact::LimitsRaised => self.limits_raised += 1,
            Fact::Retried { step, direction } => self.retried(step, *direction),
            Fact::Stopping { reason, problem } => {
                self.stopping = Some(Stop { reason: *reason, problem: problem.clone() });
            }
            Fact::StopDropped => self.stopping = None,
            Fact::RollbackBegan => self.rolling_back = true,
            Fact::LateReply { step, output } => self.late_reply(step, output),
            Fact::Overdue => self.overdue = true,
            Fact::IncidentRaised { step, problem } => self.raise(step.clone(), None, problem, at),
            Fact::IncidentPassed { step } => {
                self.incidents.retain(|incident| incident.direction.is_some() || incident.step != *step);
            }
            Fact::Paused => self.paused = Some(at),
            Fact::Resumed { held_millis } => self.resume(Duration::from_millis(*held_millis)),
            Fact::Migrated { version } => self.migrated = Some(*version),
            Fact::WakeSet { at } => self.wake = *at,
            Fact::Ended { status, output } => {
                self.ended = Some(End { status: *status, output: output.clone(), at });
                self.wake = None;
                self.paused = None;
            }
        }
    }

    fn start(&mut self, started: &Started, at: Time) {
        let taken_over = started.carried.as_ref().map(|carried| Carried {
            saga: carried.saga,
            from: carried.from.clone(),
            facts: Vec::new(),
        });
        self.started_at = at;
        self.deadline = started.deadline;
        self.started = Some(Arc::new(Started { carried: taken_over, ..started.clone() }));
        for fact in started.carried.iter().flat_map(|carried| &carried.facts) {
            self.apply(fact, at);
        }
    }

    /// What was due is due later, as if the time of the pause had not passed.
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
                step.outcome = Outcome::Pending(pending);
                step.forward.sent(attempt);
            }
            Direction::Compensate => {
                if let Some(step) = self.steps.get_mut(path) {
                    let undo = step.undo.get_or_insert_with(|| Undo::new(pending));
                    undo.pending = Some(pending);
                    undo.attempts.sent(attempt);
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

    /// From now on its parts count. What stood there, if an operator was asked, does no more.
    fn enter(&mut self, path: &StepPath, entered: Entered) {
        self.steps.remove(path);
        self.entered.insert(path.clone(), entered);
    }

    fn retry_scheduled(&mut self, path: &StepPath, direction: Direction, until: Time) {
        if let Some(step) = self.steps.get_mut(path) {
            step.set_pending(direction, Pending::Backoff { until });
            step.attempts_mut(direction).no_route = None;
        }
    }

    fn conclude(&mut self, path: &StepPath, outcome: Outcome) {
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

    fn skipped(&mut self, path: &StepPath) {
        self.conclude(path, Outcome::Unknown { late_output: None });
        if let Some(step) = self.steps.get_mut(path) {
            step.passed_over = true;
        }
    }

    fn undone(&mut self, path: &StepPath) {
        self.drop_incident(path, Direction::Compensate);
        if let Some(step) = self.steps.get_mut(path) {
            step.undo.get_or_insert_with(|| Undo::new(Pending::Operator)).pending = None;
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
        if let Outcome::Unknown { late_output } = &mut step.outcome
            && step.undo.is_none()
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
