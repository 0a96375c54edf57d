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

mapping! {
    /// Sends a command, and awaits its reply.
    Command {
        /// The name of the step in expressions, as in `reserve.output`.
        name: StepName,
        /// The routing key, and the `type` of the message.
        command: Address,
        /// The step is skipped if this is false; its output is null then.
        when: Option<Expression>,
        /// The exchange of the command. Default: `defaults.exchange`.
        exchange: Option<Address>,
        /// The body of the message. Texts may hold expressions. Default: an empty object.
        payload: Option<Value>,
        /// The name of one of `policies`.
        policy: Option<String>,
        /// How long one attempt waits for its reply.
        timeout: Option<Duration>,
        /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
        unroutable_timeout: Option<Duration>,
        /// How often, and with which pauses.
        retry: Option<Retry>,
        /// The saga continues without the step if it is refused or its outcome is unknown.
        optional: Option<bool>,
        /// Once it succeeded, there is no way back: all after it is retried until it succeeds.
        pivot: Option<bool>,
        /// The reaction to an attempt whose reply does not come in time. Default: `retry`.
        on_timeout: Option<OnTimeout>,
        /// The schema of a successful reply.
        reply: Option<DataSchema>,
        /// The domain events that are replies to it, besides direct ones.
        reply_events: Option<Vec<EventReply>>,
        /// The compensation. Required for every step before the pivot.
        compensate: Option<Compensate>,
    }
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

mapping! {
    /// The command that compensates a step. It sees the output of its own step too, null if that is unknown.
    Compensation {
        /// The routing key, and the `type` of the message.
        command: Address,
        /// The exchange of the command. Default: that of the step.
        exchange: Option<Address>,
        /// The body of the message. Texts may hold expressions. Default: an empty object.
        payload: Option<Value>,
        /// The name of one of `policies`.
        policy: Option<String>,
        /// How long one attempt waits for its reply.
        timeout: Option<Duration>,
        /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
        unroutable_timeout: Option<Duration>,
        /// How often, and with which pauses.
        retry: Option<Retry>,
        /// The domain events that are replies to it, besides direct ones.
        reply_events: Option<Vec<EventReply>>,
    }
}

mapping! {
    /// A domain event that reports the outcome of a command.
    EventReply {
        /// The routing key of the event.
        event: Address,
        /// The exchange that the event comes from.
        exchange: Address,
        /// Makes the saga's business key from `event`.
        correlate: Expression,
        /// A further condition on `event`. It sees what the step sees.
        #[schemars(rename = "match")]
        matches as match: Option<Expression>,
        /// The outcome of the command.
        outcome: EventOutcome,
    }
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

mapping! {
    /// Lists of steps side by side. All are awaited; when one fails, all are compensated.
    Parallel {
        /// For people.
        name: Option<StepName>,
        /// The branches, each a list of steps: `- - name: ...`.
        parallel: Vec<Vec<Step>>,
    }
}

mapping! {
    /// The first branch whose condition is true, or nothing.
    Choice {
        /// For people.
        name: Option<StepName>,
        /// The branches. `default` comes last, if there is one.
        choice: Vec<Branch>,
    }
}

/// A branch of a choice.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Branch {
    When(When),
    Default(DefaultBranch),
}

mapping! {
    /// Taken if its condition is the first one that is true.
    When {
        /// The condition.
        when: Expression,
        /// The steps of the branch.
        steps: Vec<Step>,
    }
}

mapping! {
    /// Taken if no condition is true.
    DefaultBranch {
        /// The steps of the branch.
        default: Vec<Step>,
    }
}

mapping! {
    /// The same steps for each item of a list. A failure compensates the items that completed, last first.
    ForEach {
        /// The name of the step in expressions: its output is the list of the items' outputs.
        name: Option<StepName>,
        /// The list, of at most 1,000 items.
        for_each: Expression,
        /// The step is skipped if this is false; its output is null then.
        when: Option<Expression>,
        /// The name of the item in expressions. Default: `item`.
        #[schemars(rename = "as")]
        item as as: Option<StepName>,
        /// How many items are in flight at once. Default: one.
        #[schemars(range(min = 1, max = 100))]
        concurrency: Option<u32>,
        /// The steps for each item.
        #[schemars(length(min = 1))]
        steps: Vec<Step>,
        /// The output of one item. Default: the outputs of its steps by name.
        output: Option<Value>,
    }
}

mapping! {
    /// Waits for a signal or a domain event, whose body is the output.
    Wait {
        /// The name of the step in expressions.
        name: Option<StepName>,
        /// The signal or event to wait for. One that comes earlier is kept.
        wait: Awaited,
        /// The step is skipped if this is false; its output is null then.
        when: Option<Expression>,
        /// How long to wait.
        timeout: Duration,
        /// The reaction to a timeout. Default: `fail`.
        on_timeout: Option<OnWaitTimeout>,
    }
}

/// The signal or event that a step waits for.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Awaited {
    Signal(Signal),
    Event(Pattern),
}

mapping! {
    /// A signal to the saga.
    Signal {
        /// The name of the signal.
        signal: Address,
    }
}

mapping! {
    /// A domain event, and the saga that it belongs to.
    Pattern {
        /// The routing key of the event.
        event: Address,
        /// The exchange that the event comes from.
        exchange: Address,
        /// Makes the saga's business key from `event`.
        correlate: Expression,
        /// A further condition on `event`. It sees what the step sees.
        #[schemars(rename = "match")]
        matches as match: Option<Expression>,
    }
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

mapping! {
    /// Does nothing for a while, or until a time.
    Sleep {
        /// For people.
        name: Option<StepName>,
        /// How long, or until when.
        sleep: For,
        /// The step is skipped if this is false.
        when: Option<Expression>,
    }
}

/// How long, or until when.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum For {
    Duration(Duration),
    Until(Until),
}

mapping! {
    /// A time that is computed.
    Until {
        /// A text as RFC 3339 has it.
        until: Expression,
    }
}

mapping! {
    /// Runs another saga, and continues when it has completed. It is compensated with this one.
    Child {
        /// The name of the step in expressions: its output is that saga's.
        name: Option<StepName>,
        /// The name of the other saga.
        saga: SagaName,
        /// Its version.
        #[schemars(range(min = 1, max = 2_147_483_647))]
        version: u32,
        /// The step is skipped if this is false; its output is null then.
        when: Option<Expression>,
        /// Its input. Texts may hold expressions. Default: an empty object.
        input: Option<Value>,
        /// This saga continues without it if it fails.
        optional: Option<bool>,
        /// Once it completed, there is no way back.
        pivot: Option<bool>,
        /// It stays as it is when this saga rolls back.
        compensate: Option<Nothing>,
    }
}

mapping! {
    /// Publishes an event, without a reply.
    Publish {
        /// For people.
        name: Option<StepName>,
        /// The routing key, and the `type` of the message.
        publish: Address,
        /// The step is skipped if this is false.
        when: Option<Expression>,
        /// The exchange of the event.
        exchange: Address,
        /// The body of the message. Texts may hold expressions. Default: an empty object.
        payload: Option<Value>,
    }
}

mapping! {
    /// Ends the way forward, as a refusal does.
    Fail {
        /// For people.
        name: Option<StepName>,
        /// Why.
        fail: Failure,
        /// The step is skipped if this is false.
        when: Option<Expression>,
    }
}

mapping! {
    /// Why a saga fails.
    Failure {
        /// For programs.
        code: Address,
        /// For people. It may hold expressions.
        message: Option<String>,
    }
}
