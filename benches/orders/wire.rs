//! The wire contract of the roles: received messages, borrowed, and the messages of a participant or a starter.
//!
//! The same on RabbitMQ and on the broker within a process, so that participant, load and floor are written once.

use snorri_ports::broker::{Delivery, Properties, Publication};

/// The exchange of commands, as in `sagas/order.yaml`.
pub const EXCHANGE: &str = "shop.commands";
/// All commands of the order saga, compensations included.
pub const COMMANDS: [&str; 5] =
    ["inventory.reserve", "inventory.release", "payment.charge", "payment.refund", "shipping.book"];
pub const CONTENT_TYPE: &str = "application/json";

/// The prefix of the ids of orders that shipping refuses: the participant has no state, so the id must decide.
pub const REFUSED_MARK: &str = "r-";

/// The parts of a received message that the roles use.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub routing_key: &'a str,
    pub kind: &'a str,
    pub correlation_id: &'a str,
    pub reply_to: &'a str,
    pub body: &'a [u8],
}

impl<'a> From<&'a lapin::message::Delivery> for Incoming<'a> {
    fn from(delivery: &'a lapin::message::Delivery) -> Self {
        let text =
            |text: &'a Option<lapin::types::ShortString>| text.as_ref().map_or("", |text| text.as_str());
        Self {
            routing_key: delivery.routing_key.as_str(),
            kind: text(delivery.properties.kind()),
            correlation_id: text(delivery.properties.correlation_id()),
            reply_to: text(delivery.properties.reply_to()),
            body: &delivery.data,
        }
    }
}

impl<'a> From<&'a Delivery> for Incoming<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        let properties = &delivery.properties;
        Self {
            routing_key: &delivery.routing_key,
            kind: properties.kind.as_deref().unwrap_or(""),
            correlation_id: properties.correlation_id.as_deref().unwrap_or(""),
            reply_to: properties.reply_to.as_deref().unwrap_or(""),
            body: &delivery.body,
        }
    }
}

/// The queues and the exchange of one orchestrator, and the queue of its starter.
#[derive(Debug, Clone)]
pub struct Names {
    pub starts: String,
    pub events: String,
    pub signals: String,
    pub replies: String,
    pub dead_letters: String,
    pub lifecycle: String,
    pub answers: String,
}

impl Names {
    pub fn new(prefix: &str) -> Self {
        let own = |name| format!("{prefix}.{name}");
        Self {
            starts: own("starts"),
            events: own("events"),
            signals: own("signals"),
            replies: own("replies"),
            dead_letters: own("dead-letters"),
            lifecycle: own("lifecycle"),
            answers: own("answers"),
        }
    }

    /// The queue of the replies to one process of Snorri.
    pub fn replies_of(&self, process: uuid::Uuid) -> String {
        format!("{}.{}", self.replies, process.simple())
    }

    /// The queues that are empty or nearly empty after a run.
    pub fn working(&self) -> [&str; 5] {
        [&self.starts, &self.events, &self.signals, &self.replies, &self.answers]
    }
}

/// A message to a queue, through the default exchange.
pub fn to_queue(queue: &str, kind: &str, correlation_id: &str, body: Vec<u8>) -> Publication {
    Publication {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        properties: Properties {
            kind: Some(kind.to_owned()),
            correlation_id: Some(correlation_id.to_owned()),
            content_type: Some(CONTENT_TYPE.to_owned()),
            ..Properties::default()
        },
        body,
    }
}
