//! What a saga shall do: a tree of blocks over a flat list of steps.
//!
//! A [`Definition`] is what the catalog makes of a YAML file. Whatever could be wrong with it was found there:
//! nothing is checked again here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::expression::Expression;
use super::id::{Direction, StepPath};
use super::journal::Problem;
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
    /// What a saga can be found by, beside its key: names, and what makes their values from its input.
    pub attributes: Vec<(Arc<str>, Template)>,
    /// How long a saga may run before it is cancelled.
    pub timeout: Option<Duration>,
    pub on_late_reply: OnLateReply,
    pub on_compensation_failure: OnCompensationFailure,
    /// What starts a saga by itself.
    pub starts: Vec<Trigger>,
    /// Whether what becomes of its sagas is published.
    pub lifecycle_events: bool,
    pub body: Block,
    /// Makes the saga's output, once it has completed.
    pub output: Option<Template>,
    pub output_schema: Option<Arc<dyn Schema>>,
    steps: Vec<Step>,
    by_name: HashMap<Arc<str>, StepIndex>,
}

/// A block of the tree. Steps are named by their index in [`Definition::steps`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Step(StepIndex),
    /// One after the other, in this order.
    Sequence(Vec<Block>),
    /// Side by side. All are awaited.
    Parallel(Vec<Block>),
    /// One of these, as the step, an [`Action::Choice`], says.
    Choice(StepIndex, Vec<Block>),
    /// Once for each item of a list, which the step, an [`Action::ForEach`], makes.
    ForEach(StepIndex, Box<Block>),
}

/// The place of a step in its definition's list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepIndex(pub usize);

/// A node of the definition that something becomes of.
#[derive(Debug)]
pub struct Step {
    pub name: Arc<str>,
    pub kind: Kind,
    /// The step is left out if this is false.
    pub when: Option<Expression>,
    /// Whether the saga goes on when the participant refuses, or nobody knows.
    pub optional: bool,
    pub action: Action,
    /// The `for_each` steps around it, outermost first.
    pub within: Vec<StepIndex>,
}

/// Richardson's kinds of transaction, as far as they are declared: a step after a pivot is retriable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Once it succeeded, there is no way back.
    Pivot,
}

/// What a step does.
#[derive(Debug)]
pub enum Action {
    /// Sends a command, and perhaps the command that undoes it.
    Command(Box<CommandStep>),
    /// Takes the branch of the first condition that is true, or the one after all conditions, if the block has it.
    Choice(Vec<Expression>),
    ForEach(Box<ForEach>),
    Wait(Box<Wait>),
    Sleep(Sleep),
    Child(Box<Child>),
    Publish(Box<Publish>),
    /// Ends the way forward, as a refusal does.
    Fail {
        code: String,
        message: Template,
    },
}

/// A command, and the command that undoes it.
#[derive(Debug)]
pub struct CommandStep {
    pub command: Command,
    /// `None` for `compensate: none`: there is nothing to undo.
    pub compensation: Option<Command>,
    pub on_timeout: OnTimeout,
    /// What a success must carry.
    pub reply_schema: Option<Arc<dyn Schema>>,
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
    /// The domain events that are replies to it, beside direct ones.
    pub on: Vec<EventReply>,
}

/// A domain event that says what became of a command.
#[derive(Debug, PartialEq)]
pub struct EventReply {
    pub event: EventPattern,
    pub result: EventResult,
}

/// Which domain event, and whose.
#[derive(Debug, PartialEq)]
pub struct EventPattern {
    pub exchange: Arc<str>,
    /// The routing key.
    pub event: Arc<str>,
    /// Makes the saga's business key from `event`, the event's body.
    pub correlate: Expression,
    /// What must also be true of `event`, seen from the step.
    pub matches: Option<Expression>,
}

/// What an event says of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventResult {
    Success,
    Failure,
    Error,
}

#[derive(Debug)]
pub struct ForEach {
    pub list: Expression,
    /// The name of an item in expressions.
    pub item: Arc<str>,
    /// How many items are under way at once, from 1 to [`MAX_CONCURRENCY`](super::MAX_CONCURRENCY).
    pub concurrency: u32,
    /// Makes the output of one item. Without it, it is an object of the outputs of `steps`.
    pub output: Option<Template>,
    /// The steps of its body, those of inner `for_each` blocks left out.
    pub steps: Vec<StepIndex>,
}

#[derive(Debug)]
pub struct Wait {
    pub awaited: Awaited,
    pub timeout: Duration,
    pub on_timeout: OnWaitTimeout,
}

#[derive(Debug, PartialEq)]
pub enum Awaited {
    /// A signal of this name.
    Signal(Arc<str>),
    Event(Box<EventPattern>),
}

#[derive(Debug, PartialEq)]
pub enum Sleep {
    For(Duration),
    /// A text that is a time as RFC 3339 has it.
    Until(Expression),
}

