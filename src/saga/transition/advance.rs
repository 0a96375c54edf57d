//! What follows: walking forward or back until everything that can be sent was sent.

use std::sync::Arc;

use serde_json::{Value, json, value::RawValue};

use super::Draft;
use crate::saga::definition::Command;
use crate::saga::id::{Direction, StepPath, Time};
use crate::saga::journal::{Fact, Problem, StopReason};
use crate::saga::message::{self, Message};
use crate::saga::state::Status;
use crate::saga::variables::Variables;
use crate::saga::walk::{self, Next};
use crate::saga::{MAX_PAYLOAD_BYTES, MAX_STEP_EXECUTIONS};

impl Draft<'_> {
    /// Walks on until everything that can be sent was sent.
    pub(super) fn advance(&mut self) {
        while self.state.ended.is_none() {
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
            Next::Send(steps) => {
                self.send_all(&steps, Direction::Forward);
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
            Next::Send(steps) => self.send_all(&steps, Direction::Compensate),
            Next::Done if self.state.incidents.is_empty() => self.end(Status::Compensated, None),
            Next::Wait | Next::Done => return false,
        }
        true
    }

    /// Once nothing is in flight any more, the saga turns back, unless its pivot succeeded meanwhile.
    fn come_to_a_stop(&mut self) -> bool {
        let in_flight =
            self.pending_commands().into_iter().any(|(_, direction, _)| direction == Direction::Forward);
        if in_flight {
            return false;
        }
        let dropped = self.state.is_past_pivot(self.definition);
        self.record(if dropped { Fact::StopDropped } else { Fact::RollbackBegan });
        true
    }

    fn send_all(&mut self, steps: &[StepPath], direction: Direction) {
        for path in steps {
            self.send(path, direction);
            if direction == Direction::Forward && self.state.stopping.is_some() {
                break;
            }
        }
    }

    /// Sends the next attempt of a command.
    pub(super) fn send(&mut self, path: &StepPath, direction: Direction) {
        let Some((step, command)) = self.command(path, direction) else { return };
        let attempt = self.state.step(path).map_or(0, |step| step.attempts(direction).last) + 1;
        let deadline = self.now.after(command.timeout);
        let is_beyond_limit = direction == Direction::Forward && self.state.executions >= MAX_STEP_EXECUTIONS;
        let payload = if is_beyond_limit {
            Err(Problem::new(
                Problem::STEP_LIMIT,
                format!("a saga sends at most {MAX_STEP_EXECUTIONS} commands"),
            ))
        } else {
            self.payload(path, direction, command)
        };
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

    fn payload(
        &self,
        path: &StepPath,
        direction: Direction,
        command: &Command,
    ) -> Result<Box<RawValue>, Problem> {
        let undoing = (direction == Direction::Compensate).then_some(path);
        let payload = command
            .payload
            .render(&Variables { state: &self.state, undoing })
            .map_err(|error| Problem::new(Problem::EXPRESSION_FAILED, error.to_string()))?;
        bounded_json(&payload)
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
            trace_id: self.state.started.as_ref().and_then(|started| started.trace_id.clone()),
            sent_at: self.now,
            payload,
        }
    }

    fn complete(&mut self) {
        if !self.state.incidents.is_empty() {
            return;
        }
        let variables = Variables { state: &self.state, undoing: None };
        let output = self.definition.output.as_ref().map(|output| output.render(&variables)).transpose();
        match output {
            Ok(output) => self.end(Status::Completed, output.map(Arc::new)),
            Err(error) => {
                let problem = Problem::new(Problem::EXPRESSION_FAILED, format!("the saga's output: {error}"));
                self.record(Fact::IncidentRaised { step: None, problem });
            }
        }
    }

    pub(super) fn end(&mut self, status: Status, output: Option<Arc<Value>>) {
        self.record(Fact::Ended { status, output });
        if let Some(outcome) = self.outcome_message() {
            self.messages.push(Message::Outcome(outcome));
        }
    }

    fn outcome_message(&self) -> Option<message::Outcome> {
        let started = self.state.started.as_ref()?;
        let end = self.state.ended.as_ref()?;
        let body = json!({
            "saga": self.state.id,
            "definition": started.definition,
            "version": started.version,
            "key": started.key,
            "status": end.status,
            "output": end.output,
            "problem": self.state.stopping.as_ref().map(|stop| &stop.problem),
        });
        Some(message::Outcome {
            saga: self.state.id,
            definition: Arc::clone(&started.definition),
            to: started.answer.clone()?,
            status: end.status,
            sent_at: self.now,
            body: serde_json::value::to_raw_value(&body).ok()?,
        })
    }
}

fn bounded_json(payload: &Value) -> Result<Box<RawValue>, Problem> {
    let json = serde_json::value::to_raw_value(payload)
        .map_err(|error| Problem::new(Problem::EXPRESSION_FAILED, error.to_string()))?;
    if json.get().len() > MAX_PAYLOAD_BYTES {
        let message = format!("{} bytes; a payload has at most {MAX_PAYLOAD_BYTES}", json.get().len());
        return Err(Problem::new(Problem::PAYLOAD_TOO_LARGE, message));
    }
    Ok(json)
}
