//! The definition of a saga: a tree of blocks over a flat list of steps.
//!
//! A [`Definition`] is compiled from a YAML file. The compiler has found whatever could be wrong with it: nothing is checked
//! again here.

mod lookup;
pub mod retry;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::retry::Retry;
use super::expression::Expression;
use super::expression::template::Template;
use super::problem::Problem;

/// One version of a saga, immutable once registered.
#[derive(Debug)]
pub struct Definition {
    pub name: Arc<str>,
    pub version: u32,
    pub description: Option<String>,
    /// Makes the business key of a saga from its input. There is one saga per key.
    pub key: Option<Template>,
    /// The attributes by which a saga can be found, besides its key: their names, and the templates of their values.
    pub attributes: Vec<(Arc<str>, Template)>,
    /// How long a saga may run before it is cancelled.
    pub timeout: Option<Duration>,
    pub on_late_reply: OnLateReply,
    pub on_compensation_failure: OnCompensationFailure,
    /// The triggers that start a saga automatically.
    pub starts: Vec<Trigger>,
    /// Whether the lifecycle events of its sagas are published.
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
    /// Concurrently. All are awaited.
    Parallel(Vec<Block>),
    /// One of these, selected by the step, an [`Action::Choice`].
    Choice(StepIndex, Vec<Block>),
    /// Once for each item of a list, which is made by the step, an [`Action::ForEach`].
    ForEach(StepIndex, Box<Block>),
}

/// The index of a step in its definition's list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepIndex(pub usize);

/// A node of the definition that has a state of its own.
#[derive(Debug)]
pub struct Step {
    pub name: Arc<str>,
    pub kind: Kind,
    /// The step is left out if this is false.
    pub when: Option<Expression>,
    /// Whether the saga continues when the participant refuses, or when the outcome is unknown.
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

/// The kind of a step: the key that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Command,
    Choice,
    ForEach,
    Wait,
    Sleep,
    Saga,
    Publish,
    Fail,
}

/// The action of a step.
#[derive(Debug)]
pub enum Action {
    /// Sends a command. It may have a compensation.
    Command(Box<CommandStep>),
    /// Selects the branch of the first condition that is true, or the default branch after all conditions, if there is one.
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

/// A command and its compensation.
#[derive(Debug)]
pub struct CommandStep {
    pub command: CommandAction,
    /// `None` for `compensate: none`: there is nothing to compensate.
    pub compensation: Option<CommandAction>,
    pub on_timeout: OnTimeout,
    /// The schema of the output of a success.
    pub reply_schema: Option<Arc<dyn Schema>>,
}

/// A command to a participant: a forward command or a compensation.
#[derive(Debug)]
pub struct CommandAction {
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub name: Arc<str>,
    pub payload: Template,
    /// How long one attempt waits for its reply.
    pub timeout: Duration,
    pub retry: Retry,
    /// How long the saga waits for a queue to be bound for the command, before it asks an operator.
    pub unroutable_timeout: Duration,
    /// The domain events that are replies to the command, in addition to direct replies.
    pub reply_events: Vec<EventReply>,
}

/// A domain event that is a reply to a command.
#[derive(Debug, PartialEq)]
pub struct EventReply {
    pub event: EventPattern,
    pub result: EventResult,
}

/// A domain event, and the saga that it is about.
#[derive(Debug, PartialEq)]
pub struct EventPattern {
    pub exchange: Arc<str>,
    /// The routing key.
    pub event: Arc<str>,
    /// Makes the saga's business key from `event`, the event's body.
    pub correlate: Expression,
    /// A further condition on `event`, evaluated in the scope of the step.
    pub matches: Option<Expression>,
}

/// The reply that an event stands for.
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
    /// The most items in flight at once, from 1 to [`MAX_CONCURRENCY`](super::MAX_CONCURRENCY).
    pub concurrency: u32,
    /// Makes the output of one item. Without it, the output is an object of the outputs of `steps`.
    pub output: Option<Template>,
    /// The steps of its body, without those of inner `for_each` blocks.
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
    /// Makes a time as RFC 3339 text.
    Until(Expression),
}

/// A child saga.
#[derive(Debug, PartialEq)]
pub struct Child {
    pub definition: Arc<str>,
    pub version: u32,
    pub input: Template,
    /// Whether the child is compensated with its parent. False for `compensate: none`.
    pub compensated: bool,
}

/// An event without a reply.
#[derive(Debug, PartialEq)]
pub struct Publish {
    pub exchange: Arc<str>,
    /// The routing key, and the `type` of the message.
    pub event: Arc<str>,
    pub payload: Template,
}

/// What starts a saga automatically.
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
        /// Made from `schedule.time`, the time at which the saga was due, as RFC 3339 text.
        input: Template,
    },
}

/// The consequence of an attempt's deadline that passes without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTimeout {
    /// The next attempt, with the same idempotency key; the step is unknown once they are used up.
    #[default]
    Retry,
    /// The step is unknown at once.
    Unknown,
    /// As `Retry`, but a saga with an unknown step waits for an operator instead of rolling back.
    Hold,
}

/// The consequence of a wait that ends without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnWaitTimeout {
    /// As a refusal: the saga rolls back.
    #[default]
    Fail,
    /// The saga continues; the wait has no output.
    Continue,
    /// The saga waits for an operator.
    Hold,
}

/// The consequence of a success that contradicts what was decided without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLateReply {
    /// It is journaled and counted.
    #[default]
    Record,
    /// It also raises an incident that an operator must skip before the saga can end.
    Stuck,
}

/// The consequence of a compensation that has used up its attempts, or was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCompensationFailure {
    /// Nothing before it is compensated until an operator decides.
    #[default]
    Stop,
    /// The rest is compensated; the saga stays stuck at the end.
    Continue,
}

/// Validates a value. A pure function.
pub trait Schema: Debug + Send + Sync {
    /// The problem names the path of the invalid value, and never contains a value.
    fn check(&self, value: &Value) -> Result<(), Problem>;
    /// The JSON Schema document, if there is one.
    fn document(&self) -> Option<&Value>;
}
