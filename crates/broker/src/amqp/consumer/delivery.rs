//! Handles one delivery: decodes it, gives it to the handler, and copies it to the dead letters if the verdict requires that.

use futures_util::FutureExt;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use tokio_util::sync::CancellationToken;

use crate::amqp::consumer::Consumer;
use crate::amqp::consumer::session::Handled;
use crate::amqp::properties::{self, from_amqp};
use crate::amqp::repair::frames::HASH_BYTES;
use crate::handling;
use snorri_ports::broker::{Cut, Delivery, HeaderValue, Verdict};
use snorri_wire::envelope::sign_origin;
use snorri_wire::header;

/// The broker's records of the queues that it moved a message from, the last one first.
const DEATHS: &str = "x-death";

impl Consumer<'_> {
    /// Settles a delivery by the verdict of its handler. `lost` is cancelled once that cannot be sent any more.
    pub(super) async fn handle(
        &self,
        session: u64,
        delivery: lapin::message::Delivery,
        lost: CancellationToken,
    ) -> Handled {
        let (tag, bytes) = (delivery.delivery_tag, delivery.data.len());
        let given = || read(&delivery, self.probation);
        let settled =
            handling::settle(&self.handler, given, self.queue, self.options.requeue_delay, &lost).await;
        let ack = match settled {
            Verdict::Ack => true,
            Verdict::Requeue => false,
            Verdict::DeadLetter { code, reason } => {
                self.dead_letter(&delivery.properties, &given(), code, reason, &lost).boxed().await
            }
        };
        Handled { session, tag, ack, bytes }
    }

    /// Sends a copy to the dead letters, with the reason. Returns whether it arrived there, and the original can be removed.
    async fn dead_letter(
        &self,
        amqp: &BasicProperties,
        delivery: &Delivery,
        code: &'static str,
        reason: String,
        lost: &CancellationToken,
    ) -> bool {
        let queue = delivery.moved_from.as_deref().unwrap_or(self.queue);
        tracing::warn!(queue, code, reason, "dead letter");
        let Some(dead_letters) = self.known.dead_letters_of(queue, self.options) else {
            return true; // the queue is declared without dead letters
        };
        let Delivery { exchange, routing_key, body, .. } = delivery;
        let known = [
            (header::CODE, code.to_owned()),
            (header::REASON, reason),
            (header::QUEUE, queue.to_owned()),
            (header::EXCHANGE, exchange.clone()),
            (header::ROUTING_KEY, routing_key.clone()),
        ];
        let keys = self.options.keys.as_ref();
        let origin = keys.map(|keys| (header::ORIGIN, sign_origin(keys, exchange, routing_key, body)));
        let cut = delivery.cut.map(|cut| cut.headers());
        let known = known.into_iter().chain(origin).chain(cut.into_iter().flatten());
        let copy = properties::dead_letter(amqp, known);
        loop {
            if self.publisher.send(&dead_letters, copy.clone(), body).await {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.requeue_delay) => {}
                () = lost.cancelled() => return false,
            }
        }
    }
}

/// A delivery as the handler gets it.
fn read(delivery: &lapin::message::Delivery, probation: &str) -> Delivery {
    let mut properties = from_amqp(&delivery.properties);
    let malformed = match properties.headers.remove(header::MALFORMED) {
        Some(HeaderValue::Text(names)) => Some(names),
        _ => None,
    };
    let (body, cut) = split_cut(&delivery.data, properties.headers.remove(header::CUT));
    let given = Delivery {
        exchange: delivery.exchange.as_str().to_owned(),
        routing_key: delivery.routing_key.as_str().to_owned(),
        properties,
        body,
        redelivered: delivery.redelivered,
        malformed,
        moved_from: None,
        cut,
    };
    if given.exchange != probation {
        return given;
    }
    // No client can publish to this exchange, so these records are the broker's.
    match last_death(&delivery.properties) {
        Some((queue, exchange, routing_key)) => {
            Delivery { exchange, routing_key, moved_from: Some(queue), ..given }
        }
        None => given,
    }
}

/// A body, and its cut: its hash follows the part that is left.
fn split_cut(data: &[u8], mark: Option<HeaderValue>) -> (Vec<u8>, Option<Cut>) {
    let Some(HeaderValue::Text(bytes)) = mark else {
        return (data.to_vec(), None);
    };
    match (data.split_last_chunk::<HASH_BYTES>(), bytes.parse()) {
        (Some((body, sha256)), Ok(bytes)) => (body.to_vec(), Some(Cut { bytes, sha256: *sha256 })),
        _ => (data.to_vec(), None),
    }
}

/// The queue from which the broker last moved a message, and the exchange and routing key with which it arrived in that queue.
fn last_death(properties: &BasicProperties) -> Option<(String, String, String)> {
    let deaths = properties.headers().as_ref()?.inner().get(DEATHS)?;
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    let AMQPValue::FieldArray(keys) = death.inner().get("routing-keys")? else { return None };
    Some((text(death, "queue")?, text(death, "exchange")?, long_text(keys.as_slice().first()?)?))
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    long_text(table.inner().get(name)?)
}

fn long_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(exchange: &str, deaths: AMQPValue) -> lapin::message::Delivery {
        let mut headers = FieldTable::default();
        headers.insert(DEATHS.into(), deaths);
        headers.insert(header::MALFORMED.into(), AMQPValue::LongString("app_id".into()));
        let properties = BasicProperties::default().with_headers(headers);
        let mut delivery =
            lapin::message::Delivery::mock(1, exchange.into(), "moved".into(), false, b"{}".to_vec());
        delivery.properties = properties;
        delivery
    }

    fn death() -> AMQPValue {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString("snorri.events".into()));
        death.insert("exchange".into(), AMQPValue::LongString("shop".into()));
        let keys = vec![AMQPValue::LongString("order.placed".into())];
        death.insert("routing-keys".into(), AMQPValue::FieldArray(keys.into()));
        AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into())
    }

    #[test]
    fn a_message_in_probation_is_read_as_it_came_to_its_queue() {
        let read = read(&delivery("snorri.probation", death()), "snorri.probation");
        let expected = ("shop", "order.placed", Some("snorri.events"), Some("app_id"));
        let Delivery { exchange, routing_key, moved_from, malformed, properties, .. } = &read;
        assert_eq!((&**exchange, &**routing_key, moved_from.as_deref(), malformed.as_deref()), expected);
        assert!(properties.headers.is_empty(), "{:?}", properties.headers);
    }

    #[test]
    fn what_a_publisher_claims_of_the_past_does_not_count() {
        let read = read(&delivery("", death()), "snorri.probation");
        assert_eq!((read.exchange.as_str(), read.moved_from), ("", None));
    }
}
