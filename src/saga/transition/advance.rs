//! What follows: walking forward or back until everything that can be sent was sent.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Draft;
use super::begin::{bounded_json, render};
use crate::saga::definition::{Action, Command, Step};
use crate::saga::id::{Direction, StepPath, Time};
use crate::saga::journal::{Fact, Problem, Reason, StopReason};
use crate::saga::message::{self, Message};
use crate::saga::state::{Outcome, Pending, Status};
use crate::saga::variables::Variables;
use crate::saga::walk::{self, Next};

impl Draft<'_> {
    /// Walks on until everything that can be sent was sent. What came in during a pause is gone on from when it is over.
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
        match walk::forward(self.definition, &self.state) {
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
        match walk::backward(self.definition, &self.state) {
            Next::Begin(steps) => steps.iter().for_each(|path| self.undo(path)),
            Next::Done if self.state.incidents.is_empty() => self.end(Status::Compensated, None),
            Next::Wait | Next::Done => return false,
        }
        true
    }

    /// Once nothing is in flight any more, the undo of an optional step included, the saga turns back, unless its pivot
    /// succeeded meanwhile. Then what an operator was asked about holds up nothing else.
    fn come_to_a_stop(&mut self) -> bool {
        let is_past_pivot = self.state.is_past_pivot(self.definition);
        let (idle, in_flight): (Vec<_>, Vec<_>) = self
            .pending()
            .into_iter()
            .filter(|(_, direction, pending)| match direction {
                Direction::Forward => !(is_past_pivot && *pending == Pending::Operator),
                Direction::Compensate => *pending != Pending::Operator,
            })
            .partition(|(_, _, pending)| matches!(pending, Pending::Arrival { .. } | Pending::Sleep { .. }));
        if !in_flight.is_empty() {
            return false;
        }
        if is_past_pivot {
            self.drop_stop();
            return true;
        }
        for (step, ..) in idle {
            let problem = Problem::new(Reason::Cancelled, "the saga stopped meanwhile");
            self.record(Fact::Failed { step, problem });
        }
        self.record(Fact::RollbackBegan);
        true
    }

    /// There is no way back any more: what the saga would have gone without must succeed after all.
    fn drop_stop(&mut self) {
        self.record(Fact::StopDropped);
        for (path, outcome) in self.missing() {
            match outcome {
                Outcome::Failed(problem) => self.hold(&path, Direction::Forward, problem),
                _ => {
                    self.record(Fact::Retried { step: path.clone(), direction: Direction::Forward });
                    self.try_again(&path, Direction::Forward);
                }
            }
        }
        self.take_arrivals();
    }

    /// The steps without success that a saga may not go on without.
    fn missing(&self) -> Vec<(StepPath, Outcome)> {
        let steps = self.state.steps.iter().filter(|(path, state)| {
            matches!(state.outcome, Outcome::Failed(_) | Outcome::Unknown { .. })
                && !state.passed_over
                && !self.definition.step(path).is_none_or(Step::may_miss)
        });
        steps.map(|(path, state)| (path.clone(), state.outcome.clone())).collect()
    }

    /// Begins anew what was held or given up.
    pub(super) fn try_again(&mut self, path: &StepPath, direction: Direction) {
        match (direction, self.definition.step(path).map(|step| &step.action)) {
            (_, Some(Action::Command(_))) => self.send(path, direction),
            (Direction::Forward, _) => self.begin(path),
            (Direction::Compensate, _) => self.undo(path),
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

    /// A command that came back for want of a queue is sent as the same attempt again.
    fn next_attempt(&self, path: &StepPath, direction: Direction) -> u32 {
        let step = self.state.step(path);
        let came_back =
            step.is_some_and(|step| matches!(step.pending(direction), Some(Pending::Route { .. })));
        self.last_attempt(path, direction) + u32::from(!came_back)
    }

    fn payload(
        &self,
        path: &StepPath,
        direction: Direction,
        command: &Command,
    ) -> Result<Box<RawValue>, Problem> {
        let undoing = (direction == Direction::Compensate).then_some(path);
        let scope = Variables { undoing, ..self.seen_from(path) };
        bounded_json(&render(&command.payload, &scope)?)
    }

    fn command_message(
        &self,
        path: &StepPath,
        direction: Direction,
        attempt: u32,
        deadline: Time,
        command: &Command,
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
