//! Declaring exchanges and queues, every argument with its reason.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::Connection;
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::declarer::{Declarer, Failure};
use super::{Options, inspection};
use crate::broker::topology::Names;
use crate::broker::{Error, Queue, Topology};
use crate::check::topology::{Exchange, ExchangeKind};

/// A number for "no limit", which has no spelling that all versions understand: people may look at a queue often.
const NO_LIMIT: u32 = 1_000_000;

/// All that was declared so far, to be declared again after the connection was lost.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Topology>);

impl Known {
    pub(super) fn all(&self) -> Topology {
        self.lock().clone()
    }

    /// What one queue needs. It may be one that takes the dead letters of others, or what is in probation.
    pub(super) fn around(&self, queue: &str, options: &Options) -> Topology {
        let known = self.lock();
        let is_probation = queue == Names::new(&options.prefix).probation;
        let needs = |known: &&Queue| {
            known.name == queue || known.dead_letters.as_ref().is_some_and(|to| is_probation || to == queue)
        };
        let queues: Vec<Queue> = known.queues.iter().filter(needs).cloned().collect();
        let bound_to =
            |exchange: &&String| queues.iter().flat_map(|q| &q.bindings).any(|(e, _)| e == *exchange);
        Topology { exchanges: known.exchanges.iter().filter(bound_to).cloned().collect(), queues }
    }

