//! The brokers behind the port.
//!
//! - [`amqp`]: RabbitMQ, through lapin
//! - [`local`]: a broker in this process
//! - [`management`]: RabbitMQ's management API, which inspects a broker

pub mod amqp;
mod handling;
pub mod local;
pub mod management;
