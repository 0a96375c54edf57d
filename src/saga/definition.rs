//! What a saga shall do: a tree of blocks over a flat list of steps.
//!
//! A [`Definition`] is what the catalog makes of a YAML file. Whatever could be wrong with it was found there:
//! nothing is checked again here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::{Direction, StepPath};
use super::retry::Retry;
use super::template::Template;

/// One version of a saga, immutable once registered.
#[derive(Debug)]
pub struct Definition {
    pub name: Arc<str>,
    pub version: u32,
    pub description: Option<String>,
    /// Makes the business key of a saga from its input: one saga per key.
    pub key: Option<Template>,
    /// How long a saga may run before it is cancelled.
    pub timeout: Option<Duration>,
    pub on_late_reply: OnLateReply,
    pub on_compensation_failure: OnCompensationFailure,
    pub body: Block,
    /// Makes the saga's output, once it has completed.
    pub output: Option<Template>,
    steps: Vec<Step>,
    by_name: HashMap<Arc<str>, StepIndex>,
}

/// A block of the tree. Steps are named by their index in [`Definition::steps`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Step(StepIndex),
    /// One after the other, in this order.
    Sequence(Vec<Block>),
}

/// The place of a step in its definition's list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepIndex(pub usize);

/// A step: a command, and the command that undoes it.
#[derive(Debug)]
pub struct Step {
    pub name: Arc<str>,
    pub kind: Kind,
    /// Whether the saga goes on when the participant refuses, or nobody knows.
    pub optional: bool,
    pub on_timeout: OnTimeout,
    pub command: Command,
    /// `None` for `compensate: none`: there is nothing to undo.
    pub compensation: Option<Command>,
}

/// Richardson's kinds of transaction, as far as they are declared: a step after a pivot is retriable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Once it succeeded, there is no way back.
    Pivot,
}

/// A command to a participant, or the command that undoes one.
#[derive(Debug)]
pub struct Command {
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub name: Arc<str>,
    pub payload: Template,
    /// How long one attempt waits for its reply.
    pub timeout: Duration,
    pub retry: Retry,
}

/// What follows when an attempt's deadline passes without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTimeout {
    /// The next attempt, with the same idempotency key; the step is unknown once they are used up.
    #[default]
    Retry,
    /// The step is unknown at once.
    Unknown,
    /// As `Retry`, but instead of rolling back an unknown step the saga waits for an operator.
    Hold,
}

/// What follows when a success contradicts what was decided without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLateReply {
    /// It is journaled and counted.
    #[default]
    Record,
    /// It also raises an incident that an operator must pass over before the saga can end.
    Stuck,
}

/// What follows when a compensation's attempts are used up, or it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCompensationFailure {
    /// Nothing before it is undone until an operator decides.
    #[default]
    Stop,
    /// The rest is undone; the saga stays stuck at the end.
    Continue,
}

impl Definition {
    /// A definition of `steps`, one after the other. Everything else is unset.
    pub fn new(name: &str, version: u32, steps: Vec<Step>) -> Self {
        let indexes = || (0..steps.len()).map(StepIndex);
        Self {
            name: name.into(),
            version,
            description: None,
            key: None,
            timeout: None,
            on_late_reply: OnLateReply::default(),
            on_compensation_failure: OnCompensationFailure::default(),
            body: Block::Sequence(indexes().map(Block::Step).collect()),
            output: None,
            by_name: steps.iter().map(|step| Arc::clone(&step.name)).zip(indexes()).collect(),
            steps,
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn step_at(&self, index: StepIndex) -> &Step {
        &self.steps[index.0]
    }

    /// The step that stands at `path`, if this definition has it.
    pub fn step(&self, path: &StepPath) -> Option<&Step> {
        self.by_name.get(path.name()).map(|&index| self.step_at(index))
    }
}

impl Step {
    pub fn is_pivot(&self) -> bool {
        self.kind == Kind::Pivot
    }

    pub fn command(&self, direction: Direction) -> Option<&Command> {
        match direction {
            Direction::Forward => Some(&self.command),
            Direction::Compensate => self.compensation.as_ref(),
        }
    }
}
