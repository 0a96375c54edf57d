//! The JSON Schema of definitions, for editors: its generator is the only user of the types here.
//!
//! `decode` decides which definitions are valid. It also checks what no JSON Schema can express: which names an expression sees,
//! where a pivot may stand. The schema is never stricter than `decode`, so that an editor never complains about a definition
//! that would run.

mod step;
mod text;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use self::step::Step;
use self::text::{Address, AttributeName, Cron, Duration, Expression, Keyed, Range, SagaName};

/// A saga: its input, its steps, and their compensations. Steps run in the order written; the rollback is derived from what
/// happened.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "A saga of Snorri")]
pub struct File {
    /// The name of the saga.
    pub saga: SagaName,
    /// The version. A registered version never changes.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub version: u32,
    /// A description for people.
    pub description: Option<String>,
    /// The schema of the input. A start with an invalid input is refused.
    pub input: Option<DataSchema>,
    /// The business key, made from the input: one saga for each key.
    pub key: Option<Keyed>,
    /// Attributes by which sagas are found, besides the key: names, and texts that make their values from the input.
    #[schemars(extend("maxProperties" = 16))]
    pub attributes: Option<BTreeMap<AttributeName, String>>,
    /// How long a saga may run before it is cancelled.
    pub timeout: Option<Duration>,
    /// The events and schedules that start a saga. A definition that an event starts needs a `key`.
    pub start: Option<Vec<Start>>,
    /// Whether to publish an event when the status of a saga changes. Default: `false`.
    pub lifecycle_events: Option<bool>,
    /// The reaction to a late success that contradicts an earlier decision. Default: `record`.
    pub on_late_reply: Option<OnLateReply>,
    /// The reaction to a failed compensation. Default: `stop`.
    pub on_compensation_failure: Option<OnCompensationFailure>,
    /// Timeouts and retries by name, to be used with `policy: name`.
    pub policies: Option<BTreeMap<String, Policy>>,
    /// The defaults of all commands.
    pub defaults: Option<Defaults>,
    /// The steps of the saga, in this order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// The saga's output, once it has completed. Texts may hold expressions.
    pub output: Option<Value>,
    /// The schema of the output. An invalid output raises an incident.
    pub output_schema: Option<DataSchema>,
}

/// A JSON Schema (2020-12). `$ref: schemas/order.json` refers to a file next to the definition.
#[derive(Debug, JsonSchema)]
#[schemars(transparent)]
pub struct DataSchema(pub Map<String, Value>);

/// What starts a saga.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Start {
    Event(EventStart),
    Schedule(ScheduleStart),
}

/// Starts a saga for each event.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventStart {
    /// The routing key of the event.
    pub event: Address,
    /// The exchange that the event comes from.
    pub exchange: Address,
    /// Only events for which this is true. It sees `event`.
    pub when: Option<Expression>,
    /// The saga's input, made from `event`. Default: the body of the event.
    pub input: Option<Value>,
}

/// Starts a saga again and again. After downtime a missed schedule runs once.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ScheduleStart {
    /// When, in UTC.
    pub schedule: Cron,
    /// The saga's input, made from `schedule.time`.
    pub input: Option<Value>,
}

/// The reaction to a late success that contradicts an earlier decision.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnLateReply {
    /// It is journaled and counted.
    Record,
    /// It also raises an incident that an operator must pass over before the saga can end.
    Stuck,
}

/// The reaction to a compensation that has used up its attempts, or is refused. Either way the saga ends stuck.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnCompensationFailure {
    /// Nothing before it is compensated until an operator decides.
    Stop,
    /// The rest is compensated.
    Continue,
}

/// How long an attempt waits for its reply, and how often it is made.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Policy {
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses.
    pub retry: Option<Retry>,
}

/// Attempts, and the pauses between them, which double each time and vary a little.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Retry {
    /// All attempts, the first one included.
    #[schemars(range(min = 1, max = 1_000))]
    pub attempts: Option<u32>,
    /// The first pause and the longest one.
    pub backoff: Option<Range>,
}

/// The defaults of all commands.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Defaults {
    /// The exchange of all commands. Not of what is published.
    pub exchange: Option<Address>,
    /// How long one attempt waits for its reply. Default: `30s`.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses. Default: five attempts, `200ms..30s`.
    pub retry: Option<Retry>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// The defaults of all compensations.
    pub compensation: Option<CompensationDefaults>,
}

/// The defaults of all compensations.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CompensationDefaults {
    /// How long one attempt waits for its reply. Default: that of the step.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
    pub unroutable_timeout: Option<Duration>,
    /// How often, and with which pauses. Default: ten attempts, `1s..1m`.
    pub retry: Option<Retry>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
}

/// The JSON Schema (2020-12) of a definition.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.transforms.push(Box::new(RecursiveTransform(tidy)));
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// Removes what Rust's types express and the language does not: that an optional key may be null, and the width of numbers.
fn tidy(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("format");
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [single] = types.as_slice() {
            let single = single.clone();
            object.insert("type".into(), single);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type") != Some(&"null".into()));
    if let [Value::Object(single)] = choices.as_slice() {
        let single = single.clone();
        object.remove("anyOf");
        object.extend(single);
    }
}
