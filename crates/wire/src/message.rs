//! Messages as they are published and delivered.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::header;

/// The AMQP properties that Snorri uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// AMQP's `type`.
    pub kind: Option<String>,
    pub message_id: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub app_id: Option<String>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// How long a queue keeps it; whole milliseconds.
    pub expiration: Option<Duration>,
    pub headers: BTreeMap<String, HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Integer(i64),
}

/// A message to be sent: persistent, and returned if no queue takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Empty for the default exchange, whose routing keys are the names of queues.
    pub exchange: String,
    pub routing_key: String,
    pub properties: Properties,
    pub body: Vec<u8>,
}

/// A received message.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    pub exchange: String,
    pub routing_key: String,
    pub properties: Properties,
    pub body: Vec<u8>,
    pub redelivered: bool,
    /// The names of malformed properties, if any, separated by commas. The properties hold what could be decoded of them, with
    /// text read as Latin-1.
    pub malformed: Option<String>,
    /// Of a message in probation: the queue that the broker moved it from. Exchange and routing key are those with which it
    /// arrived in that queue.
    pub moved_from: Option<String>,
    /// Set if the body is only the beginning of what was sent, because that exceeds the longest body.
    pub cut: Option<Cut>,
}

/// The whole body before it was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub bytes: u64,
    pub sha256: [u8; 32],
}

impl Cut {
    /// The headers of a dead letter whose body this is.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        let hash = self.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        [(header::BODY_BYTES, self.bytes.to_string()), (header::BODY_SHA256, hash)]
    }
}

impl Delivery {
    /// The first `most` bytes of the body, and the measure of the whole if that is longer.
    pub fn beginning(&self, most: usize) -> (&[u8], Option<Cut>) {
        if self.body.len() <= most {
            return (&self.body, self.cut);
        }
        let whole = || Cut { bytes: self.body.len() as u64, sha256: Sha256::digest(&self.body).into() };
        (&self.body[..most], Some(self.cut.unwrap_or_else(whole)))
    }

    /// The length of the body as it was sent.
    pub fn body_bytes(&self) -> u64 {
        self.cut.map_or(self.body.len() as u64, |cut| cut.bytes)
    }
}
