//! Declares exchanges, queues and bindings: once, again after a connection was lost, and periodically.

pub(in crate::amqp) mod arguments;
pub(in crate::amqp) mod declarer;
pub(in crate::amqp) mod inspection;
pub(in crate::amqp) mod known;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use lapin::Connection;
use lapin::types::{AMQPValue, FieldTable};

use crate::amqp::options::Options;
use crate::amqp::topology::arguments::{NO_LIMIT, dead_letter_to, other_database, quorum, returning, text};
use crate::amqp::topology::declarer::{Declarer, Failure};
use crate::amqp::topology::known::Known;
use snorri_ports::broker::{Error, Topology};
use snorri_wire::observed::{Exchange, ExchangeKind};
use snorri_wire::topology::Names;

/// The interval of declaring everything again. The broker only checks what exists.
const DECLARATION_INTERVAL: Duration = Duration::from_secs(5);

/// One declaration of a topology.
enum Item {
    Queue(String, FieldTable),
    Exchange(String, Exchange),
    Binding { queue: String, exchange: String, key: String },
}

/// Declares `topology`, up to the first failure.
pub(super) async fn declare(
    connection: &Connection,
    known: &Known,
    topology: &Topology,
    options: &Options,
) -> Result<(), Error> {
    let _declaring = known.declaring().await;
    let mut declarer = Declarer::new(connection, options);
    for item in items(topology, options) {
        declare_item(&mut declarer, item, options).await?;
    }
    declarer.finish().await;
    Ok(())
}

/// Repeats earlier declarations, and returns those that were refused, which does not prevent the others.
///
/// # Errors
///
/// [`Error::Unavailable`] if the broker does not answer.
pub(super) async fn restore(
    connection: &Connection,
    known: &Known,
    topology: &Topology,
    options: &Options,
) -> Result<Vec<String>, Error> {
    let _declaring = known.declaring().await;
    let mut declarer = Declarer::new(connection, options);
    let mut refused = Vec::new();
    for item in items(topology, options) {
        match declare_item(&mut declarer, item, options).await {
            Err(Error::Refused(reason)) => refused.push(reason),
            result => result?,
        }
    }
    declarer.finish().await;
    Ok(refused)
}

/// Declares everything again periodically, to restore whatever others delete. Does not return.
pub(super) async fn keep_declared(connection: &Connection, known: &Known, options: &Options) -> Infallible {
    let mut refused_before = Vec::new();
    loop {
        tokio::time::sleep(DECLARATION_INTERVAL).await;
        if connection.status().blocked() {
            continue; // the broker does not read from a blocked connection
        }
        match restore(connection, known, &known.all(), options).await {
            Ok(refused) => {
                for reason in refused.iter().filter(|reason| !refused_before.contains(*reason)) {
                    tracing::error!(reason, "cannot declare a part of the topology");
                }
                refused_before = refused;
            }
            Err(error) => tracing::warn!(%error, "cannot declare the topology"),
        }
    }
}

/// The declarations in their order: an exchange or queue before the declarations that name it.
fn items(topology: &Topology, options: &Options) -> Vec<Item> {
    let dead_letters: BTreeSet<&String> =
        topology.queues.iter().filter_map(|queue| queue.dead_letters.as_ref()).collect();
    let mut items = if dead_letters.is_empty() { Vec::new() } else { probation(options) };
    items.extend(dead_letters.into_iter().map(|queue| Item::Queue(queue.clone(), returning(options))));
    let exchanges = topology.exchanges.iter().filter(|exchange| !exchange.is_empty());
    items.extend(exchanges.map(|exchange| Item::Exchange(exchange.clone(), inspection::durable_topic())));
    for queue in &topology.queues {
        items.push(Item::Queue(queue.name.clone(), arguments::of(queue, options)));
        items.extend(queue.bindings.iter().map(|(exchange, key)| Item::Binding {
            queue: queue.name.clone(),
            exchange: exchange.clone(),
            key: key.clone(),
        }));
    }
    items
}

/// The topology of probation: messages that are returned too often go from their queues through an exchange that no client can
/// publish to, so that the broker's records on them are authentic, into probation, and from there into the parking queue.
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
            // Whether others made the binding cannot be checked.
            Err(Failure::AccessRefused(reply)) if !options.declare_topology => {
                tracing::warn!(
                    queue,
                    exchange,
                    key,
                    reply,
                    "a queue cannot be bound: bind it with a user that has the right"
                );
                Ok(())
            }
            bound => bound.map_err(|failure| cannot_bind(failure, &queue, &exchange)),
        },
    }
}

/// Declares the queue that [`check`](snorri_ports::broker::Broker::check) publishes to.
pub(super) async fn declare_probe(connection: &Connection, options: &Options) -> Result<(), Error> {
    if !options.declare_topology {
        return Ok(()); // a probe that is returned as unroutable proves the same
    }
    let mut arguments = quorum(options.delivery_limit);
    // It has no consumer: only the last probe stays.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), text("drop-head"));
    let mut declarer = Declarer::new(connection, options);
    declare_queue(&mut declarer, &options.probe_queue, arguments, options).await?;
    declarer.finish().await;
    Ok(())
}

/// An existing exchange is used as it is; a missing one is declared.
async fn declare_exchange(
    declarer: &mut Declarer<'_>,
    exchange: &str,
    declared: &Exchange,
    options: &Options,
) -> Result<(), Error> {
    match declarer.find_exchange(exchange).await {
        Err(Failure::NotFound) if !options.declare_topology && !options.owns(exchange) => {
            Err(Error::Refused(inspection::missing_exchange(exchange)))
        }
        Err(Failure::NotFound) => {
            match declarer.exchange(exchange, declared).await {
                Err(Failure::Different(_)) => Ok(()), // another process has just declared it
                declared => declared.map_err(|failure| cannot_declare(failure, "exchange", exchange)),
            }
        }
        found => found.map_err(|failure| cannot_declare(failure, "exchange", exchange)),
    }
}

/// With `broker.declare_topology = false` an existing queue is used as it is, unless it belongs to another database; a missing
/// one is declared.
async fn declare_queue(
    declarer: &mut Declarer<'_>,
    queue: &str,
    arguments: FieldTable,
    options: &Options,
) -> Result<(), Error> {
    let exists = !options.declare_topology
        && match declarer.find_queue(queue).await {
            Err(Failure::NotFound) => false,
            found => found.map(|()| true).map_err(|failure| cannot_declare(failure, "queue", queue))?,
        };
    match declarer.queue(queue, arguments).await {
        Err(Failure::Different(reply)) => match other_database(&reply, queue, options) {
            Some(error) => Err(error),
            None if exists => Ok(()),
            None => Err(cannot_declare(Failure::Different(reply), "queue", queue)),
        },
        Err(Failure::AccessRefused(_)) if exists => Ok(()),
        declared => declared.map_err(|failure| cannot_declare(failure, "queue", queue)),
    }
}

/// The error of a failed declaration, with what to do.
fn cannot_declare(failure: Failure, what: &str, name: &str) -> Error {
    match failure {
        Failure::NotFound => Error::Refused(format!("{what} `{name}` does not exist")),
        Failure::AccessRefused(reply) => Error::Refused(format!(
            "{what} `{name}` cannot be declared: the user lacks the right `configure` on it ({reply}). Grant the right, or \
             have others declare it and set `broker.declare_topology = false`"
        )),
        Failure::Different(reply) => Error::Refused(format!(
            "{what} `{name}` exists, but not as Snorri declares it ({reply}). Delete it once it is empty, or set \
             `broker.declare_topology = false` to use it as it is"
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
