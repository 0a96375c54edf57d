//! Snorri, a saga orchestrator for RabbitMQ.
pub mod broker;
pub mod catalog;
pub mod saga;
pub mod store;
