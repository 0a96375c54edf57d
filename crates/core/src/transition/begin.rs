//! The beginning of each kind of step, and the end of a list.

use std::sync::Arc;

use serde_json::{Map, Value, value::RawValue};

use super::Draft;
use crate::definition::{Action, Child, Definition, ForEach, Publish, Sleep, Step, StepIndex};
use crate::expression::template::Template;
use crate::expression::variables::Variables;
use crate::expression::{EvaluationError, Expression, Scope};
use crate::id::{Direction, StepPath, Time};
use crate::journal::{Fact, Parent, Problem, ProblemCode, SkipReason};
use crate::json;
use crate::message::{ChildCommand, ChildCommandKind, Event, Message};
use crate::problem::Code;
use crate::state::Entered;
use crate::{PAYLOAD_LIMITS, walk};

/// Most levels of the outputs of a list: one output, nested in the lists and objects of several lists.
const MAX_OUTPUTS_DEPTH: usize = 100;

impl Draft<'_> {
    /// Begins the steps that a walk forward found.
    pub(super) fn begin(&mut self, path: &StepPath) {
        let Some(step) = self.definition.step(path) else { return };
        if self.state.step(path).is_some_and(|state| walk::is_to_be_cleared(step, state)) {
            return self.compensate(path);
        }
        let begun = if self.state.entered.contains_key(path) {
            self.collect(path, step)
        } else {
            self.is_left_out(path, step).and_then(|is_left_out| {
                if is_left_out {
                    self.record(Fact::Skipped {
                        step: path.clone(),
                        direction: Direction::Forward,
                        reason: SkipReason::Condition,
                    });
                    return Ok(());
                }
                self.begin_action(path, step)
            })
        };
        if let Err(problem) = begun {
            self.step_failed(path, problem);
        }
    }

    fn begin_action(&mut self, path: &StepPath, step: &Step) -> Result<(), Problem> {
        match &step.action {
            Action::Command(_) => self.send(path, Direction::Forward),
            Action::Choice(conditions) => {
                let fact =
                    Fact::BranchSelected { step: path.clone(), branch: self.choose(path, conditions)? };
                self.record(fact);
            }
            Action::ForEach(each) => {
                let fact =
                    Fact::ItemsExpanded { step: path.clone(), items: Arc::new(self.items(path, each)?) };
                self.record(fact);
            }
            Action::Wait(wait) => {
                self.state.check_executions()?;
                let deadline = self.now().after(wait.timeout);
                self.record(Fact::Waiting { step: path.clone(), deadline });
                self.take_arrival(path, wait);
            }
            Action::Sleep(sleep) => {
                self.state.check_executions()?;
                let until = self.end_of_sleep(path, sleep)?;
                self.record(Fact::Sleeping { step: path.clone(), until });
                if until <= self.now() {
                    self.succeeded(path, Direction::Forward, &Arc::default());
                }
            }
            Action::Child(child) => self.start_child(path, child)?,
            Action::Publish(publish) => self.publish(path, publish)?,
            Action::Fail { code, message } => {
                let message = match render(message, &self.seen_from(path))? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                let code = Code::Definition(code.clone());
                return Err(Problem { code, message, details: None });
            }
        }
        Ok(())
    }

    fn is_left_out(&self, path: &StepPath, step: &Step) -> Result<bool, Problem> {
        match &step.when {
            Some(condition) => Ok(!is_true(condition, &self.seen_from(path))?),
            None => Ok(false),
        }
    }

    /// The first condition that is true, or one more than there are.
    fn choose(&self, path: &StepPath, conditions: &[Expression]) -> Result<u32, Problem> {
        let scope = self.seen_from(path);
        let mut branch = 0;
        for condition in conditions {
            if is_true(condition, &scope)? {
                break;
            }
            branch += 1;
        }
        Ok(branch)
    }

    fn items(&self, path: &StepPath, each: &ForEach) -> Result<Vec<Value>, Problem> {
        let value = each.list.evaluate(&self.seen_from(path)).map_err(of_expression)?;
        let Value::Array(items) = value else {
            return Err(Problem::new(
                ProblemCode::ExpressionFailed,
                format!("`{}` is not a list", each.list.source()),
            ));
        };
        if let Some(list) = self.definition.index_of(path.name()) {
            self.state.check_list(self.definition, list, items.len())?;
        }
        for item in &items {
            check_bounds(item)?;
        }
        Ok(items)
    }

    /// Collects the outputs of all items, in their order, once every item is completed.
    fn collect(&mut self, path: &StepPath, step: &Step) -> Result<(), Problem> {
        let (Action::ForEach(each), Some(Entered::Items(items))) =
            (&step.action, self.state.entered.get(path))
        else {
            return Ok(());
        };
        let index = self.definition.index_of(path.name());
        let around: Vec<StepIndex> = step.within.iter().copied().chain(index).collect();
        let mut outputs = Vec::with_capacity(items.len());
        for item in 0..u32::try_from(items.len()).unwrap_or(u32::MAX) {
            let items: Vec<u32> = path.items().iter().copied().chain([item]).collect();
            let scope =
                Variables { around: &around, items: &items, ..Variables::of(self.definition, self.state) };
            outputs.push(output_of_item(self.definition, each, &scope)?);
        }
        let output = Value::Array(outputs);
        check_depth(&output)?;
        if let Err(problem) = self.state.check_output(&output) {
            self.hold(path, Direction::Forward, problem);
            return Ok(());
        }
        self.record(Fact::Completed { step: path.clone(), output: Arc::new(output) });
        Ok(())
    }

    fn end_of_sleep(&self, path: &StepPath, sleep: &Sleep) -> Result<Time, Problem> {
        match sleep {
            Sleep::For(duration) => Ok(self.now().after(*duration)),
            Sleep::Until(expression) => {
                let value = expression.evaluate(&self.seen_from(path)).map_err(of_expression)?;
                value.as_str().and_then(Time::from_rfc3339).ok_or_else(|| {
                    let message = format!(
                        "`{}` is not a time as RFC 3339 has it, like 2026-11-21T09:00:00Z",
                        expression.source()
                    );
                    Problem::new(ProblemCode::ExpressionFailed, message)
                })
            }
        }
    }

    fn publish(&mut self, path: &StepPath, publish: &Publish) -> Result<(), Problem> {
        self.state.check_executions()?;
        let event = self.event(path, publish)?;
        self.messages.push(Message::Event(event));
        self.record(Fact::Published { step: path.clone() });
        Ok(())
    }

    pub(super) fn event(&self, path: &StepPath, publish: &Publish) -> Result<Event, Problem> {
        Ok(Event {
            saga: self.state.id,
            definition: Arc::clone(&self.definition.name),
            step: path.clone(),
            exchange: Arc::clone(&publish.exchange),
            name: Arc::clone(&publish.event),
            trace_id: self.trace_id(),
            sent_at: self.at,
            payload: bounded_json(&render(&publish.payload, &self.seen_from(path))?)?,
        })
    }

    fn start_child(&mut self, path: &StepPath, child: &Child) -> Result<(), Problem> {
        self.state.check_executions()?;
        self.command_child(path, child, Direction::Forward)
    }

    /// Sends the next command of a direction to a child.
    fn command_child(&mut self, path: &StepPath, child: &Child, direction: Direction) -> Result<(), Problem> {
        let attempt = self.last_attempt(path, direction) + 1;
        let order = self.order_of(path, child, direction, attempt)?;
        self.messages.push(Message::ChildCommand(order));
        self.record(Fact::ChildSent { step: path.clone(), direction, attempt });
        Ok(())
    }

    /// Compensates a step that has happened, or may have.
    pub(super) fn compensate(&mut self, path: &StepPath) {
        let Some(step) = self.definition.step(path) else { return };
        let Action::Child(child) = &step.action else { return self.send(path, Direction::Compensate) };
        if let Err(problem) = self.command_child(path, child, Direction::Compensate) {
            self.hold(path, Direction::Compensate, problem);
        }
    }

    /// The command that a [`Fact::ChildSent`] is about.
    pub(super) fn order_of(
        &self,
        path: &StepPath,
        child: &Child,
        direction: Direction,
        attempt: u32,
    ) -> Result<ChildCommand, Problem> {
        match direction {
            Direction::Forward => self.order(path, child, attempt, ChildCommandKind::Start),
            Direction::Compensate => {
                let started = self.last_attempt(path, Direction::Forward);
                self.order(path, child, started, ChildCommandKind::Compensate { attempt })
            }
        }
    }

    /// Rolls back a running child. Its end is awaited like any other.
    pub(super) fn cancel_child(&mut self, path: &StepPath) {
        // The child gets the command once the pause is over.
        if self.state.paused.is_some() {
            return;
        }
        let Some(Action::Child(child)) = self.definition.step(path).map(|step| &step.action) else { return };
        let started = self.last_attempt(path, Direction::Forward);
        // The same values already made this command when the child was started.
        if let Ok(order) = self.order(path, child, started, ChildCommandKind::Cancel) {
            self.messages.push(Message::ChildCommand(order));
        }
    }

    fn order(
        &self,
        path: &StepPath,
        child: &Child,
        attempt: u32,
        kind: ChildCommandKind,
    ) -> Result<ChildCommand, Problem> {
        Ok(ChildCommand {
            parent: Parent { saga: self.state.id, step: path.clone(), attempt },
            kind,
            definition: Arc::clone(&child.definition),
            version: child.version,
            trace_id: self.trace_id(),
            input: bounded_json(&render(&child.input, &self.seen_from(path))?)?,
        })
    }

    pub(super) fn seen_from<'b>(&'b self, path: &'b StepPath) -> Variables<'b> {
        Variables::at(self.definition, self.state, path)
    }

    pub(super) fn last_attempt(&self, path: &StepPath, direction: Direction) -> u32 {
        self.state.step(path).map_or(0, |step| step.attempts(direction).last)
    }

    pub(super) fn trace_id(&self) -> Option<String> {
        self.state.started.as_ref().and_then(|started| started.trace_id.clone())
    }
}

