//! The saga: its definition, its inputs, its state and its decisions.
//!
//! This crate is pure. It has no clock, no random source, no IO and no log: time is an argument, and what is to be done is data
//! in the result. In reading order:
//!
//! - [`id`]: names, times and ids
//! - [`definition`]: the definition of a saga, as a tree of blocks
//! - [`expression`]: CEL between `${ }`
//! - `exact`: exact numbers in such expressions
//! - [`expression::pattern`]: regular expressions with a known cost
//! - [`expression::template`]: JSON with such expressions in it
//! - [`definition::retry`]: when the next attempt is due
//! - [`problem`]: error codes and their owners
//! - [`journal`]: the entries of a saga, its only source of truth
//! - [`limits`]: how much one saga may do
//! - [`state`]: the fold of the journal
//! - [`expression::variables`]: the variables that its expressions see
//! - [`walk`]: what may start next and what must be compensated next, derived from the state
//! - [`input`]: the inputs of a saga
//! - [`message`]: the messages that a saga sends
//! - [`message::child`]: the protocol between a saga and its children
//! - [`migration`]: whether a saga can continue with another version of its definition
//! - [`restart`]: what a new saga takes over from one that has ended
//! - [`transition`](mod@transition): state and input to journal entry and messages, the one place that decides
//! - [`outlook`]: what the saga will do next, for people

pub mod definition;
pub mod expression;
pub mod id;
pub mod input;
pub mod journal;
pub mod json;
pub mod limits;
pub mod message;
pub mod migration;
pub mod outlook;
pub mod problem;
pub mod restart;
pub mod state;
pub mod text;
pub mod transition;
pub mod walk;

pub use definition::Definition;
pub use id::{Direction, SagaId, StepPath, Time};
pub use input::Input;
pub use journal::Entry;
pub use limits::{
    MAX_BUFFERED_EVENTS, MAX_CONCURRENCY, MAX_ITEMS, MAX_JOURNAL_ENTRIES, MAX_OUTCOME_REQUESTS,
    MAX_OUTPUT_BYTES, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH, MAX_STEP_EXECUTIONS, PAYLOAD_LIMITS,
};
pub use message::Message;
pub use state::{State, Status};
pub use transition::{Decision, Rejection, advance_state, transition};
