//! The meaning of a cancel, and an operator's interventions in a stuck saga.

use super::{Draft, Rejection};
use crate::definition::Step;
use crate::id::{Direction, StepPath};
use crate::input::{Intervention, Resolution};
use crate::journal::{By, Cause, Fact, Problem, ProblemCode, SkipReason, StopReason};
use crate::limits::MAX_LIMITS_RAISED;
use crate::state::{Incident, Pending, Status};

impl Draft<'_> {
    pub(super) fn cancel(&mut self, by: &By) -> Result<Cause, Rejection> {
        self.check_way_back()?;
        let problem =
            Problem::new(ProblemCode::Cancelled, format!("cancelled by {}: {}", by.actor, by.reason));
        self.stop(StopReason::Cancelled, problem);
        Ok(Cause::Cancel(by.clone()))
    }

    fn check_way_back(&self) -> Result<(), Rejection> {
        let pivot_is_held = self.pending().into_iter().any(|(path, direction, pending)| {
            direction == Direction::Forward
                && pending == Pending::Operator
                && self.definition.step(&path).is_some_and(Step::is_pivot)
        });
        match () {
            () if self.state.ended.is_some() => Err(Rejection::Ended),
            () if self.state.is_past_pivot(self.definition) => Err(Rejection::PastPivot),
            () if self.state.rolling_back || self.state.stopping.is_some() => {
                Err(Rejection::AlreadyRollingBack)
            }
            () if pivot_is_held => Err(Rejection::PivotUnknown),
            () => Ok(()),
        }
    }

    /// Stops the way forward: no new step starts. What is in flight is awaited, and children are rolled back; what waits for
    /// another attempt gets none. Plain waits stay until it is certain that the saga turns back.
    pub(super) fn stop(&mut self, reason: StopReason, problem: Problem) {
        let is_first = self.state.stopping.is_none();
        if is_first {
            self.record(Fact::Stopping { reason, problem });
        }
        let is_past_pivot = self.state.is_past_pivot(self.definition);
        for (path, direction, pending) in self.pending() {
            let is_pivot = self.definition.step(&path).is_some_and(Step::is_pivot);
            if direction == Direction::Compensate || is_pivot {
                continue;
            }
            match pending {
                Pending::Reply { .. } | Pending::ReceivedEvent { .. } | Pending::Sleep { .. } => {}
                Pending::Child if is_first => self.cancel_child(&path),
                Pending::Child => {}
                // It is held because the saga cannot roll back: the operator decides.
                Pending::Operator if is_past_pivot => {}
                Pending::Retry { .. } | Pending::Route { .. } | Pending::Operator => self.give_up(
                    &path,
                    Problem::new(ProblemCode::Cancelled, "the saga stopped before its next attempt"),
                ),
            }
        }
    }

    /// As a cancel, but a saga that has completed can be compensated, too.
    pub(super) fn compensate_with_parent(&mut self, attempt: u32) -> Result<Cause, Rejection> {
        let end = self.state.ended.as_ref().map(|end| end.status);
        match end {
            _ if self.state.started.as_ref().is_none_or(|started| started.parent.is_none()) => {
                return Err(Rejection::NotAChild);
            }
            Some(Status::Compensated) => return Err(Rejection::AlreadyCompensated),
            Some(Status::Abandoned) => return Err(Rejection::Ended),
            _ if self.state.is_past_pivot(self.definition) => return Err(Rejection::PastPivot),
            _ if self.state.compensation_requested == Some(attempt) => return Err(Rejection::Duplicate),
            _ => {}
        }
        self.record(Fact::CompensationRequested { attempt });
        if self.state.stopping.is_none() {
            let problem =
                Problem::new(ProblemCode::Cancelled, "the saga that this one is part of was rolled back");
            self.stop(StopReason::ParentRolledBack, problem);
        }
        Ok(Cause::CompensationRequested)
    }

    pub(super) fn intervene(&mut self, action: &Intervention, by: &By) -> Result<Cause, Rejection> {
        match self.state.status() {
            status if status.is_final() => return Err(Rejection::Ended),
            _ if self.state.paused.is_some() && *action != Intervention::Abandon => {
                return Err(Rejection::Paused);
            }
            _ if *action == Intervention::RaiseLimits => {}
            Status::Stuck => {}
            _ => return Err(Rejection::NotStuck),
        }
        match action {
            Intervention::Retry { step } => self.retry(step.as_ref())?,
            Intervention::Resolve { step, outcome } => self.resolve(step, outcome)?,
            Intervention::Skip { step } => self.skip(step.as_ref())?,
            Intervention::Rollback => {
                self.check_way_back()?;
                let problem = Problem::new(
                    ProblemCode::Cancelled,
                    format!("rolled back by {}: {}", by.actor, by.reason),
                );
                self.stop(StopReason::Cancelled, problem);
            }
            Intervention::Abandon => self.end(Status::Abandoned, None),
            Intervention::RaiseLimits => self.raise_limits()?,
        }
        let step = action.step().cloned();
        Ok(Cause::Intervention { action: action.kind(), step, by: by.clone() })
    }

    fn retry(&mut self, only: Option<&StepPath>) -> Result<(), Rejection> {
        let held = self.held(only);
        let saga_level = self.state.incidents.iter().any(|incident| incident.step.is_none());
        if held.is_empty() && !(saga_level && only.is_none()) {
            return Err(Rejection::NoSuchIncident);
        }
        if saga_level && only.is_none() {
            self.record(Fact::IncidentCleared { step: None });
        }
        for (path, direction) in held {
            self.record(Fact::Retried { step: path.clone(), direction });
            self.try_again(&path, direction);
        }
        Ok(())
    }

    fn raise_limits(&mut self) -> Result<(), Rejection> {
        if self.state.limits_raised >= MAX_LIMITS_RAISED {
            return Err(Rejection::LimitsRaised);
        }
        self.record(Fact::LimitsRaised);
        if self.state.incidents.iter().any(|incident| incident.problem.is(ProblemCode::JournalLimit)) {
            self.record(Fact::IncidentCleared { step: None });
        }
        Ok(())
    }

    fn resolve(&mut self, path: &StepPath, outcome: &Resolution) -> Result<(), Rejection> {
        let (_, direction) = self.held(Some(path)).into_iter().next().ok_or(Rejection::NoSuchIncident)?;
        match (outcome, direction) {
            (Resolution::Succeeded(output), _) => self.succeeded(path, direction, output),
            (Resolution::Failed, Direction::Compensate) => return Err(Rejection::CompensationMustSucceed),
            (Resolution::Failed, Direction::Forward) => {
                let problem =
                    Problem::new(ProblemCode::ResolvedAsFailed, "an operator resolved it as failed");
                self.record(Fact::Failed { step: path.clone(), problem: problem.clone() });
                let optional = self.definition.step(path).is_some_and(|step| step.optional);
                if !optional && !self.state.is_past_pivot(self.definition) {
                    self.stop(StopReason::StepFailed, problem);
                }
            }
        }
        Ok(())
    }

    /// An incident without a held command is skipped first: that has the lesser consequences.
    fn skip(&mut self, step: Option<&StepPath>) -> Result<(), Rejection> {
        let loose = |incident: &&Incident| incident.direction.is_none() && incident.step.as_ref() == step;
        let held = step.and_then(|path| self.held(Some(path)).into_iter().next());
        if let Some(incident) = self.state.incidents.iter().find(loose).cloned() {
            self.record(Fact::IncidentCleared { step: step.cloned() });
            if incident.problem.is(ProblemCode::ExpressionFailed) || incident.problem.is(ProblemCode::Schema)
            {
                self.end(Status::Completed, None);
            }
        } else if let Some((path, direction)) = held {
            self.record(Fact::Skipped { step: path, direction, reason: SkipReason::Operator });
        } else {
            return Err(Rejection::NoSuchIncident);
        }
        Ok(())
    }

    /// The held commands, of all steps or `only` of one.
    fn held(&self, only: Option<&StepPath>) -> Vec<(StepPath, Direction)> {
        self.pending()
            .into_iter()
            .filter(|(path, _, pending)| {
                *pending == Pending::Operator && only.is_none_or(|only| only == path)
            })
            .map(|(path, direction, _)| (path, direction))
            .collect()
    }
}
