//! The language of definitions, told to editors: the types here are only read, by the generator of its JSON Schema.
//!
//! What a definition may say is decided by `decode`, which also knows what no JSON Schema can tell: which names an
//! expression sees, where a pivot may stand. The schema is never stricter than `decode`, so that an editor complains of
//! nothing that would run.

mod step;
mod text;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use self::step::Step;
use self::text::{Address, AttributeName, Cron, Duration, Expression, Keyed, Range, SagaName};

/// A saga: what it is given, what it does, and how each of its steps is undone. Steps run in the order written; the
/// rollback is derived from what happened.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "A saga of Snorri")]
pub struct File {
    /// The name of the saga.
    pub saga: SagaName,
    /// The version. A registered version never changes.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub version: u32,
    /// For people.
    pub description: Option<String>,
    /// What the input must be like. A start that breaks it is refused.
    pub input: Option<DataSchema>,
    /// The business key, made from the input: one saga for each key.
    pub key: Option<Keyed>,
    /// What a saga can be found by, beside its key: names, and texts that make their values from the input.
    #[schemars(extend("maxProperties" = 16))]
    pub attributes: Option<BTreeMap<AttributeName, String>>,
    /// How long a saga may run before it is cancelled.
    pub timeout: Option<Duration>,
    /// What starts a saga by itself. A definition that an event starts needs a `key`.
    pub start: Option<Vec<Start>>,
    /// Whether what becomes of its sagas is published. `false` if nothing is said.
    pub lifecycle_events: Option<bool>,
    /// What follows when a success contradicts what was decided without it. `record` if nothing is said.
    pub on_late_reply: Option<OnLateReply>,
    /// What follows when a compensation cannot be done. `stop` if nothing is said.
    pub on_compensation_failure: Option<OnCompensationFailure>,
    /// Timeouts and retries by name, to be used with `policy: name`.
    pub policies: Option<BTreeMap<String, Policy>>,
    /// What holds for every command that says nothing else.
    pub defaults: Option<Defaults>,
    /// What the saga does, in this order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// The saga's output, once it has completed. Texts may hold expressions.
    pub output: Option<Value>,
    /// What the output must be like. An output that breaks it is an incident.
    pub output_schema: Option<DataSchema>,
}

/// A JSON Schema (2020-12). With `$ref: schemas/order.json` it is taken from a file beside the definition.
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
    /// The saga's input, made from `event`; the event's body if nothing is said.
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

/// What follows when a success contradicts what was decided without it.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnLateReply {
    /// It is journaled and counted.
    Record,
    /// It also raises an incident that an operator must pass over before the saga can end.
    Stuck,
}

/// What follows when a compensation's attempts are used up, or it is refused. Either way the saga ends stuck.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnCompensationFailure {
    /// Nothing before it is undone until an operator decides.
    Stop,
    /// The rest is undone.
    Continue,
}

/// How long an attempt waits for its reply, and how often it is made.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Policy {
    /// How long one attempt waits for its reply.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command, before an operator is asked. `10m` if it is left out.
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

/// What holds for every command that says nothing else.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Defaults {
    /// The exchange of all commands. Not of what is published.
    pub exchange: Option<Address>,
    /// How long one attempt waits for its reply. `30s` if nothing is said.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command, before an operator is asked. `10m` if it is left out.
    pub unroutable_timeout: Option<Duration>,
    /// Five attempts, `200ms..30s`, if nothing is said.
    pub retry: Option<Retry>,
    /// The name of one of `policies`.
    pub policy: Option<String>,
    /// The same for the commands that undo.
    pub compensation: Option<CompensationDefaults>,
}

/// What holds for every compensation that says nothing else.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CompensationDefaults {
    /// How long one attempt waits for its reply. The step's if nothing is said.
    pub timeout: Option<Duration>,
    /// How long a saga waits for a queue that takes the command, before an operator is asked. `10m` if it is left out.
    pub unroutable_timeout: Option<Duration>,
    /// Ten attempts, `1s..1m`, if nothing is said.
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

/// What Rust's types say and the language does not: that what may be left out may be null, and how wide a number is.
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
