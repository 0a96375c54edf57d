//! OpenAPI schemas of the enums of the core, which does not depend on OpenAPI.

#![allow(dead_code, reason = "only their schemas are used")]

use utoipa::ToSchema;

/// Whether a command executes a step or compensates it.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Direction {
    Forward,
    Compensate,
}

/// The owner of a code.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Owner {
    Snorri,
    Participant,
    Definition,
}

/// Why a step was skipped: its `when` was false, or an operator skipped it.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SkipReason {
    Condition,
    Operator,
}

#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Status {
    Running,
    Compensating,
    Stuck,
    Completed,
    Compensated,
    Abandoned,
}
