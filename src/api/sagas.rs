//! Starting sagas and looking at them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::records::DeadLetterLink;
use super::whole;
use crate::saga::problem::Owner;
use crate::saga::{Direction, Status};

/// What a saga is to be started with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The name of the definition.
    #[schema(example = "order")]
    pub definition: String,
    /// The latest active version, if it is left out.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// As the definition's `input` schema wants it.
    #[serde(default)]
    pub input: Value,
    /// To find the saga by: at most 16, names up to 64 characters and values up to 256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A saga that was started, now or before.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Started {
    pub id: Uuid,
    /// The business key.
    pub key: Option<String>,
    /// `false`: it was started before.
    pub created: bool,
}

/// One line of the answer to a bulk start: `started`, or what is wrong with the line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkStarted {
    /// The line of the request, from 1.
    pub line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<super::problem::Problem>,
}

/// Which sagas: all that match every given field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SagaQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Only together with `definition`.
    #[serde(deserialize_with = "whole::read", skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The business key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Started at this time or later (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    #[param(format = DateTime)]
    pub started_from: Option<String>,
    /// Started before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    #[param(format = DateTime)]
    pub started_until: Option<String>,
    /// Unfinished sagas that are at this step now, by its name or path. A page may then be short, or empty, and have a `next`
    /// all the same: what is not at the step is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Stuck sagas with an incident of this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// `name=value` of an attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "=")]
    #[param(
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*=[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub attribute: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Which page, and how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many on one page, from 1 to 500; 50 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = r"^(0|[1-9][0-9]{0,14}|-[1-9][0-9]{0,13})_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    pub after: Option<String>,
}

/// Sagas, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaPage {
    pub sagas: Vec<SagaSummary>,
    /// Where the next page begins, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A saga, as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaSummary {
    pub id: Uuid,
    pub definition: String,
    pub version: u32,
    pub key: Option<String>,
    pub status: Status,
    pub paused: bool,
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When its status last changed.
    #[schema(format = DateTime)]
    pub changed_at: String,
}

/// How many sagas there are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    pub counts: Vec<Count>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Count {
    pub definition: String,
    pub version: u32,
    pub status: Status,
    pub count: u64,
}

/// One saga as it is now. The `ETag` of the answer is its `seq`, for `If-Match`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Saga {
    pub id: Uuid,
    pub definition: String,
    pub version: u32,
    pub key: Option<String>,
    pub status: Status,
    /// Whether it has ended: nothing will happen to it any more.
    pub ended: bool,
    /// How many journal entries it has.
    pub seq: u32,
    /// Since when it is paused.
    #[schema(format = DateTime)]
    pub paused_at: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When something last happened to it.
    #[schema(format = DateTime)]
    pub changed_at: String,
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    pub input: Value,
    pub output: Option<Value>,
    pub attributes: BTreeMap<String, String>,
    /// What it waits for, in one sentence.
    pub waits_for: String,
    /// Why it turned back, if it did.
    pub problem: Option<SagaProblem>,
    /// The steps as far as they came.
    pub steps: Vec<Step>,
    /// What is still to come in the direction it goes, in order.
    pub remaining: Vec<Ahead>,
    pub incidents: Vec<Incident>,
    /// What will happen by itself, the soonest first.
    pub timers: Vec<Timer>,
    /// The saga and step that this one is part of.
    pub parent: Option<Parent>,
    /// The saga that this one goes on from.
    pub restart_of: Option<Uuid>,
    /// Messages about it that could not be used and that were neither replayed nor discarded: the newest, at most 20.
    #[serde(default)]
    pub dead_letters: Vec<DeadLetterLink>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaProblem {
    /// Stable.
    pub code: String,
    /// Whose code it is: a participant's `timeout` is not Snorri's.
    pub owner: Owner,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Parent {
    pub saga: Uuid,
    pub step: String,
}

/// One step as far as it came.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Step {
    pub step: String,
    pub status: StepStatus,
    /// The last attempt that was sent, of the direction that the step is in.
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What was sent: the command, then the compensation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<SentCommand>,
}

/// A command that was sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SentCommand {
    pub direction: Direction,
    /// Where it was sent to.
    pub exchange: String,
    /// The routing key, and the `type` of the message.
    pub name: String,
    /// The idempotency key, which is the same for every attempt.
    pub message_id: Uuid,
    /// The number of the last attempt.
    pub attempts: u32,
    /// Only with `include=payloads`, and only of as many commands as have 1 MiB together. Made from the definition and the outputs
    /// of the steps, as it was when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// What to add to a saga.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct GetQuery {
    /// `payloads`: the payload of each command that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub include: Option<Include>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    Payloads,
}

/// What became of a step, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// A command was sent, and has no reply yet.
    Awaiting,
    /// It will be tried again.
    Backoff,
    /// No queue takes its command: it is sent again until one does.
    WaitingForRoute,
    /// It waits for an operator.
    Held,
    Completed,
    Failed,
    /// Its `when` was false.
    Omitted,
    /// For a signal, an event, or the end of a child saga.
    Waiting,
    Sleeping,
    /// Nobody knows whether it happened.
    Unknown,
    Compensating,
    Compensated,
}

/// A step that is still to come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ahead {
    pub step: String,
    /// What it will do: `command`, `compensation`, `wait`, `sleep`, `saga`, `publish`, `fail`, `choice` or `for_each`.
    pub action: String,
    /// The command, event, signal or saga that it names.
    pub name: Option<String>,
    /// Whether it may be left out: it has a `when`, or stands in a branch of a choice that is not made yet.
    pub conditional: bool,
}

/// Why a saga waits for an operator, and what can be done about it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    pub step: Option<String>,
    pub direction: Option<Direction>,
    pub code: String,
    /// Whose code it is.
    pub owner: Owner,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    #[schema(format = DateTime)]
    pub since: String,
    /// The interventions that would be accepted now: `retry`, `resolve`, `skip`, `roll_back`, `abandon`.
    pub can: Vec<String>,
}

/// Something that will happen by itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Timer {
    /// `None`: it is about the whole saga.
    pub step: Option<String>,
    /// `deadline`, `retry`, `sleep` or `timeout`.
    pub what: String,
    #[schema(format = DateTime)]
    pub at: String,
}

/// How long to wait for the end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds, at most 60; 30 if it is left out. When they have passed, the saga is answered as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60)]
    pub timeout: Option<u32>,
    /// `true`: the saga is answered when it is stuck as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<bool>,
}
