//! The items of `steps`, each with one key that defines its kind.

use schemars::JsonSchema;
use serde_json::Value;

use super::text::{Address, Duration, Expression, SagaName, StepName};
use super::{DataSchema, Retry};

/// One step: a command, a block, a wait, a sleep, a child saga, an event to publish, or a failure.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Step {
    Command(Box<Command>),
    Parallel(Box<Parallel>),
    Choice(Box<Choice>),
    ForEach(Box<ForEach>),
    Wait(Box<Wait>),
    Sleep(Box<Sleep>),
    Saga(Box<Child>),
    Publish(Box<Publish>),
    Fail(Box<Fail>),
}

/// Sends a command, and awaits its reply.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Command {
    /// The name of the step in expressions, as in `reserve.output`.
    pub name: StepName,
    /// The routing key, and the `type` of the message.
    pub command: Address,
    /// The step is skipped if this is false; its output is null then.
    pub when: Option<Expression>,
    /// The exchange of the command. Default: `defaults.exchange`.
    pub exchange: Option<Address>,
    /// The body of the message. Texts may hold expressions. Default: an empty object.
    pub payload: Option<Value>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses.
    pub retry: Option<Retry>,
    /// The saga continues without the step if it is refused or its outcome is unknown.
    pub optional: Option<bool>,
    /// Once it succeeded, there is no way back: all after it is retried until it succeeds.
    pub pivot: Option<bool>,
    /// The reaction to an attempt whose reply does not come in time. Default: `retry`.
    pub on_timeout: Option<OnTimeout>,
    /// The schema of a successful reply.
    pub reply: Option<DataSchema>,
    /// The domain events that are replies to it, besides direct ones.
    pub reply_events: Option<Vec<EventReply>>,
    /// The compensation. Required for every step before the pivot.
    pub compensate: Option<Compensate>,
}

/// The reaction to an attempt whose reply does not come in time.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The next attempt, with the same idempotency key; the step is unknown once they are used up.
    Retry,
    /// The step is unknown at once.
    Unknown,
    /// As `retry`, but then the saga waits for an operator instead of rolling back.
    Hold,
}

/// The command that compensates a step, or `none`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Compensate {
    Nothing(Nothing),
    By(Box<Compensation>),
}

/// There is nothing to compensate.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Nothing {
    None,
}

/// The command that compensates a step. It sees the output of its own step too, null if that is unknown.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Compensation {
    /// The routing key, and the `type` of the message.
    pub command: Address,
    /// The exchange of the command. Default: that of the step.
    pub exchange: Option<Address>,
    /// The body of the message. Texts may hold expressions. Default: an empty object.
    pub payload: Option<Value>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses.
    pub retry: Option<Retry>,
    /// The domain events that are replies to it, besides direct ones.
    pub reply_events: Option<Vec<EventReply>>,
}

/// A domain event that reports the outcome of a command.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventReply {
    /// The routing key of the event.
    pub event: Address,
    /// The exchange that the event comes from.
    pub exchange: Address,
    /// Makes the saga's business key from `event`.
    pub correlate: Expression,
    /// A further condition on `event`. It sees what the step sees.
    #[schemars(rename = "match")]
    pub matches: Option<Expression>,
    /// The outcome of the command.
    pub outcome: EventOutcome,
}

/// The outcome of a command.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum EventOutcome {
    /// The command succeeded: the body of the event is the output.
    Success,
    /// The command is refused: nothing happened.
    Failure,
    /// The attempt failed: the next one follows.
    Error,
}

/// Lists of steps side by side. All are awaited; when one fails, all are compensated.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Parallel {
    /// For people.
    pub name: Option<StepName>,
    /// The branches, each a list of steps: `- - name: ...`.
    pub parallel: Vec<Vec<Step>>,
}

/// The first branch whose condition is true, or nothing.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Choice {
    /// For people.
    pub name: Option<StepName>,
    /// The branches. `default` comes last, if there is one.
    pub choice: Vec<Branch>,
}

/// A branch of a choice.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Branch {
    When(When),
    Default(DefaultBranch),
}

