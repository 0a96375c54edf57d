//! Dead letters, the audit log and token keys.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Filter for dead letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<Uuid>,
    /// The queue from which the message was consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `true`: include dead letters that were replayed or discarded.
    pub resolved: bool,
}

/// Dead letters, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    pub dead_letters: Vec<DeadLetter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message that Snorri could not handle.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub at: String,
    /// The queue from which the message was consumed. A replay publishes it there.
    pub queue: String,
    /// Stable code.
    pub code: String,
    pub reason: String,
    pub saga: Option<Uuid>,
    pub step: Option<String>,
    /// The AMQP properties of the message.
    pub properties: Value,
    /// The body as text. Invalid UTF-8 is replaced with `\u{fffd}`.
    pub body: String,
    /// The time at which the dead letter was replayed or discarded.
    #[schema(format = DateTime)]
    pub resolved_at: Option<String>,
}

/// A summary of a dead letter of a saga.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterLink {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub at: String,
    /// Stable code.
    pub code: String,
    pub reason: String,
    pub step: Option<String>,
}

/// A key that authenticates correlation tokens, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenKey {
    /// The number of the key, from 1.
    pub number: u32,
    /// The time from which new tokens are signed with this key.
    #[schema(format = DateTime)]
    pub signs_from: String,
}

/// Filter for entries of the audit log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// Entries of the audit log, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub at: String,
    pub actor: String,
    pub action: String,
    pub reason: String,
    pub saga: Option<Uuid>,
    /// The journal entry that the action led to.
    pub seq: Option<u32>,
    pub step: Option<String>,
    /// `name@version`, if the action concerns a definition.
    pub definition: Option<String>,
    pub before: Value,
    pub after: Value,
}

/// The owner of the credentials of a request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    pub name: String,
    /// `viewer`, `operator`, `deployer` or `admin`.
    pub role: String,
}
