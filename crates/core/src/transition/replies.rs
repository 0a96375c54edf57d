//! The meaning of a reply, and the consequences of a failed attempt.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Draft, Rejection};
use crate::definition::retry::Retry;
use crate::definition::{OnLateReply, OnTimeout, Step};
use crate::id::{Direction, StepPath};
use crate::input::{Attempt, Reply, ReplyResult};
use crate::journal::{Cause, Fact, Problem, ProblemCode, StopReason};
use crate::message;
use crate::state::{Pending, StepOutcome, StepState};

impl Draft<'_> {
    pub(super) fn reply(&mut self, Reply { attempt, result }: &Reply) -> Result<Cause, Rejection> {
        let Attempt { step: path, direction, number } = attempt;
        let invalid = self.invalid(path, *direction, result);
        let result = invalid.as_ref().unwrap_or(result);
        let step = self.state.step(path).ok_or(Rejection::Unexpected)?;
        let attempts = step.attempts(*direction);
        if *number == 0 || *number > attempts.last {
            return Err(Rejection::Unexpected);
        }
        let is_latest = *number == attempts.last;
        match (step.pending(*direction), result) {
            (_, ReplyResult::Success(output))
                if self.state.ended.is_some() && contradicts(step, *direction) =>
            {
                self.late(path, output);
            }
            _ if self.state.ended.is_some() => return Err(Rejection::Duplicate),
            (Some(_), ReplyResult::Success(output)) => self.reply_succeeded(path, *direction, output),
            (Some(Pending::Operator), ReplyResult::Failure(problem))
                if self.is_held_by(path, *direction, problem) =>
            {
                return Err(Rejection::Duplicate);
            }
            (Some(_), ReplyResult::Failure(problem)) if is_latest => self.refused(path, *direction, problem),
            (Some(Pending::Reply { .. }), ReplyResult::Error(problem)) if is_latest => {
                self.attempt_failed(path, *direction, problem);
            }
            (None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.late(path, output),
            _ => return Err(Rejection::Duplicate),
        }
        Ok(Cause::Reply {
            step: path.clone(),
            direction: *direction,
            attempt: *number,
            result: result.kind(),
        })
    }

    /// Whether this command is held because of this very problem.
    fn is_held_by(&self, path: &StepPath, direction: Direction, problem: &Problem) -> bool {
        self.state.incidents.iter().any(|incident| {
            incident.step.as_ref() == Some(path)
                && incident.direction == Some(direction)
                && incident.problem == *problem
        })
    }

    /// A success whose output is invalid counts as an error, as long as its step is awaited.
    fn invalid(&self, path: &StepPath, direction: Direction, result: &ReplyResult) -> Option<ReplyResult> {
        let ReplyResult::Success(output) = result else { return None };
        let schema = self.command_step(path)?.reply_schema.as_ref()?;
        let is_awaited = self.state.step(path)?.pending(Direction::Forward).is_some();
        let checked = (is_awaited && direction == Direction::Forward).then(|| schema.check(output))?;
        checked.err().map(ReplyResult::Error)
    }

    pub(super) fn succeeded(&mut self, path: &StepPath, direction: Direction, output: &Arc<Value>) {
        let step = path.clone();
        self.record(match direction {
            Direction::Forward => Fact::Completed { step, output: Arc::clone(output) },
            Direction::Compensate => Fact::Compensated { step },
        });
    }

    /// If an output exceeds the saga's budget, an operator decides, and it is not lost in the middle.
    fn reply_succeeded(&mut self, path: &StepPath, direction: Direction, output: &Arc<Value>) {
        match self.state.check_output(output) {
            Err(problem) if direction == Direction::Forward && self.state.stopping.is_none() => {
                self.hold(path, direction, problem);
            }
            _ => self.succeeded(path, direction, output),
        }
    }

    fn refused(&mut self, path: &StepPath, direction: Direction, problem: &Problem) {
        match direction {
            Direction::Forward => self.step_failed(path, problem.clone()),
            Direction::Compensate => self.hold(path, direction, problem.clone()),
        }
    }

    /// A step that did not happen: the saga continues without it, turns back, or can do neither.
    pub(super) fn step_failed(&mut self, path: &StepPath, problem: Problem) {
        let optional = self.definition.step(path).is_some_and(|step| step.optional);
        if !optional && self.state.is_past_pivot(self.definition) {
            return self.hold(path, Direction::Forward, problem);
        }
        self.record(Fact::Failed { step: path.clone(), problem: problem.clone() });
        if !optional {
            self.stop(StopReason::StepFailed, problem);
        }
    }

    /// A failed attempt: begins the next one, or ends the command.
    pub(super) fn attempt_failed(&mut self, path: &StepPath, direction: Direction, problem: &Problem) {
        let Some(state) = self.state.step(path) else { return };
        let attempts = state.attempts(direction);
        let Some((step, command)) = self.command(path, direction) else { return };
        let is_timeout = problem.is(ProblemCode::Timeout);
        let on_timeout = self.command_step(path).map(|step| step.on_timeout).unwrap_or_default();
        let gives_up = is_timeout && direction == Direction::Forward && on_timeout == OnTimeout::Unknown;
        let is_stopping =
            direction == Direction::Forward && self.state.stopping.is_some() && !step.is_pivot();
        if command.retry.allows_another(attempts.tried) && !gives_up && !is_stopping {
            let seed = message::idempotency_key(self.state.id, path, direction);
            let at = self.now().after(command.retry.delay(attempts.tried, seed));
            self.record(Fact::RetryScheduled { step: path.clone(), direction, at, problem: problem.clone() });
        } else {
            self.attempts_used_up(path, direction, problem.clone());
        }
    }

    pub(super) fn attempts_used_up(&mut self, path: &StepPath, direction: Direction, problem: Problem) {
        let Some((step, _)) = self.command(path, direction) else { return };
        let is_stopping = self.state.stopping.is_some() && !step.is_pivot();
        let on_timeout = self.command_step(path).map(|step| step.on_timeout).unwrap_or_default();
        let must_succeed = step.is_pivot() || self.state.is_past_pivot(self.definition);
        let holds = match direction {
            Direction::Compensate => true,
            Direction::Forward if is_stopping => false,
            Direction::Forward if problem.is(ProblemCode::Unroutable) || on_timeout == OnTimeout::Hold => {
                true
            }
            Direction::Forward => must_succeed && !step.optional,
        };
        if holds {
            self.hold(path, direction, problem);
        } else {
            let optional = step.optional;
            self.give_up(path, problem.clone());
            if !optional {
                self.stop(StopReason::StepFailed, problem);
            }
        }
    }

    /// Ends a forward command without a reply. Also if the broker returned it: another copy of it, sent before a crash, may
    /// have arrived.
    pub(super) fn give_up(&mut self, path: &StepPath, problem: Problem) {
        self.record(Fact::Unknown { step: path.clone(), problem });
    }

    pub(super) fn hold(&mut self, path: &StepPath, direction: Direction, problem: Problem) {
        self.record(Fact::Held { step: path.clone(), direction, problem });
    }

    fn late(&mut self, path: &StepPath, output: &Arc<Value>) {
        self.record(Fact::LateReply { step: path.clone(), output: Arc::clone(output) });
        if self.definition.on_late_reply == OnLateReply::Stuck {
            let problem = Problem::new(
                ProblemCode::LateReply,
                format!("`{path}` succeeded after it had been given up"),
            );
            self.record(Fact::IncidentRaised { step: Some(path.clone()), problem });
        }
    }

    pub(super) fn unroutable(&mut self, attempt: &Attempt) -> Result<Cause, Rejection> {
        let Attempt { step: path, direction, number } = attempt;
        let step = self.state.step(path).ok_or(Rejection::Unexpected)?;
        let is_latest = step.attempts(*direction).last == *number;
        if !is_latest || !matches!(step.pending(*direction), Some(Pending::Reply { .. })) {
            return Err(Rejection::Duplicate);
        }
        let Some((_, command)) = self.command(path, *direction) else { return Err(Rejection::Unexpected) };
        let no_route = step.attempts(*direction).no_route;
        let since = no_route.map_or(self.now(), |no_route| no_route.since);
        let message = format!("no queue is bound to exchange `{}` for `{}`", command.exchange, command.name);
        let problem = Problem::new(ProblemCode::Unroutable, message);
        if self.now().since(since) < command.unroutable_timeout {
            self.wait_for_route(
                path,
                *direction,
                no_route.map_or(1, |no_route| no_route.returns + 1),
                problem,
            );
        } else {
            self.attempts_used_up(path, *direction, problem);
        }
        Ok(Cause::Unroutable { step: path.clone(), direction: *direction, attempt: *number })
    }

    /// A missing queue is no failure: the command waits, and uses no attempt. A saga that turns back does not wait.
    fn wait_for_route(&mut self, path: &StepPath, direction: Direction, returns: u32, problem: Problem) {
        let is_pivot = self.definition.step(path).is_some_and(Step::is_pivot);
        if direction == Direction::Forward && self.state.stopping.is_some() && !is_pivot {
            return self.give_up(path, problem);
        }
        let seed = message::idempotency_key(self.state.id, path, direction);
        let at = self.now().after(ROUTE_RETRY.delay(returns, seed));
        self.record(Fact::WaitingForRoute { step: path.clone(), direction, returns, at, problem });
    }

    /// The attempt waits for the timeout of its command from here on. A command that is not awaited must not be sent any more:
    /// in a saga that turns back, only those go forward that must succeed.
    pub(super) fn start_clock(&mut self, attempt: &Attempt) -> Result<Cause, Rejection> {
        let Attempt { step: path, direction, number } = attempt;
        let (step, command) = self.command(path, *direction).ok_or(Rejection::NotAwaited)?;
        let state = self.state.step(path).ok_or(Rejection::NotAwaited)?;
        let is_awaited = state.attempts(*direction).last == *number
            && matches!(state.pending(*direction), Some(Pending::Reply { .. }));
        let turns_back =
            *direction == Direction::Forward && self.state.stopping.is_some() && !step.is_pivot();
        match () {
            () if self.state.ended.is_some() => Err(Rejection::Ended),
            () if !is_awaited || turns_back => Err(Rejection::NotAwaited),
            () if self.state.paused.is_some() => Err(Rejection::Paused),
            () => {
                let deadline = self.now().after(command.timeout);
                let (step, direction, attempt) = (path.clone(), *direction, *number);
                self.record(Fact::ClockStarted { step: step.clone(), direction, attempt, deadline });
                Ok(Cause::ClockStarted { step, direction, attempt })
            }
        }
    }
}

/// The wait before a command without a queue is sent again.
const ROUTE_RETRY: Retry =
    Retry { attempts: u32::MAX, first: Duration::from_millis(200), most: Duration::from_secs(15) };

/// Whether a success of a command that is not awaited is more than the repetition of one that was accepted or journaled as
/// late.
fn contradicts(step: &StepState, direction: Direction) -> bool {
    direction == Direction::Forward
        && !step.succeeded_late
        && match &step.outcome {
            StepOutcome::Failed(_) => true,
            StepOutcome::Unknown { late_output } => late_output.is_none(),
            // An abandoned saga no longer waits for anything.
            StepOutcome::Pending(_) => true,
            StepOutcome::Completed(_) | StepOutcome::Skipped => false,
        }
}
