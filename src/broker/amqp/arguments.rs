//! The arguments of queues, each with its reason, and whose queue one is.

use lapin::types::{AMQPValue, FieldTable, LongString};

use super::Options;
use crate::broker::topology::Names;
use crate::broker::{Error, Queue};

/// A number for "no limit", which has no spelling that all versions understand: people may look at a queue often.
pub(super) const NO_LIMIT: u32 = 1_000_000;

/// What a queue's identity begins with. It stands where the broker compares it and makes no use of it: a fanout exchange takes no
/// account of routing keys.
const IDENTITY: &str = "database.";
const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";

/// The refusal of a queue that carries the identity of another database. The broker cuts long replies, perhaps within it.
pub(super) fn other_database(reply: &str, queue: &str, options: &Options) -> Option<Error> {
    options.database?;
    let (_, compared) = reply.split_once(DEAD_LETTER_KEY)?;
    if let Some((_, current)) = compared.split_once("but current is ") {
        let current = current.trim_start_matches('\'');
        let is_identity =
            current.starts_with(IDENTITY) || IDENTITY.starts_with(current.trim_end_matches('.'));
        if !is_identity {
            return None; // somebody else has declared it
        }
    }
    Some(Error::Refused(format!(
        "queue `{queue}` belongs to the orchestrators of another database, and the two would take each other's messages. Choose \
         another `broker.prefix` than `{}`, or, if this database replaces the other, delete the queues of this prefix",
        options.prefix
    )))
}

/// The arguments of a queue.
pub(super) fn of(queue: &Queue, options: &Options) -> FieldTable {
    if queue.dead_letters.is_some() { returning(options) } else { quorum(options.delivery_limit) }
}

/// Of a queue whose messages go into probation when they come back too often.
pub(super) fn returning(options: &Options) -> FieldTable {
    let mut arguments = quorum(options.probation_after);
    let identity = options.database.map(|database| format!("{IDENTITY}{}", database.simple()));
    dead_letter_to(&mut arguments, &Names::new(&options.prefix).probation, identity.as_deref());
    arguments
}

pub(super) fn dead_letter_to(arguments: &mut FieldTable, exchange: &str, routing_key: Option<&str>) {
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    if let Some(routing_key) = routing_key {
        arguments.insert(DEAD_LETTER_KEY.into(), text(routing_key));
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
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_queue_of_another_database_is_told_from_one_that_is_otherwise_different() {
        let options = Options { database: Some(Uuid::from_u128(1)), ..Options::new("amqp://mq".into()) };
        let reply = |argument: &str, values: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg '{argument}' for queue 'snorri.starts' in vhost '/': {values}"
            )
        };
        for values in [
            "received 'database.1' but current is 'database.2'",
            "received 'database.1' but current is 'data...",
            "received 'database.1' but curr...",
            "received 'datab...",
        ] {
            let error = other_database(&reply(DEAD_LETTER_KEY, values), "snorri.starts", &options);
            let Some(Error::Refused(reason)) = error else { panic!("{values}: {error:?}") };
            assert!(reason.contains("another `broker.prefix` than `snorri`"), "{reason}");
        }
        for (argument, values) in [
            (DEAD_LETTER_KEY, "received 'database.1' but current is 'mine'"),
            (DEAD_LETTER_KEY, "received 'database.1' but current is none"),
            ("x-delivery-limit", "received '4' but current is '5'"),
        ] {
            let error = other_database(&reply(argument, values), "snorri.starts", &options);
            assert!(error.is_none(), "{values}: {error:?}");
        }
    }
}
