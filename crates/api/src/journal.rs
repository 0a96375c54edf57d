//! The journal of a saga, in pages or as a stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A range of journal entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct JournalQuery {
    /// Return the entries after this number. Default: from the first entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// The maximum number of entries, from 1 to 500. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JournalPage {
    pub entries: Vec<JournalEntry>,
    /// The `after` of the next page, which may be empty. Absent if there is no next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// One accepted input of a saga, with the facts that it led to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    /// The number of the entry, from 1.
    pub seq: u32,
    #[schema(format = DateTime)]
    pub at: String,
    /// The input.
    pub cause: Value,
    /// The facts that the input led to.
    pub facts: Vec<Value>,
}

/// One journal entry in a stream: the `data` of a server-sent event of type `entry`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub saga: Uuid,
    #[serde(flatten)]
    pub entry: JournalEntry,
}

/// The fields of one server-sent event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub event: EventKind,
    /// The `seq` of the entry, for `Last-Event-ID`. Only in the stream of one saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,9}$")]
    pub id: Option<String>,
    /// A `Change` as JSON, or the number of lost entries for a `gap`.
    #[schema(schema_with = event_data)]
    pub data: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A journal entry.
    Entry,
    /// The client was too slow, and the stream has lost entries.
    Gap,
}

fn event_data() -> Schema {
    let content = OneOfBuilder::new()
        .item(Ref::from_schema_name(Change::name()))
        .item(ObjectBuilder::new().schema_type(Type::Integer));
    let data = ObjectBuilder::new().schema_type(Type::String).content_media_type("application/json");
    let data = data.content_schema(Some(content));
    data.description(Some("A `Change` as JSON, or the number of lost entries for a `gap`.")).build().into()
}
