//! What goes over the wire of the admin API: one type for each body and query, shared by the server and by the command
//! line that speaks to it.
//!
//! Times are RFC 3339 in UTC with milliseconds. Steps are named by their paths (`book`, or `book[2]` for an item of a
//! `for_each`). Unknown fields are refused in what comes in, and may be added to what goes out.

pub mod bulk;
pub mod definitions;
pub mod interventions;
pub mod journal;
pub mod problem;
pub mod records;
pub mod sagas;
mod whole;
