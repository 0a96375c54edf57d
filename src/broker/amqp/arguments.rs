//! The arguments of queues, each with its reason, and whose queue one is.

use lapin::types::{AMQPValue, FieldTable, LongString};
use uuid::Uuid;

use super::Options;
use crate::broker::topology::Names;
use crate::broker::{Error, Queue};

/// A number for "no limit", which has no spelling that all versions understand: people may look at a queue often.
pub(super) const NO_LIMIT: u32 = 1_000_000;

/// What a queue's identity begins with. It stands where the broker compares it and makes no use of it: a fanout exchange takes no
/// account of routing keys.
const IDENTITY: &str = "database.";

/// The refusal of a queue that carries the identity of another database.
pub(super) fn other_database(reply: &str, queue: &str, options: &Options) -> Option<Error> {
    let own = options.database?;
    let (_, current) = reply.split_once("current is")?;
    let (_, after) = current.split_once(IDENTITY)?;
    let other: Uuid = after.get(..36)?.parse().ok()?;
    (other != own).then(|| {
        Error::Refused(format!(
            "queue `{queue}` belongs to the orchestrators of another database ({other}; this one is {own}), which would \
             take each other's messages. Choose another `broker.prefix` than `{}`, or, if this database replaces the \
             other, delete the queues of this prefix",
            options.prefix
        ))
    })
}

/// The arguments of a queue.
pub(super) fn of(queue: &Queue, options: &Options) -> FieldTable {
    if queue.dead_letters.is_some() { returning(options) } else { quorum(options.delivery_limit) }
}

/// Of a queue whose messages go into probation when they come back too often.
pub(super) fn returning(options: &Options) -> FieldTable {
    let mut arguments = quorum(options.probation_after);
    let identity = options.database.map(|database| format!("{IDENTITY}{database}"));
    dead_letter_to(&mut arguments, &Names::new(&options.prefix).probation, identity.as_deref());
    arguments
}

pub(super) fn dead_letter_to(arguments: &mut FieldTable, exchange: &str, routing_key: Option<&str>) {
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    if let Some(routing_key) = routing_key {
        arguments.insert("x-dead-letter-routing-key".into(), text(routing_key));
    }
    // By default a dead letter can get lost on its way. At least once is only to be had with reject-publish: a full queue
    // refuses what is new, and the publisher keeps it.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
}

/// Replicated where there is a cluster, and synced to disk before a confirm everywhere. The limit is said because brokers differ
/// when it is not (none in RabbitMQ 3, 20 in RabbitMQ 4).
pub(super) fn quorum(delivery_limit: u32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit.into()));
    arguments
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_another_database_is_told_from_one_that_is_otherwise_different() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let options = Options { database: Some(own), ..Options::new("amqp://mq".into()) };
        let reply = |current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-routing-key' for queue 'snorri.starts' in vhost '/': \
                 received 'database.{own}' but current is {current}"
            )
        };
        let error = other_database(&reply(&format!("'database.{other}'")), "snorri.starts", &options);
        let Some(Error::Refused(reason)) = error else { panic!("{error:?}") };
        assert!(
            reason.contains(&other.to_string()) && reason.contains("another `broker.prefix`"),
            "{reason}"
        );
        for current in [format!("'database.{own}'"), "none".to_owned(), "'database.x'".to_owned()] {
            assert!(other_database(&reply(&current), "snorri.starts", &options).is_none(), "{current}");
        }
    }
}
