//! What is kept beside the sagas: dead letters and the audit.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Which dead letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<Uuid>,
    /// The queue it was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `true`: those that were replayed or discarded, too.
    pub resolved: bool,
}

/// Dead letters, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    pub dead_letters: Vec<DeadLetter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message that nothing could be made of.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub at: String,
    /// The queue it was taken from, and goes back to.
    pub queue: String,
    /// Stable.
    pub code: String,
    pub reason: String,
    pub saga: Option<Uuid>,
    pub step: Option<String>,
    /// Its AMQP properties.
    pub properties: Value,
    /// The body, as text; bytes that are none are shown as `\u{fffd}`.
    pub body: String,
    /// When it was replayed or discarded.
    #[schema(format = DateTime)]
    pub resolved_at: Option<String>,
}

/// A dead letter of a saga, in short.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterLink {
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub at: String,
    /// Stable.
    pub code: String,
    pub reason: String,
    pub step: Option<String>,
}

/// A key of correlation tokens, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenKey {
    /// From 1.
    pub number: u32,
    /// From when on it signs.
    #[schema(format = DateTime)]
    pub signs_from: String,
}

/// Which entries of the audit.
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

/// What was changed by hand, newest first.
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
    /// The journal entry that it led to.
    pub seq: Option<u32>,
    pub step: Option<String>,
    /// `name@version`, if it is about a definition.
    pub definition: Option<String>,
    pub before: Value,
    pub after: Value,
}

/// Who the credentials say is asking.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    pub name: String,
    /// `viewer`, `operator`, `deployer` or `admin`.
    pub role: String,
}
