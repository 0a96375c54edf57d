//! The one place that decides: the meaning of an input for a saga in its state, and its consequences.
//!
//! [`transition`] takes a definition, a state, an input and the time. Either the input gets a [`Rejection`], and nothing
//! changes, or it leads to a [`Decision`]: the journal entry to append, the state after it, and the messages to send once the
//! entry is stored. Deciding has two halves: the meaning of the input (here, in `replies`, `arrivals` and `operator`), and its
//! consequences (in `advance`, `begin` and `ending`), by walking the definition forward or back until nothing more can be sent.

mod advance;
mod arrivals;
mod begin;
mod ending;
mod messages;
mod operator;
mod replies;
mod steering;

pub use ending::outcome_for;
pub use messages::messages_of;

use std::sync::Arc;

use super::definition::{Action, CommandAction, CommandStep, Definition, OnWaitTimeout, Step};
use super::id::{Direction, StepPath, Time};
use super::input::{Attempt, Input};
use super::journal::{Cause, Entry, Fact, Problem, ProblemCode, Started, StopReason};
use super::limits::{MAX_BUFFERED_EVENTS, MAX_LIMITS_RAISED, MAX_OUTCOME_REQUESTS};
use super::message::Message;
use super::migration::Obstacle;
use super::state::{Pending, State, StepState};

/// The consequences of an accepted input. All of it is stored together, then the messages are sent.
#[derive(Debug)]
pub struct Decision {
    pub entry: Entry,
    /// After the entry.
    pub state: State,
    pub messages: Vec<Message>,
}

/// A decision without the state that it leads to.
#[derive(Debug)]
pub struct Consequences {
    pub entry: Entry,
    pub messages: Vec<Message>,
}

/// Why an input changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the saga was already started")]
    AlreadyStarted { same_input: bool, same_parent: bool },
    #[error("there is no such saga")]
    UnknownSaga,
    #[error("it was accepted already, or a later one decides")]
    Duplicate,
    #[error("no such command was sent")]
    Unexpected,
    #[error("nothing is due yet")]
    NotDue,
    #[error("what is due waits for the broker to take its command")]
    Unsent,
    #[error("the limits of the saga have been raised {MAX_LIMITS_RAISED} times already")]
    LimitsRaised,
    #[error("the journal has reached its limit: an operator can raise the limits of the saga")]
    JournalFull,
    #[error("the saga has ended")]
    Ended,
    #[error("the pivot has succeeded: there is no way back")]
    PastPivot,
    #[error("it is unknown whether the pivot succeeded: resolve it first")]
    PivotUnknown,
    #[error("the saga is already being rolled back")]
    AlreadyRollingBack,
    #[error("the saga is not stuck")]
    NotStuck,
    #[error("no incident of this saga is about that")]
    NoSuchIncident,
    #[error("no step of this saga waits for that")]
    NotAwaited,
    #[error("{MAX_BUFFERED_EVENTS} signals and events are buffered already")]
    TooManyEvents,
    #[error("the outcome is sent to {MAX_OUTCOME_REQUESTS} addresses already, besides that of the start")]
    TooManyOutcomeRequests,
    #[error("the saga is not part of another")]
    NotAChild,
    #[error("the saga has been rolled back already")]
    AlreadyCompensated,
    #[error("a compensation cannot be resolved as not done: skip it instead")]
    CompensationMustSucceed,
    #[error("the saga is paused: resume it first")]
    Paused,
    #[error("the saga is not paused")]
    NotPaused,
    #[error("the saga is paused already")]
    AlreadyPaused,
    #[error("the saga cannot continue with that version: {}", format_obstacles(.0))]
    NotSafe(Vec<Obstacle>),
    #[error("the saga has that version")]
    SameVersion,
}

impl Rejection {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyStarted { .. } => "already_started",
            Self::UnknownSaga => "unknown_saga",
            Self::Duplicate => "duplicate",
            Self::Unexpected => "unexpected",
            Self::NotDue => "not_due",
            Self::Unsent => "unsent",
            Self::LimitsRaised => "limits_raised",
            Self::JournalFull => "journal_full",
            Self::Ended => "ended",
            Self::PastPivot => "past_pivot",
            Self::PivotUnknown => "pivot_unknown",
            Self::AlreadyRollingBack => "already_rolling_back",
            Self::NotStuck => "not_stuck",
            Self::NoSuchIncident => "no_such_incident",
            Self::NotAwaited => "not_awaited",
            Self::TooManyEvents => "too_many_events",
            Self::TooManyOutcomeRequests => "too_many_outcome_requests",
            Self::NotAChild => "not_a_child",
            Self::AlreadyCompensated => "already_compensated",
            Self::CompensationMustSucceed => "compensation_must_succeed",
            Self::Paused => "paused",
            Self::NotPaused => "not_paused",
            Self::AlreadyPaused => "already_paused",
            Self::NotSafe(_) => "migration_blocked",
            Self::SameVersion => "same_version",
        }
    }
}