/// A saga that is part of another.
#[derive(Debug, PartialEq)]
pub struct Child {
    pub definition: Arc<str>,
    pub version: u32,
    pub input: Template,
    /// Whether it is undone with its parent. Not so for `compensate: none`.
    pub undone: bool,
}

/// An event that nobody answers.
#[derive(Debug, PartialEq)]
pub struct Publish {
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub event: Arc<str>,
    pub payload: Template,
}

/// What starts a saga by itself.
#[derive(Debug)]
pub enum Trigger {
    Event {
        exchange: Arc<str>,
        event: Arc<str>,
        /// Only events for which this is true.
        when: Option<Expression>,
        /// Made from `event`; without it the event's body is the input.
        input: Option<Template>,
    },
    Schedule {
        /// A cron expression of five fields, in UTC.
        cron: String,
        /// Made from `schedule.time`, the time it was due as RFC 3339 has it.
        input: Template,
    },
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

/// What follows when nothing came that a saga waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnWaitTimeout {
    /// As a refusal: the saga rolls back.
    #[default]
    Fail,
    /// The saga goes on; the wait has no output.
    Continue,
    /// The saga waits for an operator.
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

/// Says whether a value is what it must be. A pure function.
pub trait Schema: Debug + Send + Sync {
    /// The problem tells the path of what is wrong, and never repeats a value.
    fn check(&self, value: &Value) -> Result<(), Problem>;
    /// The JSON Schema that it is, if it is one.
    fn document(&self) -> Option<&Value>;
}

impl Definition {
    /// A definition of `steps` in the order of `body`. Everything else is unset.
    pub fn new(name: &str, version: u32, steps: Vec<Step>, body: Block) -> Self {
        let indexes = (0..steps.len()).map(StepIndex);
        Self {
            name: name.into(),
            version,
            description: None,
            key: None,
            attributes: Vec::new(),
            timeout: None,
            on_late_reply: OnLateReply::default(),
            on_compensation_failure: OnCompensationFailure::default(),
            starts: Vec::new(),
            lifecycle_events: false,
            body,
            output: None,
            output_schema: None,
            by_name: steps.iter().map(|step| Arc::clone(&step.name)).zip(indexes).collect(),
            steps,
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn step_at(&self, index: StepIndex) -> &Step {
        &self.steps[index.0]
    }

    pub fn index_of(&self, name: &str) -> Option<StepIndex> {
        self.by_name.get(name).copied()
    }

    /// The step that stands at `path`, if this definition has it.
    pub fn step(&self, path: &StepPath) -> Option<&Step> {
        self.index_of(path.name()).map(|index| self.step_at(index))
    }

    /// All commands, compensations included.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let both = [Direction::Forward, Direction::Compensate];
        self.steps
            .iter()
            .flat_map(move |step| both.into_iter().filter_map(|direction| step.command(direction)))
    }

    /// All domain events that its sagas listen for.
    pub fn events(&self) -> impl Iterator<Item = &EventPattern> {
        let replies = self.commands().flat_map(|command| command.on.iter().map(|reply| &reply.event));
        let waits = self.steps.iter().filter_map(|step| match &step.action {
            Action::Wait(wait) => wait.awaited.event(),
            _ => None,
        });
        replies.chain(waits)
    }
}

impl Block {
    /// Steps one after the other: the first `count` of a definition.
    pub fn in_order(count: usize) -> Self {
        Self::Sequence((0..count).map(StepIndex).map(Self::Step).collect())
    }
}

impl Step {
    pub fn is_pivot(&self) -> bool {
        self.kind == Kind::Pivot
    }

    /// Whether the saga goes on after it, although it came to nothing.
    pub fn may_miss(&self) -> bool {
        self.optional
            || matches!(&self.action, Action::Wait(wait) if wait.on_timeout == OnWaitTimeout::Continue)
    }

    /// What it sends, if it sends commands.
    pub fn command(&self, direction: Direction) -> Option<&Command> {
        let Action::Command(step) = &self.action else { return None };
        match direction {
            Direction::Forward => Some(&step.command),
            Direction::Compensate => step.compensation.as_ref(),
        }
    }

    /// Whether there is something to undo once it has happened.
    pub fn has_undo(&self) -> bool {
        match &self.action {
            Action::Command(step) => step.compensation.is_some(),
            Action::Child(child) => child.undone,
            _ => false,
        }
    }
}

impl Action {
    /// What it is, as definitions have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Choice(_) => "choice",
            Self::ForEach(_) => "for_each",
            Self::Wait(_) => "wait",
            Self::Sleep(_) => "sleep",
            Self::Child(_) => "saga",
            Self::Publish(_) => "publish",
            Self::Fail { .. } => "fail",
        }
    }
}

impl Awaited {
    pub fn event(&self) -> Option<&EventPattern> {
        match self {
            Self::Signal(_) => None,
            Self::Event(event) => Some(event),
        }
    }
}
