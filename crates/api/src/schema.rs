//! OpenAPI schemas of the enums of the core, which does not depend on OpenAPI, and of texts.

#![allow(dead_code, reason = "only their schemas are used")]

use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

/// A text without control and format characters, which all routes reject.
pub const VISIBLE: &str = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$";

pub(crate) fn reason() -> Schema {
    let about = "The reason, for the journal and the audit log. From 1 to 1,000 characters.";
    visible(SchemaType::Type(Type::String), 1_000, about)
}

pub(crate) fn optional_reason() -> Schema {
    let about = "The reason for the registration, for the audit log.";
    visible(SchemaType::from_iter([Type::String, Type::Null]), 1_000, about)
}

pub(crate) fn actor() -> Schema {
    let about = "The person on whose behalf the request is made, if not the owner of the credentials.";
    visible(SchemaType::from_iter([Type::String, Type::Null]), 200, about)
}

fn visible(schema_type: SchemaType, max_length: usize, description: &str) -> Schema {
    let text = ObjectBuilder::new().schema_type(schema_type).pattern(Some(VISIBLE));
    let text = text.min_length(Some(1)).max_length(Some(max_length));
    text.description(Some(description)).build().into()
}

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
