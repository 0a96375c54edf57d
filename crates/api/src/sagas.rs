//! Starting, finding and reading sagas.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::records::DeadLetterLink;
use super::whole;
use crate::schema;
use snorri_core::journal::InterventionKind;
use snorri_core::journal::SkipReason;
use snorri_core::outlook::{TimerKind, UpcomingAction};
use snorri_core::problem::Owner;
use snorri_core::{Direction, Status};

/// A request to start a saga.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The name of the definition.
    #[schema(example = "order")]
    pub definition: String,
    /// The version of the definition. Default: the latest active version.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The input. It must match the `input` schema of the definition.
    #[serde(default)]
    pub input: Value,
    /// Attributes for finding the saga: at most 16, with names of up to 64 characters and values of up to 256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = schema::attributes)]
    pub attributes: BTreeMap<String, String>,
}

/// A saga that this request or an earlier one started.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Started {
    pub id: Uuid,
    /// The business key.
    pub key: Option<String>,
    /// `false`: an earlier request started the saga.
    pub created: bool,
}

/// One line of the response to a bulk start: `started`, or the `problem` of the line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkStarted {
    /// The number of the line in the request, from 1.
    pub line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<super::problem::Problem>,
}

/// Filter for sagas. A saga must match every given field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SagaQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The version. Requires `definition`.
    #[serde(deserialize_with = "whole::read", skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Status>)]
    #[param(value_type = Option<schema::Status>)]
    pub status: Option<Status>,
    /// The business key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Sagas that started at this time or later (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    #[param(format = DateTime)]
    pub started_from: Option<String>,
    /// Sagas that started before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    #[param(format = DateTime)]
    pub started_until: Option<String>,
    /// Unfinished sagas that are at this step now, by its name or path. A page may then be short or empty and still have a
    /// `next`, because the filter applies after the page is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Stuck sagas that have an incident with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// An attribute, as `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "=")]
    #[param(
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*=[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub attribute: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// The position and size of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The maximum number of items on a page, from 1 to 500. Default: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// The `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = r"^(0|[1-9][0-9]{0,14}|-[1-9][0-9]{0,13})_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    pub after: Option<String>,
}

/// Sagas, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaPage {
    pub sagas: Vec<SagaSummary>,
    /// The `after` of the next page, which may be empty. Absent if there is no next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A saga in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaSummary {
    pub id: Uuid,
    pub definition: String,
    pub version: u32,
    pub key: Option<String>,
    #[schema(value_type = schema::Status)]
    pub status: Status,
    pub paused: bool,
    #[schema(format = DateTime)]
    pub started_at: String,
    /// The time of the last change of the status.
    #[schema(format = DateTime)]
    pub changed_at: String,
}

/// Numbers of sagas by definition, version and status.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    pub counts: Vec<Count>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Count {
    pub definition: String,
    pub version: u32,
    #[schema(value_type = schema::Status)]
    pub status: Status,
    pub count: u64,
}

/// The current state of one saga. The `ETag` of the response is its `seq`, for `If-Match`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Saga {
    pub id: Uuid,
    pub definition: String,
    pub version: u32,
    pub key: Option<String>,
    #[schema(value_type = schema::Status)]
    pub status: Status,
    /// Whether the status is final.
    pub ended: bool,
    /// The number of journal entries.
    pub seq: u32,
    /// The time at which the saga was paused, if it is paused.
    #[schema(format = DateTime)]
    pub paused_at: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    /// The time of the last journal entry.
    #[schema(format = DateTime)]
    pub changed_at: String,
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    pub input: Value,
    pub output: Option<Value>,
    pub attributes: BTreeMap<String, String>,
    /// What the saga waits for, in one sentence.
    pub waits_for: String,
    /// The reason why the saga rolls back or rolled back, if it does.
    pub problem: Option<SagaProblem>,
    /// The steps that the saga has reached.
    pub steps: Vec<Step>,
    /// The steps still to come in the current direction, in order.
    pub upcoming_steps: Vec<UpcomingStep>,
    pub incidents: Vec<Incident>,
    /// The timers, earliest first.
    pub timers: Vec<Timer>,
    /// The parent saga and the step that started this one.
    pub parent: Option<Parent>,
    /// The saga that this one continues from.
    pub restarted_from: Option<Uuid>,
    /// The newest unresolved dead letters of the saga, at most 20.
    #[serde(default)]
    pub dead_letters: Vec<DeadLetterLink>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SagaProblem {
    /// Stable code.
    pub code: String,
    /// The owner of the code: a `timeout` of a participant differs from a `timeout` of Snorri.
    #[schema(value_type = schema::Owner)]
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

/// The state of one step.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Step {
    pub step: String,
    pub status: StepStatus,
    /// Why the step was skipped, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::SkipReason>)]
    pub skip_reason: Option<SkipReason>,
    /// The number of the last attempt in the current direction of the step.
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The command and then the compensation, as far as they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<SentCommand>,
}

