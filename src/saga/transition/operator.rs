//! What a cancel means, and what an operator can do about a stuck saga.

use super::{Draft, Ignored};
use crate::saga::definition::Step;
use crate::saga::id::{Direction, StepPath};
use crate::saga::input::{Intervention, Resolution};
use crate::saga::journal::{By, Cause, Fact, Problem, Reason, StopReason};
use crate::saga::limits::MAX_LIMITS_RAISED;
use crate::saga::state::{Incident, Pending, Status};

impl Draft<'_> {
    pub(super) fn cancel(&mut self, by: &By) -> Result<Cause, Ignored> {
        self.check_way_back()?;
        let problem = Problem::new(Reason::Cancelled, format!("cancelled by {}: {}", by.actor, by.reason));
        self.stop(StopReason::Cancelled, problem);
        Ok(Cause::Cancel(by.clone()))
    }

    fn check_way_back(&self) -> Result<(), Ignored> {
        let pivot_is_held = self.pending().into_iter().any(|(path, direction, pending)| {
            direction == Direction::Forward
                && pending == Pending::Operator
                && self.definition.step(&path).is_some_and(Step::is_pivot)
        });
        match () {
            () if self.state.ended.is_some() => Err(Ignored::Ended),
            () if self.state.is_past_pivot(self.definition) => Err(Ignored::PastPivot),
            () if self.state.rolling_back || self.state.stopping.is_some() => {
                Err(Ignored::AlreadyRollingBack)
            }
            () if pivot_is_held => Err(Ignored::PivotUnknown),
            () => Ok(()),
        }
    }

    /// No new step starts. What is in flight is awaited, and children are told to come back; what waits for another attempt
    /// gets none. What only waits is left until it is known that the saga turns back.
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
                Pending::Reply { .. } | Pending::Arrival { .. } | Pending::Sleep { .. } => {}
                Pending::Child if is_first => self.cancel_child(&path),
                Pending::Child => {}
                // It is held because there is no way back: whoever was asked decides.
                Pending::Operator if is_past_pivot => {}
                Pending::Backoff { .. } | Pending::Route { .. } | Pending::Operator => self.give_up(
                    &path,
                    Problem::new(Reason::Cancelled, "the saga stopped before its next attempt"),
                ),
            }
        }
    }

    /// As a cancel, but a saga that has completed can be undone, too.
    pub(super) fn undone_with_parent(&mut self, attempt: u32) -> Result<Cause, Ignored> {
        let end = self.state.ended.as_ref().map(|end| end.status);
        match end {
            _ if self.state.started.as_ref().is_none_or(|started| started.parent.is_none()) => {
                return Err(Ignored::NotAChild);
            }
            Some(Status::Compensated) => return Err(Ignored::AlreadyCompensated),
            Some(Status::Abandoned) => return Err(Ignored::Ended),
            _ if self.state.is_past_pivot(self.definition) => return Err(Ignored::PastPivot),
            _ if self.state.undo_asked == Some(attempt) => return Err(Ignored::Duplicate),
            _ => {}
        }
        self.record(Fact::UndoAsked { attempt });
        if self.state.stopping.is_none() {
            let problem =
                Problem::new(Reason::Cancelled, "the saga that this one is part of was rolled back");
            self.stop(StopReason::Undone, problem);
        }
        Ok(Cause::Undo)
    }

    pub(super) fn intervene(&mut self, action: &Intervention, by: &By) -> Result<Cause, Ignored> {
        match self.state.status() {
            status if status.is_final() => return Err(Ignored::Ended),
            _ if self.state.paused.is_some() && *action != Intervention::Abandon => {
                return Err(Ignored::Paused);
            }
            _ if *action == Intervention::RaiseLimits => {}
            Status::Stuck => {}
            _ => return Err(Ignored::NotStuck),
        }
        match action {
            Intervention::Retry { step } => self.retry(step.as_ref())?,
            Intervention::Resolve { step, outcome } => self.resolve(step, outcome)?,
            Intervention::Skip { step } => self.skip(step.as_ref())?,
            Intervention::RollBack => {
                self.check_way_back()?;
                let problem =
                    Problem::new(Reason::Cancelled, format!("rolled back by {}: {}", by.actor, by.reason));
                self.stop(StopReason::Cancelled, problem);
            }
            Intervention::Abandon => self.end(Status::Abandoned, None),
            Intervention::RaiseLimits => self.raise_limits()?,
        }
        let step = action.step().cloned();
        Ok(Cause::Intervention { action: action.name().to_owned(), step, by: by.clone() })
    }

    fn retry(&mut self, only: Option<&StepPath>) -> Result<(), Ignored> {
        let held = self.held(only);
        let saga_level = self.state.incidents.iter().any(|incident| incident.step.is_none());
        if held.is_empty() && !(saga_level && only.is_none()) {
            return Err(Ignored::NoSuchIncident);
        }
        if saga_level && only.is_none() {
            self.record(Fact::IncidentPassed { step: None });
        }
        for (path, direction) in held {
            self.record(Fact::Retried { step: path.clone(), direction });
            self.try_again(&path, direction);
        }
        Ok(())
    }

    fn raise_limits(&mut self) -> Result<(), Ignored> {
        if self.state.limits_raised >= MAX_LIMITS_RAISED {
            return Err(Ignored::LimitsRaised);
        }
        self.record(Fact::LimitsRaised);
        if self.state.incidents.iter().any(|incident| incident.problem.is(Reason::JournalLimit)) {
            self.record(Fact::IncidentPassed { step: None });
        }
        Ok(())
    }

    fn resolve(&mut self, path: &StepPath, outcome: &Resolution) -> Result<(), Ignored> {
        let (_, direction) = self.held(Some(path)).into_iter().next().ok_or(Ignored::NoSuchIncident)?;
        match (outcome, direction) {
            (Resolution::Done(output), _) => self.succeeded(path, direction, output),
            (Resolution::NotDone, Direction::Compensate) => return Err(Ignored::CompensationNotDone),
            (Resolution::NotDone, Direction::Forward) => {
                let problem =
                    Problem::new(Reason::ResolvedAsNotDone, "an operator said that it did not happen");
                self.record(Fact::Failed { step: path.clone(), problem: problem.clone() });
                let optional = self.definition.step(path).is_some_and(|step| step.optional);
                if !optional && !self.state.is_past_pivot(self.definition) {
                    self.stop(StopReason::StepFailed, problem);
                }
            }
        }
        Ok(())
    }

    /// An incident that no command is held by is passed over first: that has the lesser consequences.
    fn skip(&mut self, step: Option<&StepPath>) -> Result<(), Ignored> {
        let loose = |incident: &&Incident| incident.direction.is_none() && incident.step.as_ref() == step;
        let held = step.and_then(|path| self.held(Some(path)).into_iter().next());
        if let Some(incident) = self.state.incidents.iter().find(loose).cloned() {
            self.record(Fact::IncidentPassed { step: step.cloned() });
            if incident.problem.is(Reason::ExpressionFailed) || incident.problem.is(Reason::Schema) {
                self.end(Status::Completed, None);
            }
        } else if let Some((path, direction)) = held {
            self.record(Fact::Skipped { step: path, direction });
        } else {
            return Err(Ignored::NoSuchIncident);
        }
        Ok(())
    }

    /// What waits for an operator, of all steps or `only` of one.
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
