//! The items of `steps`, told apart by one key.

use schemars::JsonSchema;
use serde_json::Value;

use super::text::{Address, Duration, Expression, SagaName, StepName};
use super::{DataSchema, Retry};

/// One step: a command, or a block that decides, repeats, waits, starts another saga, tells or ends.
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
    /// The step is left out if this is false; its output is null then.
    pub when: Option<Expression>,
    /// Where it goes. `defaults.exchange` if nothing is said.
    pub exchange: Option<Address>,
    /// The body of the message: an empty object if nothing is said. Texts may hold expressions.
    pub payload: Option<Value>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command, before an operator is asked. `10m` if it is left out.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses.
    pub retry: Option<Retry>,
    /// The saga goes on without it, if it is refused or nobody knows what became of it.
    pub optional: Option<bool>,
    /// Once it succeeded, there is no way back: all after it is retried until it succeeds.
    pub pivot: Option<bool>,
    /// What follows when an attempt's reply does not come in time. `retry` if nothing is said.
    pub on_timeout: Option<OnTimeout>,
    /// What a success must carry.
    pub reply: Option<DataSchema>,
    /// The domain events that are replies to it, beside direct ones.
    pub on: Option<Vec<EventReply>>,
    /// How it is undone. Every step before the pivot says it.
    pub compensate: Option<Compensate>,
}

/// What follows when an attempt's reply does not come in time.
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

/// The command that undoes a step, or `none`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Compensate {
    Nothing(Nothing),
    By(Box<Compensation>),
}

/// There is nothing to undo.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Nothing {
    None,
}

/// The command that undoes a step. It sees the output of its own step too, null if that is unknown.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Compensation {
    /// The routing key, and the `type` of the message.
    pub command: Address,
    /// Where it goes. The step's if nothing is said.
    pub exchange: Option<Address>,
    /// The body of the message: an empty object if nothing is said. Texts may hold expressions.
    pub payload: Option<Value>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command, before an operator is asked. `10m` if it is left out.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses.
    pub retry: Option<Retry>,
    /// The domain events that are replies to it, beside direct ones.
    pub on: Option<Vec<EventReply>>,
}

/// A domain event that says what became of a command.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventReply {
    /// The routing key of the event.
    pub event: Address,
    /// The exchange that the event comes from.
    pub exchange: Address,
    /// Makes the saga's business key from `event`.
    pub correlate: Expression,
    /// What must also be true of `event`, seen from the step.
    #[schemars(rename = "match")]
    pub matches: Option<Expression>,
    /// What it says of the command.
    pub outcome: EventOutcome,
}

/// What an event says of a command.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum EventOutcome {
    /// It is done: the event's body is the output.
    Success,
    /// It is refused: nothing happened.
    Failure,
    /// It did not work this time: the next attempt.
    Error,
}

/// Lists of steps side by side. All are awaited; when one fails, all are undone.
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
    /// The branches. `otherwise` comes last, if there is one.
    pub choice: Vec<Branch>,
}

/// A branch of a choice.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Branch {
    When(When),
    Otherwise(Otherwise),
}

/// Taken if its condition is the first one that is true.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct When {
    /// The condition.
    pub when: Expression,
    /// What is done then.
    pub steps: Vec<Step>,
}

/// Taken if no condition is true.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Otherwise {
    /// What is done then.
    pub otherwise: Vec<Step>,
}

/// The same steps for each item of a list. A failure undoes the items that completed, last first.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ForEach {
    /// The name of the step in expressions: its output is the list of the items' outputs.
    pub name: Option<StepName>,
    /// The list, of at most 1,000 items.
    pub for_each: Expression,
    /// It is left out if this is false; its output is null then.
    pub when: Option<Expression>,
    /// The name of the item in expressions. `item` if nothing is said.
    #[schemars(rename = "as")]
    pub item: Option<StepName>,
    /// How many items are under way at once. One if nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: Option<u32>,
    /// What is done for each item.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// The output of one item. The outputs of its steps by name if nothing is said.
    pub output: Option<Value>,
}

/// Waits for a signal or a domain event, whose body is the output.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Wait {
    /// The name of the step in expressions.
    pub name: Option<StepName>,
    /// What is waited for. What came before its wait is kept for it.
    pub wait: Awaited,
    /// It is left out if this is false; its output is null then.
    pub when: Option<Expression>,
    /// How long.
    pub timeout: Duration,
    /// What follows when nothing came. `fail` if nothing is said.
    pub on_timeout: Option<OnWaitTimeout>,
}

/// What is waited for.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Awaited {
    Signal(Signal),
    Event(Pattern),
}

/// Somebody sends the saga a signal of this name.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signal {
    /// The name of the signal.
    pub signal: Address,
}

/// A domain event, and whose.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Pattern {
    /// The routing key of the event.
    pub event: Address,
    /// The exchange that the event comes from.
    pub exchange: Address,
    /// Makes the saga's business key from `event`.
    pub correlate: Expression,
    /// What must also be true of `event`, seen from the step.
    #[schemars(rename = "match")]
    pub matches: Option<Expression>,
}

/// What follows when nothing came that a saga waited for.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnWaitTimeout {
    /// As a refusal: the saga rolls back.
    Fail,
    /// The saga goes on; the output is null.
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
    /// It is left out if this is false.
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

/// Runs another saga, and goes on when it has completed. It is undone with this one.
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
    /// It is left out if this is false; its output is null then.
    pub when: Option<Expression>,
    /// Its input: an empty object if nothing is said. Texts may hold expressions.
    pub input: Option<Value>,
    /// This saga goes on without it.
    pub optional: Option<bool>,
    /// Once it completed, there is no way back.
    pub pivot: Option<bool>,
    /// It stays as it is when this saga rolls back.
    pub compensate: Option<Nothing>,
}

/// Publishes an event, which nobody answers.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Publish {
    /// For people.
    pub name: Option<StepName>,
    /// The routing key, and the `type` of the message.
    pub publish: Address,
    /// Where it goes.
    pub exchange: Address,
    /// The body of the message: an empty object if nothing is said. Texts may hold expressions.
    pub payload: Option<Value>,
    /// It is left out if this is false.
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
    /// It is left out if this is false.
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
