//! Periodic work on sagas.
//!
//! Any number of processes may do this concurrently: the store gives each of them others, for the length of a lease.

pub(crate) mod processes;
pub mod retention;
pub mod schedules;
pub mod token_keys;
pub(crate) mod waker;
