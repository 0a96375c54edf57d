//! The end of a saga, and its messages: to the sender of the start, to the parent saga, and as lifecycle events.

use std::sync::Arc;

use serde_json::{Value, json};

use super::begin::{check_bounds, render};
use super::{Draft, Rejection};
use crate::MAX_OUTCOME_REQUESTS;
use crate::expression::variables::Variables;
use crate::id::{Direction, StepPath, Time};
use crate::input::{Attempt, ReplyResult};
use crate::journal::{AnswerTo, Cause, Fact, Problem, ProblemCode};
use crate::message::{Change, ChildResult, Lifecycle, Message, SagaOutcome};
use crate::state::{State, Status};

impl Draft<'_> {
    pub(super) fn complete(&mut self) {
        if !self.state.incidents.is_empty() {
            return;
        }
        match self.output() {
            Ok(output) => self.end(Status::Completed, output.map(Arc::new)),
            Err(mut problem) => {
                problem.message = format!("the saga's output: {}", problem.message);
                self.record(Fact::IncidentRaised { step: None, problem });
            }
        }
    }

    fn output(&self) -> Result<Option<Value>, Problem> {
        let Some(template) = &self.definition.output else { return Ok(None) };
        let output = render(template, &Variables::of(self.definition, self.state))?;
        check_bounds(&output)?;
        if let Some(schema) = &self.definition.output_schema {
            schema.check(&output)?;
        }
        Ok(Some(output))
    }

    pub(super) fn end(&mut self, status: Status, output: Option<Arc<Value>>) {
        self.record(Fact::Ended { status, output });
        self.report_end();
    }

    /// Sends the outcome to all who asked for it.
    pub(super) fn report_end(&mut self) {
        let addresses = addresses(self.state).cloned();
        let outcomes: Vec<_> =
            addresses.filter_map(|to| outcome_for(self.state, to, self.at)).map(Message::Outcome).collect();
        let report = self.report().map(Message::ChildResult);
        self.messages.extend(outcomes.into_iter().chain(report));
    }

    /// Records one more address for the outcome of a saga that has not ended.
    pub(super) fn outcome_requested(&mut self, to: &AnswerTo) -> Result<Cause, Rejection> {
        if self.state.ended.is_some() {
            return Err(Rejection::Ended);
        }
        if addresses(self.state).any(|known| known == to) {
            return Err(Rejection::Duplicate);
        }
        if self.state.outcome_requests.len() >= MAX_OUTCOME_REQUESTS {
            return Err(Rejection::TooManyOutcomeRequests);
        }
        self.record(Fact::OutcomeRequested { to: to.clone() });
        Ok(Cause::OutcomeRequest)
    }

    /// The reply to the parent saga.
    fn report(&self) -> Option<ChildResult> {
        let parent = self.state.started.as_ref()?.parent.as_ref()?;
        let end = self.state.ended.as_ref()?;
        let (direction, number) = match self.state.compensation_requested {
            Some(attempt) => (Direction::Compensate, attempt),
            None => (Direction::Forward, parent.attempt),
        };
        let result = match (end.status, direction) {
            (Status::Completed, Direction::Forward) => {
                ReplyResult::Success(end.output.clone().unwrap_or_default())
            }
            (Status::Compensated, Direction::Compensate) => ReplyResult::Success(Arc::default()),
            (Status::Completed, Direction::Compensate) => ReplyResult::Failure(Problem::new(
                ProblemCode::PastPivot,
                "the child saga had passed its pivot and has completed",
            )),
            (Status::Abandoned, _) => ReplyResult::Failure(Problem::new(
                ProblemCode::Abandoned,
                "an operator abandoned the child saga",
            )),
            _ => ReplyResult::Failure(self.state.stopping.as_ref()?.problem.clone()),
        };
        let attempt = Attempt { step: parent.step.clone(), direction, number };
        Some(ChildResult { child: self.state.id, parent: parent.saga, attempt, result })
    }

    /// Emits the lifecycle events of what an entry has changed since `before`, if the definition asks for them.
    pub(super) fn emit_lifecycle_events(&mut self, before: Status) {
        if !self.definition.lifecycle_events {
            return;
        }
        let stop = self.state.stopping.as_ref().map(|stop| &stop.problem);
        let mut changes: Vec<_> = self.facts.iter().filter_map(|fact| change(fact, stop)).collect();
        if self.state.status() == Status::Stuck && before != Status::Stuck {
            let problem = self.state.incidents.last().map(|incident| incident.problem.clone());
            changes.push((Change::Stuck, None, problem));
        }
        let Some(started) = self.state.started.clone() else { return };
        let seq = self.state.seq + 1;
        let lifecycle = |(index, (change, step, problem))| {
            Message::Lifecycle(Lifecycle {
                saga: self.state.id,
                definition: Arc::clone(&started.definition),
                version: self.state.version(),
                key: started.key.clone(),
                change,
                step,
                problem,
                seq,
                index,
                at: self.at,
            })
        };
        self.messages.extend((0..).zip(changes).map(lifecycle));
    }
}

/// The addresses that the outcome of a saga is sent to.
fn addresses(state: &State) -> impl Iterator<Item = &AnswerTo> {
    let first = state.started.as_ref().and_then(|started| started.answer.as_ref());
    first.into_iter().chain(&state.outcome_requests)
}

/// The outcome of a saga for one address. `None`: the saga has not ended.
pub fn outcome_for(state: &State, to: AnswerTo, at: Time) -> Option<SagaOutcome> {
    let started = state.started.as_ref()?;
    let end = state.ended.as_ref()?;
    let body = json!({
        "saga": state.id,
        "definition": started.definition,
        "version": state.version(),
        "key": started.key,
        "status": end.status,
        "output": end.output,
        "problem": state.stopping.as_ref().map(|stop| &stop.problem),
    });
    Some(SagaOutcome {
        saga: state.id,
        definition: Arc::clone(&started.definition),
        to,
        status: end.status,
        sent_at: at,
        body: serde_json::value::to_raw_value(&body).ok()?,
    })
}

fn change(fact: &Fact, stop: Option<&Problem>) -> Option<(Change, Option<StepPath>, Option<Problem>)> {
    let only = |change| Some((change, None, None));
    match fact {
        Fact::Started(_) => only(Change::Started),
        Fact::Completed { step, .. } => Some((Change::StepCompleted, Some(step.clone()), None)),
        Fact::RollbackBegan => Some((Change::Compensating, None, stop.cloned())),
        Fact::Ended { status: Status::Completed, .. } => only(Change::Completed),
        Fact::Ended { status: Status::Compensated, .. } => only(Change::Compensated),
        Fact::Ended { status: Status::Abandoned, .. } => only(Change::Abandoned),
        _ => None,
    }
}
