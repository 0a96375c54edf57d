//! The types of the admin API: one for each body and query. The server and the CLI share them.
//!
//! Times are RFC 3339 in UTC with milliseconds. A step is identified by its path (`book`, or `book[2]` for an item of a
//! `for_each`). The server rejects requests with unknown fields. Responses may gain fields in later versions.

pub mod bulk;
pub mod definitions;
pub mod interventions;
pub mod journal;
pub mod problem;
pub mod records;
pub mod sagas;
pub mod schema;
mod whole;
