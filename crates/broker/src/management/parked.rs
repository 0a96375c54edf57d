//! Reads parked messages without an AMQP client.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Management};

/// Most bytes of a body that are shown.
const SHOWN_BYTES: u32 = 4096;

/// A parked message, as far as RabbitMQ can show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParkedMessage {
    /// Text that is not UTF-8 is shown with replacement characters.
    pub properties: Value,
    pub payload_bytes: u64,
    /// `string`, or `base64` if the body is not UTF-8.
    pub payload_encoding: String,
    /// The beginning of the body.
    pub payload: String,
}

impl ParkedMessage {
    /// The queue that it was published to.
    pub fn queue(&self) -> Option<&str> {
        self.first_death()?["queue"].as_str()
    }

    /// When it went into probation, in seconds since the Unix epoch.
    pub fn suspected_at(&self) -> Option<i64> {
        self.first_death()?["time"].as_i64()
    }

    /// The broker's record of the first queue that it moved the message from. The latest is the first of the list.
    fn first_death(&self) -> Option<&Value> {
        self.properties["headers"]["x-death"].as_array()?.last()
    }
}

impl Management {
    /// At most `limit` messages of a parking queue. They stay there.
    pub async fn parked(&self, queue: &str, limit: u32) -> Result<Vec<ParkedMessage>, Error> {
        let path = ["queues", &self.access.vhost, queue, "get"];
        let body = json!({
            "count": limit,
            "ackmode": "ack_requeue_true",
            "encoding": "auto",
            "truncate": SHOWN_BYTES,
        });
        self.answer(self.http.post(self.url(&path)).json(&body), &path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_message_names_the_queue_that_it_came_to() {
        let deaths = json!([
            {"queue": "snorri.probation", "time": 7, "reason": "delivery_limit"},
            {"queue": "snorri.replies", "time": 5, "reason": "delivery_limit"},
        ]);
        let mut message = ParkedMessage {
            properties: json!({"headers": {"x-death": deaths}}),
            payload_bytes: 2,
            payload_encoding: "string".to_owned(),
            payload: "{}".to_owned(),
        };
        assert_eq!((message.queue(), message.suspected_at()), (Some("snorri.replies"), Some(5)));
        message.properties = json!({});
        assert_eq!((message.queue(), message.suspected_at()), (None, None));
    }
}