fn format_obstacles(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(|obstacle| obstacle.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Decides the consequences of `input` for the saga in `state`, at time `now`.
pub fn transition(
    definition: &Definition,
    state: &State,
    input: &Input,
    now: Time,
) -> Result<Decision, Rejection> {
    let mut state = state.clone();
    let Consequences { entry, messages } = advance_state(definition, &mut state, input, now)?;
    Ok(Decision { entry, state, messages })
}

/// The same, and `state` becomes the state after it. A rejection leaves it as it was.
pub fn advance_state(
    definition: &Definition,
    state: &mut State,
    input: &Input,
    now: Time,
) -> Result<Consequences, Rejection> {
    let before = state.status();
    let mut draft = Draft { definition, at: now, state, facts: Vec::new(), messages: Vec::new() };
    let taken_in = draft.take_in(input);
    debug_assert!(taken_in.is_ok() || draft.facts.is_empty(), "a rejected input changes nothing");
    let cause = taken_in?;
    draft.advance();
    draft.check_journal();
    draft.emit_lifecycle_events(before);
    Ok(draft.into_consequences(cause))
}

/// A decision in the making. Every fact is applied to the state as soon as it is recorded.
struct Draft<'a> {
    definition: &'a Definition,
    /// When the decision is made.
    at: Time,
    state: &'a mut State,
    facts: Vec<Fact>,
    messages: Vec<Message>,
}

/// The meaning of an input.
impl<'a> Draft<'a> {
    fn take_in(&mut self, input: &'a Input) -> Result<Cause, Rejection> {
        match (input, self.state.seq) {
            (Input::Start(started), 0) => return Ok(self.start(started)),
            (Input::Start(started), _) => return Err(self.already_started(started)),
            (_, 0) => return Err(Rejection::UnknownSaga),
            (Input::Intervene { .. } | Input::Pause(_) | Input::Resume(_) | Input::Migrate(_), _) => {}
            (_, seq) if seq >= self.state.max_journal_entries() => return Err(Rejection::JournalFull),
            _ => {}
        }
        match input {
            Input::Start(started) => Err(self.already_started(started)),
            Input::OutcomeRequest(to) => self.outcome_requested(to),
            Input::Reply(reply) => self.reply(reply),
            Input::Unroutable(attempt) => self.unroutable(attempt),
            Input::StartClock(attempt) => self.start_clock(attempt),
            Input::Wake { unsent } => self.wake(unsent),
            Input::Event(arrival) => self.arrival(arrival),
            Input::Cancel(by) => self.cancel(by),
            Input::Compensate { attempt } => self.compensate_with_parent(*attempt),
            Input::Intervene { action, by } => self.intervene(action, by),
            Input::Pause(by) => self.pause(by),
            Input::Resume(by) => self.resume(by),
            Input::Migrate(migrate) => self.migrate(migrate),
        }
    }

    fn start(&mut self, started: &Started) -> Cause {
        let mut started = started.clone();
        started.deadline = self.definition.timeout.map(|timeout| self.now().after(timeout));
        self.record(Fact::Started(Box::new(started)));
        Cause::Start
    }

    fn already_started(&self, again: &Started) -> Rejection {
        let first = self.state.started.as_ref();
        Rejection::AlreadyStarted {
            same_input: first.is_some_and(|first| first.input == again.input),
            same_parent: first.is_some_and(|first| first.parent == again.parent),
        }
    }

    /// A command that the broker has not confirmed cannot time out: its attempt has not begun.
    fn wake(&mut self, unsent: &[Attempt]) -> Result<Cause, Rejection> {
        if self.state.ended.is_some() || self.state.wake.is_none_or(|at| at > self.now()) {
            return Err(Rejection::NotDue);
        }
        let is_unsent = |step: &StepPath, direction, number| {
            unsent.iter().any(|one| (&one.step, one.direction, one.number) == (step, direction, number))
        };
        let mut put_off = false;
        if self.state.overdue_at().is_some_and(|at| at <= self.now()) {
            self.saga_timed_out();
        }
        for (path, direction, _) in self.pending() {
            let Some(pending) = self.state.step(&path).and_then(|step| step.pending(direction)) else {
                continue;
            };
            match pending {
                Pending::Reply { deadline } if deadline <= self.now() => {
                    if is_unsent(&path, direction, self.last_attempt(&path, direction)) {
                        put_off = true;
                        continue;
                    }
                    self.attempt_failed(
                        &path,
                        direction,
                        &Problem::new(ProblemCode::Timeout, "no reply by the deadline"),
                    );
                }
                Pending::Retry { until } | Pending::Route { until } if until <= self.now() => {
                    self.send(&path, direction);
                }
                _ if self.state.stopping.is_some() => {}
                Pending::ReceivedEvent { deadline } if deadline <= self.now() => self.nothing_arrived(&path),
                Pending::Sleep { until } if until <= self.now() => {
                    self.succeeded(&path, direction, &Arc::default());
                }
                _ => {}
            }
        }
        if put_off && self.facts.is_empty() {
            return Err(Rejection::Unsent);
        }
        Ok(Cause::TimerFired)
    }

    fn nothing_arrived(&mut self, path: &StepPath) {
        let Some(Action::Wait(wait)) = self.definition.step(path).map(|step| &step.action) else { return };
        let problem = Problem::new(ProblemCode::Timeout, "what the step waits for did not come");
        match wait.on_timeout {
            OnWaitTimeout::Fail => self.step_failed(path, problem),
            OnWaitTimeout::Continue => self.record(Fact::Failed { step: path.clone(), problem }),
            OnWaitTimeout::Hold => self.hold(path, Direction::Forward, problem),
        }
    }

    /// Before the pivot a timeout is a cancel; where the saga cannot roll back, or an operator was asked, it only alerts.
    fn saga_timed_out(&mut self) {
        self.record(Fact::Overdue);
        let is_stuck = !self.state.incidents.is_empty();
        if !is_stuck && !self.state.is_past_pivot(self.definition) {
            self.stop(
                StopReason::TimedOut,
                Problem::new(ProblemCode::SagaTimeout, "the saga took longer than its timeout"),
            );
        }
    }
}

/// The end of every decision.
impl Draft<'_> {
    fn check_journal(&mut self) {
        let most = self.state.max_journal_entries();
        let is_last_entry = self.state.seq + 1 >= most;
        let is_full =
            self.state.incidents.iter().any(|incident| incident.problem.is(ProblemCode::JournalLimit));
        if is_last_entry && !is_full && self.state.ended.is_none() {
            let problem = Problem::new(ProblemCode::JournalLimit, format!("{most} journal entries"));
            self.record(Fact::IncidentRaised { step: None, problem });
        }
    }

    fn into_consequences(mut self, cause: Cause) -> Consequences {
        self.set_timer();
        self.state.seq += 1;
        let entry = Entry { at: self.at, cause, facts: self.facts };
        Consequences { entry, messages: self.messages }
    }

    /// Sets the timer only if it would fire too late: a timer finds out what is due, so one that fires early enough serves
    /// every step after it.
    fn set_timer(&mut self) {
        if self.state.ended.is_some() {
            return;
        }
        let due = self.state.next_due();
        let is_early = |set: Time| set > self.at && due.is_none_or(|due| set <= due);
        let serves = match self.state.wake {
            Some(set) => self.state.paused.is_none() && is_early(set),
            None => due.is_none(),
        };
        if !serves {
            self.record(Fact::TimerSet { at: due });
        }
    }
}

/// Functions of both halves.
impl<'a> Draft<'a> {
    fn record(&mut self, fact: Fact) {
        self.state.apply(&fact, self.at);
        self.facts.push(fact);
    }

    /// The saga's time: it stands still while the saga is paused.
    fn now(&self) -> Time {
        self.state.paused.unwrap_or(self.at)
    }

    fn command(&self, path: &StepPath, direction: Direction) -> Option<(&'a Step, &'a CommandAction)> {
        let step = self.definition.step(path)?;
        Some((step, step.command(direction)?))
    }

    fn command_step(&self, path: &StepPath) -> Option<&'a CommandStep> {
        match &self.definition.step(path)?.action {
            Action::Command(step) => Some(step),
            _ => None,
        }
    }

    /// All commands and waits without an outcome.
    fn pending(&self) -> Vec<(StepPath, Direction, Pending)> {
        let both = [Direction::Forward, Direction::Compensate];
        let of_step = |(path, step): (&StepPath, &StepState)| {
            both.map(|direction| step.pending(direction).map(|pending| (path.clone(), direction, pending)))
        };
        self.state.steps.iter().flat_map(of_step).flatten().collect()
    }
}