fn output_of_item(definition: &Definition, each: &ForEach, scope: &Variables<'_>) -> Result<Value, Problem> {
    if let Some(output) = &each.output {
        return render(output, scope);
    }
    let outputs = each.steps.iter().map(|&index| {
        let step = definition.step_at(index);
        (step.name.to_string(), scope.output(index).cloned().unwrap_or_default())
    });
    Ok(Value::Object(outputs.collect::<Map<_, _>>()))
}

fn is_true(condition: &Expression, scope: &dyn Scope) -> Result<bool, Problem> {
    match condition.evaluate(scope).map_err(of_expression)? {
        Value::Bool(value) => Ok(value),
        _ => {
            let message = format!("`{}` is neither true nor false", condition.source());
            Err(Problem::new(ProblemCode::ExpressionFailed, message))
        }
    }
}

pub(super) fn render(template: &Template, scope: &dyn Scope) -> Result<Value, Problem> {
    template.render(scope).map_err(of_expression)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn of_expression(error: EvaluationError) -> Problem {
    Problem::new(ProblemCode::ExpressionFailed, error.to_string())
}

pub(super) fn bounded_json(payload: &Value) -> Result<Box<RawValue>, Problem> {
    check_bounds(payload)?;
    serde_json::value::to_raw_value(payload)
        .map_err(|error| Problem::new(ProblemCode::ExpressionFailed, error.to_string()))
}

/// Whether the result of an expression can be stored, sent and read again.
pub(super) fn check_bounds(value: &Value) -> Result<(), Problem> {
    json::check(value, PAYLOAD_LIMITS).map_err(of_bounds)
}

/// The outputs of a list's items together: their size is that of all outputs, see [`State::check_output`].
///
/// [`State::check_output`]: crate::State
fn check_depth(outputs: &Value) -> Result<(), Problem> {
    json::check(outputs, json::Limits { bytes: usize::MAX, depth: MAX_OUTPUTS_DEPTH }).map_err(of_bounds)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn of_bounds(error: json::Error) -> Problem {
    let reason = match error.reason {
        json::Reason::TooLarge { .. } => ProblemCode::PayloadTooLarge,
        _ => ProblemCode::ExpressionFailed,
    };
    Problem::new(reason, format!("the value that was made is refused: {error}"))
}
