//! OpenAPI schemas that cannot be derived: of the enums of the core, which does not depend on OpenAPI, and of texts.

#![allow(dead_code, reason = "only their schemas are used")]

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use snorri_core::definition::StepKind;
use snorri_core::input;
use snorri_core::outlook::UpcomingAction;

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

pub(crate) fn upcoming_action() -> Schema {
    let names = StepKind::ALL.map(|kind| UpcomingAction::Step(kind).as_str());
    let names = names.into_iter().chain([UpcomingAction::Compensation.as_str()]);
    one_of(names).description(Some("`compensation`, or the kind of the step.")).build().into()
}

pub(crate) fn attributes() -> Schema {
    let text = |min, max| {
        ObjectBuilder::new().schema_type(Type::String).min_length(min).max_length(Some(max)).build()
    };
    let about = "Attributes for finding the saga: at most 16, with names of up to 64 characters and values of up to 256.";
    let attributes = ObjectBuilder::new().max_properties(Some(16)).property_names(Some(text(Some(1), 64)));
    let attributes = attributes.additional_properties(Some(Schema::from(text(None, 256))));
    attributes.description(Some(about)).build().into()
}

/// An object with a definition.
pub(crate) fn has_definition() -> Object {
    let definition = ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new().property("definition", definition).required("definition").build()
}

/// An action of a bulk request.
#[derive(Debug)]
pub struct BulkAction;

impl PartialSchema for BulkAction {
    fn schema() -> RefOr<Schema> {
        one_of(input::BulkAction::ALL.map(input::BulkAction::as_str)).into()
    }
}

impl ToSchema for BulkAction {}

pub(crate) fn one_of(names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
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

/// What operators can do about an incident.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Intervention {
    Retry,
    Resolve,
    Skip,
    Rollback,
    Abandon,
    RaiseLimits,
}

/// What happens at the time of a timer.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TimerKind {
    /// The end of the wait for a reply, a signal or an event.
    Deadline,
    Retry,
    Sleep,
    /// The timeout of the saga.
    Timeout,
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
