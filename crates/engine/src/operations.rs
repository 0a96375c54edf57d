//! What requests and messages ask of sagas: starts, interventions, bulk actions, dead letters, child commands.

pub mod bulk;
pub(crate) mod children;
pub mod dead_letters;
pub mod operator;
pub mod start;
