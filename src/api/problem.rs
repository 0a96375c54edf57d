//! What is answered when something is wrong: problem details (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A problem, as `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "urn:snorri:problem:saga_not_found")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable: clients may rely on it.
    pub code: String,
    pub detail: String,
    /// Where in the request, if it is about certain places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<At>,
    /// What is wrong with a definition: `{file, omitted, diagnostics: [...]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct At {
    /// A JSON Pointer into the request's body.
    pub pointer: String,
    pub detail: String,
}