    /// Where the dead letters of a queue go.
    pub(super) fn dead_letters_of(&self, queue: &str, options: &Options) -> Option<String> {
        self.around(queue, options).queues.into_iter().find_map(|known| known.dead_letters)
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

/// One declaration of a topology.
enum Item {
    Queue(String, FieldTable),
    Exchange(String, Exchange),
    Binding { queue: String, exchange: String, key: String },
}

/// Declares `topology`. The first declaration that fails ends it.
pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
    options: &Options,
) -> Result<(), Error> {
    let mut declarer = Declarer::new(connection, options);
    for item in items(topology, options) {
        declare_item(&mut declarer, item, options).await?;
    }
    declarer.finish().await;
    Ok(())
}

/// Declares again what was declared before. What is refused is logged and keeps nothing else from being declared.
///
/// # Errors
///
/// [`Error::Unavailable`] if the broker does not answer.
pub(super) async fn restore(
    connection: &Connection,
    topology: &Topology,
    options: &Options,
) -> Result<(), Error> {
    let mut declarer = Declarer::new(connection, options);
    for item in items(topology, options) {
        match declare_item(&mut declarer, item, options).await {
            Err(error @ Error::Refused(_)) => {
                tracing::error!(%error, "cannot declare a part of the topology");
            }
            result => result?,
        }
    }
    declarer.finish().await;
    Ok(())
}

/// The declarations in their order: what is bound, or named as a place for dead letters, comes first.
fn items(topology: &Topology, options: &Options) -> Vec<Item> {
    let dead_letters: BTreeSet<&String> =
        topology.queues.iter().filter_map(|queue| queue.dead_letters.as_ref()).collect();
    let mut items = if dead_letters.is_empty() { Vec::new() } else { probation(options) };
    items.extend(dead_letters.into_iter().map(|queue| Item::Queue(queue.clone(), returning(options))));
    let exchanges = topology.exchanges.iter().filter(|exchange| !exchange.is_empty());
    items.extend(exchanges.map(|exchange| Item::Exchange(exchange.clone(), inspection::durable_topic())));
    for queue in &topology.queues {
        items.push(Item::Queue(queue.name.clone(), arguments(queue, options)));
        items.extend(queue.bindings.iter().map(|(exchange, key)| Item::Binding {
            queue: queue.name.clone(),
            exchange: exchange.clone(),
            key: key.clone(),
        }));
    }
    items
}

/// What takes messages that come back too often: from their queues through an exchange that no client can publish to, so that
/// what the broker notes on them is true, into probation, and from there to where they are parked.
fn probation(options: &Options) -> Vec<Item> {
    let names = Names::new(&options.prefix);
    let fanout = Exchange { kind: ExchangeKind::Fanout, internal: true, ..inspection::durable_topic() };
    let mut arguments = quorum(options.parking_after);
    dead_letter_to(&mut arguments, "", Some(&names.parked));
    vec![
        Item::Queue(names.parked, quorum(NO_LIMIT)),
        Item::Exchange(names.probation.clone(), fanout),
        Item::Queue(names.probation.clone(), arguments),
        Item::Binding { queue: names.probation.clone(), exchange: names.probation, key: String::new() },
    ]
}

async fn declare_item(declarer: &mut Declarer<'_>, item: Item, options: &Options) -> Result<(), Error> {
    match item {
        Item::Queue(queue, arguments) => declare_queue(declarer, &queue, arguments, options).await,
        Item::Exchange(name, exchange) => declare_exchange(declarer, &name, &exchange, options).await,
        Item::Binding { queue, exchange, key } => match declarer.bind(&queue, &exchange, &key).await {
            // Whether others made the binding cannot be asked.
            Err(Failure::AccessRefused(reply)) if options.verify_only => {
                tracing::warn!(
                    queue,
                    exchange,
                    key,
                    reply,
                    "a queue cannot be bound: somebody else must bind it"
                );
                Ok(())
            }
            bound => bound.map_err(|failure| cannot_bind(failure, &queue, &exchange)),
        },
    }
}

/// Declares the queue that [`check`](crate::broker::Broker::check) sends to.
pub(super) async fn declare_probe(connection: &Connection, options: &Options) -> Result<(), Error> {
    if options.verify_only {
        return Ok(()); // it proves the same when it comes back as unroutable
    }
    let mut arguments = quorum(options.delivery_limit);
    // Nobody consumes it: only the last probe stays.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), text("drop-head"));
    let mut declarer = Declarer::new(connection, options);
    declare_queue(&mut declarer, &options.probe_queue, arguments, options).await?;
    declarer.finish().await;
    Ok(())
}

/// An exchange that exists is used as it is; a missing one is declared.
async fn declare_exchange(
    declarer: &mut Declarer<'_>,
    exchange: &str,
    declared: &Exchange,
    options: &Options,
) -> Result<(), Error> {
    match declarer.find_exchange(exchange).await {
        Err(Failure::NotFound) if options.verify_only && !options.owns(exchange) => {
            Err(Error::Refused(inspection::verify_only(exchange)))
        }
        Err(Failure::NotFound) => {
            match declarer.exchange(exchange, declared).await {
                Err(Failure::Different(_)) => Ok(()), // somebody else has just declared it
                declared => declared.map_err(|failure| cannot_declare(failure, "exchange", exchange)),
            }
        }
        found => found.map_err(|failure| cannot_declare(failure, "exchange", exchange)),
    }
}

/// With `broker.verify_only` a queue that exists is used as it is; a missing one is declared.
async fn declare_queue(
    declarer: &mut Declarer<'_>,
    queue: &str,
    arguments: FieldTable,
    options: &Options,
) -> Result<(), Error> {
    if options.verify_only {
        match declarer.find_queue(queue).await {
            Err(Failure::NotFound) => {}
            found => return found.map_err(|failure| cannot_declare(failure, "queue", queue)),
        }
    }
    let declared = declarer.queue(queue, arguments).await;
    declared.map_err(|failure| cannot_declare(failure, "queue", queue))
}

fn arguments(queue: &Queue, options: &Options) -> FieldTable {
    if queue.dead_letters.is_some() { returning(options) } else { quorum(options.delivery_limit) }
}

/// Of a queue whose messages go into probation when they come back too often.
fn returning(options: &Options) -> FieldTable {
    let mut arguments = quorum(options.probation_after);
    dead_letter_to(&mut arguments, &Names::new(&options.prefix).probation, None);
    arguments
}

fn dead_letter_to(arguments: &mut FieldTable, exchange: &str, routing_key: Option<&str>) {
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
fn quorum(delivery_limit: u32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit.into()));
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// What to do about a declaration that failed.
fn cannot_declare(failure: Failure, what: &str, name: &str) -> Error {
    match failure {
        Failure::NotFound => Error::Refused(format!("{what} `{name}` does not exist")),
        Failure::AccessRefused(reply) => Error::Refused(format!(
            "{what} `{name}` cannot be declared: the user lacks the right `configure` on it ({reply}). Grant the right, or \
             have others declare it and set `broker.verify_only = true`"
        )),
        Failure::Different(reply) => Error::Refused(format!(
            "{what} `{name}` exists, but not as Snorri declares it ({reply}). Delete it once it is empty, or set \
             `broker.verify_only = true` to use it as it is"
        )),
        Failure::Other(Error::Refused(reply)) => Error::Refused(format!("{what} `{name}`: {reply}")),
        Failure::Other(Error::Unavailable(reason)) => {
            Error::Unavailable(format!("{what} `{name}`: {reason}"))
        }
    }
}

fn cannot_bind(failure: Failure, queue: &str, exchange: &str) -> Error {
    match failure {
        Failure::NotFound => Error::Refused(format!(
            "queue `{queue}` cannot be bound to exchange `{exchange}`: one of them does not exist"
        )),
        Failure::AccessRefused(reply) => Error::Refused(format!(
            "queue `{queue}` cannot be bound to exchange `{exchange}`: this takes the right `write` on the queue and the \
             right `read` on the exchange ({reply})"
        )),
        failure => cannot_declare(failure, "exchange", exchange),
    }
}
