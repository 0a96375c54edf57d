//! Bulk interventions: a dry run first, then the same request with the number that the dry run reported.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::sagas::SagaQuery;
use super::whole;
use crate::schema;
use snorri_core::Status;
use snorri_core::input::BulkAction;

/// An action and the query of the sagas to apply it to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    #[schema(value_type = schema::BulkAction)]
    pub action: BulkAction,
    #[schema(value_type = schema::SagaQuery)]
    pub query: SagaQuery,
    /// The version to migrate to. Only for `migrate`, which requires it.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The maximum number of sagas, from 1 to 10,000. Default: 1,000.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub limit: Option<u32>,
    /// The `affected` of a previous dry run. Without it, the request is a dry run and changes nothing. If the number of affected
    /// sagas differs from it by now, the request is rejected and changes nothing.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// One line of the response (NDJSON): `summary` first, then one `item` for each saga, and `complete` at the end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkLine {
    Summary {
        /// The number of sagas that match the query, up to the limit.
        matching: u64,
        /// The number of matching sagas that the action would change now.
        affected: u64,
        /// `true`: this request changes nothing.
        dry_run: bool,
    },
    Item {
        id: Uuid,
        /// Whether the saga was changed, or would be.
        accepted: bool,
        /// The status after the action. Absent if the saga no longer exists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::Status>)]
        status: Option<Status>,
        /// Stable code of the reason why the saga was not changed. `detail` describes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Complete {
        accepted: u64,
        refused: u64,
    },
}
