//! The ports of the engine: a database, a broker and a clock.
//!
//! - [`store`]: sagas, outbox, timers and everything else that outlives a process
//! - [`broker`]: publishes messages and delivers them
//! - [`clock`]: the source of time
//! - [`addresses`]: the addresses of a service

pub mod addresses;
pub mod broker;
pub mod clock;
pub mod store;
