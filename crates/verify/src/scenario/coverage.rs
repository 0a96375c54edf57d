//! Coverage: the outcomes of steps that scenarios tried, and those that none tried.

use std::sync::Arc;

use super::world::Observed;
use snorri_core::definition::{Action, Block, CommandAction, Definition, Step, StepIndex};
use snorri_core::journal::{Cause, Entry, Fact, Problem, ProblemCode, ReplyKind, SkipReason};
use snorri_core::{Direction, StepPath};

/// The possible outcomes of the steps of a definition.
#[derive(Debug, Clone)]
pub struct Coverage {
    pub outcomes: Vec<Outcome>,
}

/// A possible outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub step: Arc<str>,
    /// `success`, `failure`, `retried`, `unknown`, `compensated`, `compensation failed`, and those of other kinds of steps.
    pub outcome: String,
    /// The first scenario that tried it.
    pub tried_by: Option<String>,
}

impl Coverage {
    /// All possible outcomes of the steps of `definition`, none of them tried.
    pub fn of(definition: &Definition) -> Self {
        let mut outcomes = Vec::new();
        for (index, step) in definition.steps().iter().enumerate() {
            let skipped = step.when.is_some().then(|| "skipped".to_owned());
            let names = possible(definition, StepIndex(index), step).into_iter().chain(skipped);
            outcomes.extend(names.map(|outcome| Outcome {
                step: Arc::clone(&step.name),
                outcome,
                tried_by: None,
            }));
        }
        Self { outcomes }
    }

    /// Marks the outcomes that a scenario tried.
    pub fn take(&mut self, definition: &Definition, scenario: &str, observed: &Observed) {
        for entry in &observed.entries {
            for fact in &entry.facts {
                if let Some((step, outcome)) = tried(definition, entry, fact) {
                    self.mark(step, &outcome, scenario);
                }
            }
        }
    }

    fn mark(&mut self, step: &StepPath, outcome: &str, scenario: &str) {
        let found = self.outcomes.iter_mut().find(|it| *it.step == *step.name() && it.outcome == outcome);
        if let Some(found) = found {
            found.tried_by.get_or_insert_with(|| scenario.to_owned());
        }
    }

    pub fn tried(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.tried_by.is_some()).count()
    }

    /// The share of tried outcomes in per cent, rounded down: 100 means all.
    pub fn percent(&self) -> usize {
        (100 * self.tried()).checked_div(self.outcomes.len()).unwrap_or(100)
    }

    /// The steps with untried outcomes, in the order of the definition.
    pub fn never_tried(&self) -> Vec<(&str, Vec<&str>)> {
        let mut never: Vec<(&str, Vec<&str>)> = Vec::new();
        for outcome in self.outcomes.iter().filter(|outcome| outcome.tried_by.is_none()) {
            match never.last_mut() {
                Some((step, outcomes)) if **step == *outcome.step => outcomes.push(&outcome.outcome),
                _ => never.push((&outcome.step, vec![&outcome.outcome])),
            }
        }
        never
    }
}

fn possible(definition: &Definition, index: StepIndex, step: &Step) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let is_compensated = step.has_compensation() && !step.is_pivot();
    let compensation: &[&str] = if is_compensated { &["compensated", "compensation failed"] } else { &[] };
    match &step.action {
        Action::Command(command) => {
            let again: &[&str] = if retries(&command.command) { &["retried"] } else { &[] };
            words(&[&["success", "failure"], again, &["unknown"], compensation].concat())
        }
        Action::Child(_) => words(&[&["success", "failure"], compensation].concat()),
        Action::Choice(conditions) => (0..=conditions.len())
            .map(|branch| branch_name(definition, index, conditions.len(), branch))
            .collect(),
        Action::ForEach(_) => words(&["items"]),
        Action::Wait(_) => words(&["arrived", "timed out"]),
        Action::Sleep(_) => words(&["over"]),
        Action::Publish(_) => words(&["published"]),
        Action::Fail { .. } => words(&["failed"]),
    }
}

fn retries(command: &CommandAction) -> bool {
    command.retry.attempts > 1
}

/// The number of branches of a choice, the default branch included.
fn branches(block: &Block, choice: StepIndex) -> Option<usize> {
    match block {
        Block::Step(_) => None,
        Block::Choice(index, branches) if *index == choice => Some(branches.len()),
        Block::Sequence(blocks) | Block::Parallel(blocks) | Block::Choice(_, blocks) => {
            blocks.iter().find_map(|block| branches(block, choice))
        }
        Block::ForEach(_, body) => branches(body, choice),
    }
}

/// The step and outcome of a fact.
fn tried<'a>(definition: &Definition, entry: &'a Entry, fact: &'a Fact) -> Option<(&'a StepPath, String)> {
    let (step, outcome) = match fact {
        Fact::Completed { step, .. } => (step, completed(definition.step(step)?)),
        Fact::Failed { step, problem } => (step, failed(definition.step(step)?, problem)?),
        Fact::Held { step, direction: Direction::Forward, problem } => {
            (step, held(definition.step(step)?, entry, problem))
        }
        Fact::Held { step, direction: Direction::Compensate, .. } => (step, "compensation failed"),
        Fact::RetryScheduled { step, direction: Direction::Forward, .. } => (step, "retried"),
        Fact::Unknown { step, .. } => (step, "unknown"),
        Fact::Compensated { step } => (step, "compensated"),
        Fact::Skipped { step, reason: SkipReason::Condition, .. } => (step, "skipped"),
        Fact::ItemsExpanded { step, items } if !items.is_empty() => (step, "items"),
        Fact::Published { step } => (step, "published"),
        Fact::BranchSelected { step, branch } => return Some((step, chosen(definition, step, *branch)?)),
        _ => return None,
    };
    Some((step, outcome.to_owned()))
}

fn completed(step: &Step) -> &'static str {
    match step.action {
        Action::Wait(_) => "arrived",
        Action::Sleep(_) => "over",
        _ => "success",
    }
}

fn failed(step: &Step, problem: &Problem) -> Option<&'static str> {
    match step.action {
        Action::Wait(_) => (problem.is(ProblemCode::Timeout)).then_some("timed out"),
        Action::Fail { .. } => Some("failed"),
        _ => Some("failure"),
    }
}

/// The outcome of a held step: refused past the pivot, or unknown.
fn held(step: &Step, entry: &Entry, problem: &Problem) -> &'static str {
    let is_refusal = match &entry.cause {
        Cause::Reply { result, .. } => *result == ReplyKind::Failure,
        Cause::ReceivedEvent(_) => true,
        _ => false,
    };
    match step.action {
        Action::Wait(_) => "timed out",
        _ if is_refusal && !problem.is(ProblemCode::Timeout) => "failure",
        _ => "unknown",
    }
}

fn chosen(definition: &Definition, path: &StepPath, branch: u32) -> Option<String> {
    let index = definition.index_of(path.name())?;
    let Action::Choice(conditions) = &definition.step_at(index).action else { return None };
    Some(branch_name(definition, index, conditions.len(), branch as usize))
}

/// The branch after those with conditions is the default branch, if there is one.
fn branch_name(definition: &Definition, choice: StepIndex, conditions: usize, branch: usize) -> String {
    match branches(&definition.body, choice) {
        _ if branch < conditions => format!("branch {}", branch + 1),
        Some(all) if all > conditions => "default".to_owned(),
        _ => "no branch".to_owned(),
    }
}
