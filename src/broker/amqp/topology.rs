//! Declaring exchanges and queues, every flag with its reason.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use super::properties::short;
use super::{Options, connection, within};
use crate::broker::{Error, Queue, Topology};

/// All that was declared so far, to be declared again after the connection was lost.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Topology>);

impl Known {
    pub(super) fn all(&self) -> Topology {
        self.lock().clone()
    }

    /// What one queue needs.
    pub(super) fn around(&self, queue: &str) -> Topology {
        let known = self.lock();
        let queues: Vec<Queue> = known.queues.iter().filter(|known| known.name == queue).cloned().collect();
        let bound_to =
            |exchange: &&String| queues.iter().flat_map(|q| &q.bindings).any(|(e, _)| e == *exchange);
        Topology { exchanges: known.exchanges.iter().filter(bound_to).cloned().collect(), queues }
    }

    pub(super) fn add(&self, topology: &Topology) {
        let mut known = self.lock();
        for exchange in &topology.exchanges {
            if !known.exchanges.contains(exchange) {
                known.exchanges.push(exchange.clone());
            }
        }
        for queue in &topology.queues {
            match known.queues.iter_mut().find(|known| known.name == queue.name) {
                None => known.queues.push(queue.clone()),
                Some(known) => {
                    let new: Vec<_> =
                        queue.bindings.iter().filter(|b| !known.bindings.contains(b)).cloned().collect();
                    known.bindings.extend(new);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Topology> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Declares `topology`, or only looks whether it is there if the options say so. On a channel of its own, because
/// the broker closes the channel of a declaration that it refuses.
pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
    options: &Options,
) -> Result<(), Error> {
    if topology.exchanges.is_empty() && topology.queues.is_empty() {
        return Ok(());
    }
    let channel = connection::channel(connection, options).await?;
    for queue in topology.queues.iter().filter_map(|queue| queue.dead_letters.as_ref()) {
        declare_queue(&channel, queue, dead_letter_arguments(), options).await?;
    }
    for exchange in topology.exchanges.iter().filter(|exchange| !exchange.is_empty()) {
        declare_exchange(&channel, exchange, options).await?;
    }
    for queue in &topology.queues {
        declare_queue(&channel, &queue.name, arguments(queue, options), options).await?;
        // Whether a binding is there cannot be asked: the first unroutable message will tell.
        if !options.verify_only {
            for (exchange, key) in &queue.bindings {
                bind(&channel, &queue.name, exchange, key, options).await?;
            }
        }
    }
    connection::close_channel(&channel, options).await;
    Ok(())
}

/// Declares the queue that [`check`](crate::broker::Broker::check) sends to.
pub(super) async fn declare_probe(connection: &Connection, options: &Options) -> Result<(), Error> {
    if options.verify_only {
        return Ok(()); // it proves the same when it comes back as unroutable
    }
    let channel = connection::channel(connection, options).await?;
    let mut arguments = quorum();
    // Nobody consumes it: only the last probe stays.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), text("drop-head"));
    declare_queue(&channel, &options.probe_queue, arguments, options).await?;
    connection::close_channel(&channel, options).await;
    Ok(())
}

async fn declare_exchange(channel: &Channel, exchange: &str, options: &Options) -> Result<(), Error> {
    let flags = ExchangeDeclareOptions {
        passive: options.verify_only,
        durable: true,      // outlives a restart of the broker, as its bindings must
        auto_delete: false, // stays when its last queue goes: commands then come back as unroutable
        internal: false,    // commands are published to it
        nowait: false,      // we want to hear of a refusal
    };
    let declared =
        channel.exchange_declare(name(exchange)?, ExchangeKind::Topic, flags, FieldTable::default());
    let declared = within(options.operation_timeout, "declaring an exchange", declared).await;
    declared.map_err(|error| explain(error, "exchange", exchange))
}

async fn declare_queue(
    channel: &Channel,
    queue: &str,
    args: FieldTable,
    options: &Options,
) -> Result<(), Error> {
    let flags = QueueDeclareOptions {
        passive: options.verify_only,
        durable: true,      // quorum queues are
        exclusive: false,   // all replicas of the orchestrator consume it
        auto_delete: false, // messages must wait while no orchestrator runs
        nowait: false,      // we want to hear of a refusal
    };
    let declared = channel.queue_declare(name(queue)?, flags, args);
    let declared = within(options.operation_timeout, "declaring a queue", declared).await;
    declared.map(|_| ()).map_err(|error| explain(error, "queue", queue))
}

async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    options: &Options,
) -> Result<(), Error> {
    let (from, key) = (name(exchange)?, name(key)?);
    let bound = channel.queue_bind(
        name(queue)?,
        from,
        key,
        QueueBindOptions { nowait: false },
        FieldTable::default(),
    );
    let bound = within(options.operation_timeout, "binding a queue", bound).await;
    bound.map_err(|error| explain(error, "exchange", exchange))
}

fn arguments(queue: &Queue, options: &Options) -> FieldTable {
    let mut arguments = quorum();
    // Said out loud because brokers differ when it is not (none in RabbitMQ 3, 20 in RabbitMQ 4).
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(options.delivery_limit.into()));
    if let Some(dead_letters) = &queue.dead_letters {
        // Through the default exchange: nothing to bind, nothing to forget.
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(dead_letters));
        // By default a dead letter can get lost on its way. At least once is only to be had with reject-publish: a
        // full queue refuses what is new, and the publisher keeps it.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
    }
    arguments
}

/// Dead letters wait for people: looking at them often must not drop them, which the default of RabbitMQ 4 would. The
/// number stands for "no limit", which has no spelling that all versions understand.
fn dead_letter_arguments() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000));
    arguments
}

/// Replicated where there is a cluster, and synced to disk before a confirm everywhere.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn name(name: &str) -> Result<ShortString, Error> {
    short(name).map_err(|_| Error::Refused(format!("a name in AMQP has at most 255 bytes, unlike `{name}`")))
}

fn explain(error: Error, what: &str, name: &str) -> Error {
    match error {
        Error::Refused(reply) if reply.contains("PRECONDITION_FAILED") => Error::Refused(format!(
            "{what} `{name}` exists, but not as Snorri declares it ({reply}). Delete it once it is empty, or keep it and \
             let Snorri only verify that it is there"
        )),
        Error::Refused(reply) => Error::Refused(format!("{what} `{name}`: {reply}")),
        Error::Unavailable(reason) => Error::Unavailable(format!("{what} `{name}`: {reason}")),
    }
}
