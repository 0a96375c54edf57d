//! The subcommands about definitions, most of them without an orchestrator.

pub mod check;
pub mod definitions;
pub mod diff;
pub mod explain;
pub mod graph;
pub(in crate::cli) mod named;
pub mod sarif;
pub mod schema;
pub mod simulate;
pub mod sources;
pub mod test;
pub mod topology;