/// A command that was sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SentCommand {
    #[schema(value_type = schema::Direction)]
    pub direction: Direction,
    /// The exchange to which it was sent.
    pub exchange: String,
    /// The routing key and the `type` of the message.
    pub name: String,
    /// The idempotency key. It is the same for every attempt.
    pub message_id: Uuid,
    /// The number of the last attempt.
    pub attempts: u32,
    /// The payload as it was sent. Only with `include=payloads`, and only up to 1 MiB for all commands together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// Optional parts of the response.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct GetQuery {
    /// `payloads`: include the payload of each command that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub include: Option<Include>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    Payloads,
}

/// The status of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// A command was sent and has no reply yet.
    Awaiting,
    /// The step waits for its next attempt.
    RetryScheduled,
    /// No queue is bound for the command. Snorri sends it again until one is.
    WaitingForRoute,
    /// The step waits for an operator.
    Held,
    Completed,
    Failed,
    /// The step was left out, because its `when` was false or an operator skipped it.
    Skipped,
    /// The step waits for a signal, an event, or the end of a child saga.
    Waiting,
    Sleeping,
    /// It is not known whether the command took effect.
    Unknown,
    Compensating,
    Compensated,
}

/// A step that is still to come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpcomingStep {
    pub step: String,
    /// `compensation`, or the kind of the step.
    #[schema(schema_with = schema::upcoming_action)]
    pub action: UpcomingAction,
    /// The command, event, signal or saga that the step names.
    pub name: Option<String>,
    /// Whether the step may be left out: it has a `when`, or is in a branch of a choice that is still open.
    pub conditional: bool,
}

/// A problem of a saga that waits for an operator.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    pub step: Option<String>,
    #[schema(value_type = Option<schema::Direction>)]
    pub direction: Option<Direction>,
    pub code: String,
    /// The owner of the code.
    #[schema(value_type = schema::Owner)]
    pub owner: Owner,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    #[schema(format = DateTime)]
    pub since: String,
    /// The interventions that are possible now.
    #[schema(value_type = Vec<schema::Intervention>)]
    pub allowed_actions: Vec<InterventionKind>,
}

/// A time at which the saga continues without further input.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Timer {
    /// The step. `null` if the timer concerns the whole saga.
    pub step: Option<String>,
    #[schema(value_type = schema::TimerKind)]
    pub kind: TimerKind,
    #[schema(format = DateTime)]
    pub at: String,
}

/// Options of a wait for the end of a saga.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// The maximum wait in seconds, up to 60. Default: 30. After it, the response is the saga in its current state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60)]
    pub timeout: Option<u32>,
    /// `true`: return also when the saga is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<bool>,
}

/// A query, in which a version requires its definition.
#[derive(Debug)]
pub struct DependentQuery;

impl PartialSchema for DependentQuery {
    fn schema() -> RefOr<Schema> {
        let no_version =
            ObjectBuilder::new().property("version", ObjectBuilder::new().schema_type(Type::Null));
        let condition = AnyOfBuilder::new().item(no_version).item(schema::has_definition());
        AllOfBuilder::new().item(SagaQuery::schema()).item(condition).into()
    }
}

impl ToSchema for DependentQuery {
    fn name() -> Cow<'static, str> {
        SagaQuery::name()
    }
}
