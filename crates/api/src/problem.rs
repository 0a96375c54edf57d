//! Error responses: problem details (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Problem details (RFC 9457), as `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "urn:snorri:problem:saga_not_found")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable code. Clients may rely on it.
    pub code: String,
    pub detail: String,
    /// The places in the request that caused the problem, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<At>,
    /// The diagnostics of a definition: `{file, omitted, diagnostics: [...]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct At {
    /// A JSON Pointer into the body of the request.
    pub pointer: String,
    pub detail: String,
}
