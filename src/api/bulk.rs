//! Doing the same to many sagas: a dry run first, then the same request with what the dry run has found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::sagas::SagaQuery;
use super::whole;
use crate::saga::Status;

/// What to do to which sagas.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    pub action: BulkAction,
    pub query: SagaQuery,
    /// The version to go on with, for `migrate`.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Sagas, at most, from 1 to 10,000; 1,000 if it is left out.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub limit: Option<u32>,
    /// `would_change` of the dry run before. Without it this is the dry run, and nothing is changed; if another number would
    /// be changed by now, nothing is changed either.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Pause,
    Resume,
    Retry,
    Skip,
    RollBack,
    Abandon,
    Migrate,
}

/// One line of the answer (NDJSON): first `found`, then `saga` after `saga`, and `done` at the end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkLine {
    Found {
        /// Sagas that match the query, up to the limit.
        matching: u64,
        /// Those of them that the action would change now.
        would_change: u64,
        /// Whether this changes anything.
        dry_run: bool,
    },
    Saga {
        id: Uuid,
        /// Whether it was changed, or would be.
        accepted: bool,
        /// Its status then. It is left out if the saga is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
        /// Why not: a stable code, and a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Done {
        accepted: u64,
        refused: u64,
    },
}
