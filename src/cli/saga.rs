//! The subcommands about sagas of a running orchestrator.

pub mod bulk;
pub mod interventions;
pub mod list;
pub mod migrate;
pub mod render;
pub mod restart;
pub mod show;
pub mod signal;
pub mod start;
pub mod target;
pub mod top;
pub mod wait;
pub mod watch;
