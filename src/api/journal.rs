//! The journal of a saga: read in pages, or followed as it is written.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Which journal entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct JournalQuery {
    /// Entries after this one; from the first on, if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// How many, from 1 to 500; 100 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JournalPage {
    pub entries: Vec<JournalEntry>,
    /// `after` of the next page, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// One accepted input of a saga and what it led to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    /// From 1.
    pub seq: u32,
    #[schema(format = DateTime)]
    pub at: String,
    /// Why the entry was written.
    pub cause: Value,
    /// What is true since.
    pub facts: Vec<Value>,
}

/// One event of a stream of changes: `data` of a server-sent event of the type `entry`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub saga: Uuid,
    #[serde(flatten)]
    pub entry: JournalEntry,
}

/// One server-sent event, field by field.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub event: EventKind,
    /// The `seq` of the entry, in the stream of one saga: what `Last-Event-ID` goes on after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,9}$")]
    pub id: Option<String>,
    /// A `Change` as JSON, or the number of entries that were lost.
    #[schema(content_media_type = "application/json")]
    pub data: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A journal entry.
    Entry,
    /// The watcher was too slow for some entries.
    Lost,
}
