//! The state of a running broker, as far as sagas depend on it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One virtual host of a broker at one time.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub exchanges: BTreeMap<String, Exchange>,
    pub queues: BTreeMap<String, Queue>,
    pub bindings: Vec<Binding>,
    /// Whether quorum queues limit deliveries by default, as they do from RabbitMQ 4 on.
    pub limits_deliveries: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub kind: ExchangeKind,
    pub durable: bool,
    pub auto_delete: bool,
    /// Takes no messages from clients.
    pub internal: bool,
    /// The exchange that takes messages that are routed nowhere from here.
    pub alternate: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeKind {
    Topic,
    Direct,
    Fanout,
    Headers,
    /// A type of a plugin. Its routing is unknown.
    Other(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    pub is_quorum: bool,
    pub consumers: usize,
    pub dead_letters: Option<DeadLetters>,
    pub delivery_limit: Option<i64>,
}

/// The exchange that a queue sends its dead letters to.
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

/// The broker's answer to an inspection of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeState {
    Found(Exchange),
    /// It exists; its properties are unknown.
    Exists,
    /// It does not exist, and Snorri will declare it.
    Missing,
    /// It does not exist, and Snorri may not declare it, for this reason.
    Unavailable(String),
    /// The broker did not answer, for this reason.
    Unknown(String),
}
