//! The JSON Schema of definitions, for editors: its generator is the only user of the types here. Their keys are also
//! those of the decoder.
//!
//! `decode` decides which definitions are valid. It also checks what no JSON Schema can express: which names an expression sees,
//! where a pivot may stand. The schema is never stricter than `decode`, so that an editor never complains about a definition
//! that would run.

/// A mapping of the language, written once: `KEYS` are its keys for the decoder and its suggestions, the type is for the schema.
/// `field as key` is for a key that is a word of Rust.
macro_rules! mapping {
    ($(#[$about:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident $(as $key:ident)?: $type:ty),* $(,)? }) => {
        #[derive(Debug, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$about])*
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
        }

        impl $name {
            pub(crate) const KEYS: &'static [&'static str] = &[$(mapping!(@ $field $($key)?)),*];
        }
    };
    (@ $field:ident $key:ident) => { stringify!($key) };
    (@ $field:ident) => { stringify!($field) };
}

pub(crate) mod step;
mod text;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use self::step::Step;
use self::text::{Address, AttributeName, Cron, Duration, Expression, Keyed, Range, SagaName};

mapping! {
    /// A saga: its input, its steps, and their compensations. Steps run in the order written; the rollback is derived from what
    /// happened.
    #[schemars(title = "A saga of Snorri")]
    File {
        /// The name of the saga.
        saga: SagaName,
        /// The version. A registered version never changes.
        #[schemars(range(min = 1, max = 2_147_483_647))]
        version: u32,
        /// A description for people.
        description: Option<String>,
        /// The schema of the input. A start with an invalid input is refused.
        input: Option<DataSchema>,
        /// The business key, made from the input: one saga for each key.
        key: Option<Keyed>,
        /// Attributes by which sagas are found, besides the key: names, and texts that make their values from the input.
        #[schemars(extend("maxProperties" = 16))]
        attributes: Option<BTreeMap<AttributeName, String>>,
        /// How long a saga may run before it is cancelled.
        timeout: Option<Duration>,
        /// The events and schedules that start a saga. A definition that an event starts needs a `key`.
        start: Option<Vec<Start>>,
        /// Whether to publish an event when the status of a saga changes. Default: `false`.
        lifecycle_events: Option<bool>,
        /// The reaction to a late success that contradicts an earlier decision. Default: `record`.
        on_late_reply: Option<OnLateReply>,
        /// The reaction to a failed compensation. Default: `stop`.
        on_compensation_failure: Option<OnCompensationFailure>,
        /// Timeouts and retries by name, to be used with `policy: name`.
        policies: Option<BTreeMap<String, Policy>>,
        /// The defaults of all commands.
        defaults: Option<Defaults>,
        /// The steps of the saga, in this order.
        #[schemars(length(min = 1))]
        steps: Vec<Step>,
        /// The saga's output, once it has completed. Texts may hold expressions.
        output: Option<Value>,
        /// The schema of the output. An invalid output raises an incident.
        output_schema: Option<DataSchema>,
    }
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

mapping! {
    /// Starts a saga for each event.
    EventStart {
        /// The routing key of the event.
        event: Address,
        /// The exchange that the event comes from.
        exchange: Address,
        /// Only events for which this is true. It sees `event`.
        when: Option<Expression>,
        /// The saga's input, made from `event`. Default: the body of the event.
        input: Option<Value>,
    }
}

mapping! {
    /// Starts a saga again and again. After downtime a missed schedule runs once.
    ScheduleStart {
        /// When, in UTC.
        schedule: Cron,
        /// The saga's input, made from `schedule.time`.
        input: Option<Value>,
    }
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

mapping! {
    /// How long an attempt waits for its reply, and how often it is made.
    Policy {
        /// How long one attempt waits for its reply.
        timeout: Option<Duration>,
        /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
        unroutable_timeout: Option<Duration>,
        /// How often, and with which pauses.
        retry: Option<Retry>,
    }
}

mapping! {
    /// Attempts, and the pauses between them, which double each time and vary a little.
    Retry {
        /// All attempts, the first one included.
        #[schemars(range(min = 1, max = 1_000))]
        attempts: Option<u32>,
        /// The first pause and the longest one.
        backoff: Option<Range>,
    }
}

mapping! {
    /// The defaults of all commands.
    Defaults {
        /// The exchange of all commands. Not of what is published.
        exchange: Option<Address>,
        /// How long one attempt waits for its reply. Default: `30s`.
        timeout: Option<Duration>,
        /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
        unroutable_timeout: Option<Duration>,
        /// How often, and with which pauses. Default: five attempts, `200ms..30s`.
        retry: Option<Retry>,
        /// The name of one of `policies`.
        policy: Option<String>,
        /// The defaults of all compensations.
        compensation: Option<CompensationDefaults>,
    }
}

mapping! {
    /// The defaults of all compensations.
    CompensationDefaults {
        /// How long one attempt waits for its reply. Default: that of the step.
        timeout: Option<Duration>,
        /// How long a saga waits for a queue that takes the command before it raises an incident. Default: `10m`.
        unroutable_timeout: Option<Duration>,
        /// How often, and with which pauses. Default: ten attempts, `1s..1m`.
        retry: Option<Retry>,
        /// The name of one of `policies`.
        policy: Option<String>,
    }
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