/// Taken if its condition is the first one that is true.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct When {
    /// The condition.
    pub when: Expression,
    /// The steps of the branch.
    pub steps: Vec<Step>,
}

/// Taken if no condition is true.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DefaultBranch {
    /// The steps of the branch.
    pub default: Vec<Step>,
}

/// The same steps for each item of a list. A failure compensates the items that completed, last first.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ForEach {
    /// The name of the step in expressions: its output is the list of the items' outputs.
    pub name: Option<StepName>,
    /// The list, of at most 1,000 items.
    pub for_each: Expression,
    /// The step is skipped if this is false; its output is null then.
    pub when: Option<Expression>,
    /// The name of the item in expressions. Default: `item`.
    #[schemars(rename = "as")]
    pub item: Option<StepName>,
    /// How many items are in flight at once. Default: one.
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: Option<u32>,
    /// The steps for each item.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// The output of one item. Default: the outputs of its steps by name.
    pub output: Option<Value>,
}

/// Waits for a signal or a domain event, whose body is the output.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Wait {
    /// The name of the step in expressions.
    pub name: Option<StepName>,
    /// The signal or event to wait for. One that comes earlier is kept.
    pub wait: Awaited,
    /// The step is skipped if this is false; its output is null then.
    pub when: Option<Expression>,
    /// How long to wait.
    pub timeout: Duration,
    /// The reaction to a timeout. Default: `fail`.
    pub on_timeout: Option<OnWaitTimeout>,
}

/// The signal or event that a step waits for.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Awaited {
    Signal(Signal),
    Event(Pattern),
}

/// A signal to the saga.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signal {
    /// The name of the signal.
    pub signal: Address,
}

/// A domain event, and the saga that it belongs to.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Pattern {
    /// The routing key of the event.
    pub event: Address,
    /// The exchange that the event comes from.
    pub exchange: Address,
    /// Makes the saga's business key from `event`.
    pub correlate: Expression,
    /// A further condition on `event`. It sees what the step sees.
    #[schemars(rename = "match")]
    pub matches: Option<Expression>,
}

/// The reaction to the timeout of a wait.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnWaitTimeout {
    /// As a refusal: the saga rolls back.
    Fail,
    /// The saga continues; the output is null.
    Continue,
    /// The saga waits for an operator.
    Hold,
}

/// Does nothing for a while, or until a time.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Sleep {
    /// For people.
    pub name: Option<StepName>,
    /// How long, or until when.
    pub sleep: For,
    /// The step is skipped if this is false.
    pub when: Option<Expression>,
}

/// How long, or until when.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum For {
    Duration(Duration),
    Until(Until),
}

/// A time that is computed.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Until {
    /// A text as RFC 3339 has it.
    pub until: Expression,
}

/// Runs another saga, and continues when it has completed. It is compensated with this one.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Child {
    /// The name of the step in expressions: its output is that saga's.
    pub name: Option<StepName>,
    /// The name of the other saga.
    pub saga: SagaName,
    /// Its version.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub version: u32,
    /// The step is skipped if this is false; its output is null then.
    pub when: Option<Expression>,
    /// Its input. Texts may hold expressions. Default: an empty object.
    pub input: Option<Value>,
    /// This saga continues without it if it fails.
    pub optional: Option<bool>,
    /// Once it completed, there is no way back.
    pub pivot: Option<bool>,
    /// It stays as it is when this saga rolls back.
    pub compensate: Option<Nothing>,
}

/// Publishes an event, without a reply.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Publish {
    /// For people.
    pub name: Option<StepName>,
    /// The routing key, and the `type` of the message.
    pub publish: Address,
    /// The exchange of the event.
    pub exchange: Address,
    /// The body of the message. Texts may hold expressions. Default: an empty object.
    pub payload: Option<Value>,
    /// The step is skipped if this is false.
    pub when: Option<Expression>,
}

/// Ends the way forward, as a refusal does.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Fail {
    /// For people.
    pub name: Option<StepName>,
    /// Why.
    pub fail: Failure,
    /// The step is skipped if this is false.
    pub when: Option<Expression>,
}

/// Why a saga fails.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Failure {
    /// For programs.
    pub code: Address,
    /// For people. It may hold expressions.
    pub message: Option<String>,
}
