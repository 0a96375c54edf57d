//! Interventions in one saga.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::sagas::Saga;
use super::whole;
use crate::schema;
use snorri_core::{Direction, Status};

/// The body of a request that needs only a reason, such as cancel, pause, resume, rollback and abandon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// The reason, for the journal and the audit log. From 1 to 1,000 characters.
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    /// The person on whose behalf the request is made, if not the owner of the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// A body that carries a reason and optionally an actor.
pub trait Reasoned {
    fn reason(&self) -> &str;
    fn actor(&self) -> Option<&str>;
}

macro_rules! reasoned {
    ($($body:ty),*) => {$(
        impl Reasoned for $body {
            fn reason(&self) -> &str {
                &self.reason
            }

            fn actor(&self) -> Option<&str> {
                self.actor.as_deref()
            }
        }
    )*};
}

reasoned!(ReasonBody, StepBody, ResolveBody, RestartBody, MigrateBody);

/// The step to retry or skip.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// The path of the step. If absent, a retry applies to everything that is held, and a skip to the incident without a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[^\[]+(\[[0-9]{1,9}\])*$")]
    pub step: Option<String>,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// The outcome of a held command, as an operator determined it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    #[schema(pattern = r"^[^\[]+(\[[0-9]{1,9}\])*$")]
    pub step: String,
    /// `succeeded`: the command took effect, with `output`. `failed`: it did not. A compensation can only be `succeeded`.
    pub outcome: ResolvedAs,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedAs {
    Succeeded,
    Failed,
}

/// The step at which a new saga continues with the outputs of an ended saga.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartBody {
    /// The name of the first step to run again. It must not be inside a block.
    pub from: String,
    /// `true`: repeat steps that completed and were not compensated. Without it, such a restart is rejected with
    /// `would_repeat_completed`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat_completed: bool,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// The version to migrate a saga to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateBody {
    #[serde(deserialize_with = "whole::read")]
    pub version: u32,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// Whether to preview an intervention.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// `true`: return the result that the request would have, and change nothing.
    pub preview: bool,
}

/// The result of an intervention, or of its preview.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Intervened {
    /// `true`: the request changed nothing.
    pub preview: bool,
    /// The number of journal entries of the saga after the request.
    pub seq: u32,
    #[schema(value_type = schema::Status)]
    pub status: Status,
    /// The messages that Snorri sends.
    pub messages: Vec<EmittedMessage>,
    /// The saga after the intervention.
    pub saga: Saga,
}

/// A saga that continues from another one, or its preview.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Restarted {
    pub id: Uuid,
    /// `false`: an earlier identical request created the saga.
    pub created: bool,
    /// The completed steps that run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<String>,
    /// The first decision of the new saga.
    #[serde(flatten)]
    pub begun: Intervened,
}

/// A message that results from a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EmittedMessage {
    pub kind: MessageKind,
    pub step: Option<String>,
    #[schema(value_type = Option<schema::Direction>)]
    pub direction: Option<Direction>,
    pub attempt: Option<u32>,
    /// The exchange or queue.
    pub destination: Option<String>,
    /// The name of the command or event.
    pub name: Option<String>,
    pub payload: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    Command,
    Event,
    ChildCommand,
    /// To the parent saga.
    ChildResult,
    /// To the sender of the start message.
    Outcome,
}

impl MessageKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Event => "event",
            Self::ChildCommand => "child_command",
            Self::ChildResult => "child_result",
            Self::Outcome => "outcome",
        }
    }
}

/// Options of a signal. The body of the request is the payload of the signal.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SignalQuery {
    /// `true`: return the result that the request would have, and change nothing.
    pub preview: bool,
    /// The reason, for the journal and the audit log. From 1 to 1,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
    /// The person on whose behalf the request is made, if not the owner of the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 200)]
    pub actor: Option<String>,
}

/// The result of a migration of a saga to another version of its definition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Migration {
    /// `true`: the request changed nothing.
    pub preview: bool,
    pub from: u32,
    pub to: u32,
    pub safe: bool,
    /// The reasons that block the migration, if it is not safe.
    pub blocked: Vec<Blocked>,
    /// The number of journal entries of the saga after the request.
    pub seq: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocked {
    /// Stable code.
    pub code: String,
    pub step: Option<String>,
    pub message: String,
}
