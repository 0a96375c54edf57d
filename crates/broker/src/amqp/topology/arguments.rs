//! The arguments of queues, each with its reason, and the identity of a queue's database.

use lapin::types::{AMQPValue, FieldTable, LongString};

use crate::amqp::options::Options;
use snorri_ports::broker::{Error, QueueDeclaration};
use snorri_wire::topology::Names;

/// A number for "no limit", which has no spelling that all versions understand: operators may inspect a queue often.
pub(in crate::amqp) const NO_LIMIT: u32 = 1_000_000;

/// The prefix of a queue's identity. It is an argument that the broker compares and does not use: a fanout exchange ignores
/// routing keys.
const IDENTITY: &str = "database.";
const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";

/// The refusal of a queue with the identity of another database. The broker truncates long replies, perhaps within it.
pub(in crate::amqp) fn other_database(reply: &str, queue: &str, options: &Options) -> Option<Error> {
    options.database?;
    let (_, compared) = reply.split_once(DEAD_LETTER_KEY)?;
    if let Some((_, current)) = compared.split_once("but current is ") {
        let current = current.trim_start_matches('\'');
        let is_identity =
            current.starts_with(IDENTITY) || IDENTITY.starts_with(current.trim_end_matches('.'));
        if !is_identity {
            return None; // another process has declared it
        }
    }
    Some(Error::Refused(format!(
        "queue `{queue}` belongs to the orchestrators of another database, and the two would take each other's messages. Choose \
         another `broker.prefix` than `{}`, or, if this database replaces the other, delete the queues of this prefix",
        options.prefix
    )))
}

/// The arguments of a queue.
pub(in crate::amqp) fn of(queue: &QueueDeclaration, options: &Options) -> FieldTable {
    if queue.dead_letters.is_some() { returning(options) } else { quorum(options.delivery_limit) }
}

/// The arguments of a queue whose messages go into probation when they are returned too often.
pub(in crate::amqp) fn returning(options: &Options) -> FieldTable {
    let mut arguments = quorum(options.probation_after);
    let identity = options.database.map(|database| format!("{IDENTITY}{}", database.simple()));
    dead_letter_to(&mut arguments, &Names::new(&options.prefix).probation, identity.as_deref());
    arguments
}

pub(in crate::amqp) fn dead_letter_to(arguments: &mut FieldTable, exchange: &str, routing_key: Option<&str>) {
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    if let Some(routing_key) = routing_key {
        arguments.insert(DEAD_LETTER_KEY.into(), text(routing_key));
    }
    // A full queue refuses new messages, and the publisher keeps them: by default it would drop its oldest.
    arguments.insert("x-overflow".into(), text("reject-publish"));
}

/// Replicated where there is a cluster, and synced to disk before a confirm everywhere. The limit is explicit because its
/// default differs between brokers (none in RabbitMQ 3, 20 in RabbitMQ 4).
pub(in crate::amqp) fn quorum(delivery_limit: u32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit.into()));
    arguments
}

pub(in crate::amqp) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_queue_of_another_database_is_distinguished_from_other_differences() {
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
            (DEAD_LETTER_KEY, concat!("received 'database.1' but current is ", "none")),
            ("x-delivery-limit", "received '4' but current is '5'"),
        ] {
            let error = other_database(&reply(argument, values), "snorri.starts", &options);
            assert!(error.is_none(), "{values}: {error:?}");
        }
    }
}
