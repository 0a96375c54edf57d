//! What a running broker has, as far as it matters to sagas.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One virtual host of a broker, when it was looked at.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub exchanges: BTreeMap<String, Exchange>,
    pub queues: BTreeMap<String, Queue>,
    pub bindings: Vec<Binding>,
    /// Whether quorum queues deliver only so often where nothing is said, as they do from RabbitMQ 4 on.
    pub limits_deliveries: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub kind: ExchangeKind,
    pub durable: bool,
    pub auto_delete: bool,
    /// Takes no messages from clients.
    pub internal: bool,
    /// Takes what goes nowhere from here.
    pub alternate: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeKind {
    Topic,
    Direct,
    Fanout,
    Headers,
    /// A plugin's. How it routes is not known.
    Other(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    pub is_quorum: bool,
    pub consumers: usize,
    pub dead_letters: Option<DeadLetters>,
    pub delivery_limit: Option<i64>,
}

/// Where a queue sends what it could not get rid of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// Empty for the default exchange.
    pub exchange: String,
    /// Instead of the message's own.
    pub routing_key: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    pub exchange: String,
    pub target: Target,
    pub routing_key: String,
    pub arguments: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Queue(String),
    Exchange(String),
}

impl From<&str> for ExchangeKind {
    fn from(name: &str) -> Self {
        match name {
            "topic" => Self::Topic,
            "direct" => Self::Direct,
            "fanout" => Self::Fanout,
            "headers" => Self::Headers,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl ExchangeKind {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic => "topic",
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Headers => "headers",
            Self::Other(name) => name,
        }
    }
}
