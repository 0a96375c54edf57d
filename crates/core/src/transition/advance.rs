//! The consequences of an input: walks forward or back until everything that can be sent was sent.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Draft;
use super::begin::{bounded_json, render};
use crate::definition::{Action, CommandAction, Step};
use crate::expression::variables::Variables;
use crate::id::{Direction, StepPath, Time};
use crate::journal::{Fact, Problem, ProblemCode, StopReason};
use crate::message::{self, Message};
use crate::state::{Pending, Status, StepOutcome};
use crate::walk::{self, Next};

impl Draft<'_> {
    /// Walks until everything that can be sent was sent. Inputs of a pause take effect when it is over.
    pub(super) fn advance(&mut self) {
        while self.state.ended.is_none() && self.state.paused.is_none() {
            let going = match (self.state.rolling_back, self.state.stopping.is_some()) {
                (true, _) => self.go_back(),
                (false, true) => self.come_to_a_stop(),
                (false, false) => self.go_forward(),
            };
            if !going {
                break;
            }
        }
    }

    fn go_forward(&mut self) -> bool {
        match walk::forward(self.definition, self.state) {
            Next::Begin(steps) => {
                for path in &steps {
                    self.begin(path);
                    if self.state.stopping.is_some() {
                        break;
                    }
                }
                true
            }
            Next::Wait => false,
            Next::Done => {
                self.complete();
                false
            }
        }
    }

    fn go_back(&mut self) -> bool {
        match walk::backward(self.definition, self.state) {
            Next::Begin(steps) => steps.iter().for_each(|path| self.compensate(path)),
            Next::Done if self.state.incidents.is_empty() => self.end(Status::Compensated, None),
            Next::Wait | Next::Done => return false,
        }
        true
    }

    /// Once nothing is in flight, the compensation of an optional step included, the saga turns back, unless its pivot
    /// succeeded meanwhile. Incidents of the forward direction then hold up nothing else.
    fn come_to_a_stop(&mut self) -> bool {
        let is_past_pivot = self.state.is_past_pivot(self.definition);
        let (idle, in_flight): (Vec<_>, Vec<_>) = self
            .pending()
            .into_iter()
            .filter(|(_, direction, pending)| match direction {
                Direction::Forward => !(is_past_pivot && *pending == Pending::Operator),
                Direction::Compensate => *pending != Pending::Operator,
            })
            .partition(|(_, _, pending)| {
                matches!(pending, Pending::ReceivedEvent { .. } | Pending::Sleep { .. })
            });
        if !in_flight.is_empty() {
            return false;
        }
        if is_past_pivot {
            self.drop_stop();
            return true;
        }
        for (step, ..) in idle {
            let problem = Problem::new(ProblemCode::Cancelled, "the saga stopped meanwhile");
            self.record(Fact::Failed { step, problem });
        }
        self.record(Fact::RollbackBegan);
        true
    }

    /// The saga cannot roll back any more: what it would have gone without must succeed after all.
    fn drop_stop(&mut self) {
        self.record(Fact::RollbackRevoked);
        for (path, outcome) in self.missing() {
            match outcome {
                StepOutcome::Failed(problem) => self.hold(&path, Direction::Forward, problem),
                _ => {
                    self.record(Fact::Retried { step: path.clone(), direction: Direction::Forward });
                    self.try_again(&path, Direction::Forward);
                }
            }
        }
        self.take_arrivals();
    }

    /// The steps without success that are not optional.
    fn missing(&self) -> Vec<(StepPath, StepOutcome)> {
        let steps = self.state.steps.iter().filter(|(path, state)| {
            matches!(state.outcome, StepOutcome::Failed(_) | StepOutcome::Unknown { .. })
                && !state.skipped_by_operator
                && !self.definition.step(path).is_none_or(Step::may_miss)
        });
        steps.map(|(path, state)| (path.clone(), state.outcome.clone())).collect()
    }

    /// Begins again what was held or given up.
    pub(super) fn try_again(&mut self, path: &StepPath, direction: Direction) {
        match (direction, self.definition.step(path).map(|step| &step.action)) {
            (_, Some(Action::Command(_))) => self.send(path, direction),
            (Direction::Forward, _) => self.begin(path),
            (Direction::Compensate, _) => self.compensate(path),
        }
    }

    /// Sends the next attempt of a command.
    pub(super) fn send(&mut self, path: &StepPath, direction: Direction) {
        let Some((step, command)) = self.command(path, direction) else { return };
        let attempt = self.next_attempt(path, direction);
        let deadline = self.now().after(command.timeout);
        let is_allowed = match direction {
            Direction::Forward if attempt == 1 => self.state.check_executions(),
            _ => Ok(()),
        };
        let payload = is_allowed.and_then(|()| self.payload(path, direction, command));
        match payload {
            Ok(payload) => {
                let message = self.command_message(path, direction, attempt, deadline, command, payload);
                self.messages.push(Message::Command(message));
                self.record(Fact::Sent { step: path.clone(), direction, attempt, deadline });
            }
            Err(problem) if attempt == 1 && direction == Direction::Forward && !step.is_pivot() => {
                self.step_failed(path, problem);
            }
            Err(problem) if attempt == 1 && direction == Direction::Forward => {
                self.record(Fact::Failed { step: path.clone(), problem: problem.clone() });
                self.stop(StopReason::StepFailed, problem);
            }
            Err(problem) if direction == Direction::Forward => {
                self.attempts_used_up(path, direction, problem);
            }
            Err(problem) => self.hold(path, direction, problem),
        }
    }

    /// A command that was returned because no queue is bound is sent again as the same attempt.
    fn next_attempt(&self, path: &StepPath, direction: Direction) -> u32 {
        let step = self.state.step(path);
        let came_back =
            step.is_some_and(|step| matches!(step.pending(direction), Some(Pending::Route { .. })));
        self.last_attempt(path, direction) + u32::from(!came_back)
    }

    pub(super) fn payload(
        &self,
        path: &StepPath,
        direction: Direction,
        command: &CommandAction,
    ) -> Result<Box<RawValue>, Problem> {
        let undoing = (direction == Direction::Compensate).then_some(path);
        let scope = Variables { undoing, ..self.seen_from(path) };
        bounded_json(&render(&command.payload, &scope)?)
    }

    pub(super) fn command_message(
        &self,
        path: &StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
        command: &CommandAction,
        payload: Box<RawValue>,
    ) -> message::Command {
        message::Command {
            saga: self.state.id,
            definition: Arc::clone(&self.definition.name),
            step: path.clone(),
            direction,
            attempt,
            exchange: Arc::clone(&command.exchange),
            name: Arc::clone(&command.name),
            deadline,
            trace_id: self.trace_id(),
            sent_at: self.at,
            payload,
        }
    }
}
