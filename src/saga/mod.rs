//! The saga itself: what it is, what can happen to it, and what follows.
//!
//! This module is pure. It knows no clock, no random source, no IO and no log: time comes in as an
//! argument, and what is to be done comes out as data. In reading order:
//!
//! - [`id`]: names, times and ids
//! - [`definition`]: what a saga shall do, as a tree of blocks
//! - [`expression`]: CEL between `${ }`
//! - `exact`: exact numbers in such expressions
//! - [`pattern`]: regular expressions whose cost is known
//! - [`template`]: JSON with such expressions in it
//! - [`retry`]: when the next attempt is due
//! - [`problem`]: error codes and their owners
//! - [`journal`]: what happened, the only truth about a saga
//! - [`limits`]: how much one saga may do
//! - [`status`] and [`state`]: the fold of the journal
//! - [`variables`]: what its expressions see
//! - [`walk`]: what may start next and what must be undone next, derived from the state
//! - [`input`]: what can happen to a saga
//! - [`message`]: what a saga sends
//! - [`migration`]: whether a saga can go on with another version of its definition
//! - [`restart`]: what a new saga takes over from one that has ended
//! - [`transition`](mod@transition): state and input to journal entry and messages, the one place that decides
//! - [`outlook`]: what is to come, for people

pub mod definition;
mod exact;
pub mod expression;
pub mod id;
pub mod input;
pub mod journal;
pub mod limits;
pub mod message;
pub mod migration;
pub mod outlook;
pub mod pattern;
pub mod problem;
pub mod restart;
pub mod retry;
pub mod sent;
pub mod state;
pub mod status;
mod step_state;
pub mod template;
pub mod transition;
pub mod variables;
pub mod walk;

pub use definition::Definition;
pub use id::{Direction, SagaId, StepPath, Time};
pub use input::Input;
pub use journal::Entry;
pub use limits::{
    MAX_CONCURRENCY, MAX_ITEMS, MAX_JOURNAL_ENTRIES, MAX_KEPT_ARRIVALS, MAX_OUTCOME_REQUESTS,
    MAX_OUTPUT_BYTES, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH, MAX_STEP_EXECUTIONS, PAYLOAD_LIMITS,
};
pub use message::Message;
pub use state::{State, Status};
pub use transition::{Decision, Ignored, transition};
