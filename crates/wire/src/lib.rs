//! The AMQP contract: the content of messages, and the exchanges and queues that they go through.
//!
//! - [`message`]: a message as it is published and delivered
//! - [`header`]: the names of its headers
//! - [`envelope`]: commands, events and outcomes to messages; messages to replies, starts, signals and events
//! - [`topology`]: the names of Snorri's own queues, and what must be declared for definitions
//! - [`observed`] and [`routing`]: exchanges, queues and bindings of a broker, and the queues that a message reaches

pub mod envelope;
pub mod header;
pub mod message;
pub mod observed;
pub mod routing;
pub mod topology;
