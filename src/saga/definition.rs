//! What a saga shall do: a tree of blocks over a flat list of steps.
//!
//! A [`Definition`] is what the catalog makes of a YAML file. Whatever could be wrong with it was found there:
//! nothing is checked again here.

mod lookup;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::expression::Expression;
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
    /// How long the saga waits for a queue to be bound for it, before an operator is asked.
    pub unroutable_timeout: Duration,
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
#[expect(clippy::large_enum_variant, reason = "a definition has few of them")]
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
