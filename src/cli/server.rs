//! The subcommands about the orchestrator itself.

pub mod audit;
pub mod config;
pub mod dead_letters;
pub mod demo;
pub(in crate::cli) mod parked;
pub mod rotate_keys;
pub mod serve;
pub mod token;
