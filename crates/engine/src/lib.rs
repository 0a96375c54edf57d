//! The engine: loads sagas, decides inputs, commits the decisions and acknowledges the messages. In production,
//! only it calls [`transition`](snorri_core::transition()).
//!
//! The path of a reply: [`intake`] gets a delivery from the broker, decodes it, and submits an input to its saga's [`lane`].
//! The lane decides it together with all waiting inputs, commits the batch, and answers; the delivery is acknowledged. The
//! commands of the batch go through the [`outbox`] to the broker, and once they are confirmed, a later commit removes them.
//! The sweeper of the [`outbox`] sends what a dead process has left in it; [`timers`] wakes sagas.

pub mod dead_letters;
pub mod definitions;
pub mod engine;
pub mod event_buffer;
pub mod intake;
pub mod lane;
pub mod metrics;
pub mod operations;
pub mod options;
pub mod outbox;
pub mod queries;
pub mod supervision;
#[cfg(test)]
mod tests;
pub mod timers;

pub use engine::{Engine, Parts};
pub use lane::audit::AuditContext;
pub use lane::request::{Accepted, SubmitError, SubmitOptions};
pub use lane::submitter::Submitter;
pub use operations::start::{StartRequest, Started};
pub use operations::start_error::StartError;
pub use options::Options;
pub use snorri_ports::store::Error as StoreError;
pub use supervision::Supervisor;
pub use supervision::running::Running;
