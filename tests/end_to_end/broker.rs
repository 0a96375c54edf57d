//! Snorri and the broker: exchanges, queues and rights that others change, and messages that may crash a client.

mod exchanges;
mod ownership;
mod poison;
mod probation;
mod rights;
