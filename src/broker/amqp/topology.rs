//! Declaring exchanges, queues and bindings: once, again after a connection was lost, and from time to time.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use lapin::Connection;
use lapin::types::{AMQPValue, FieldTable};

use super::arguments::{self, NO_LIMIT, dead_letter_to, other_database, quorum, returning, text};
use super::declarer::{Declarer, Failure};
use super::known::Known;
use super::{Options, inspection};
use crate::broker::topology::Names;
use crate::broker::{Error, Topology};
use crate::check::topology::{Exchange, ExchangeKind};

/// How often everything is declared again. What is there costs the broker a look at it.
const DECLARATION_INTERVAL: Duration = Duration::from_secs(5);

/// One declaration of a topology.
enum Item {
    Queue(String, FieldTable),
    Exchange(String, Exchange),
    Binding { queue: String, exchange: String, key: String },
}

/// Declares `topology`. The first declaration that fails ends it.
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

/// Declares again what was declared before, and returns what was refused, which keeps nothing else from being declared.
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

/// Declares everything again from time to time, so that what others delete comes back. Does not return.
pub(super) async fn keep_declared(connection: &Connection, known: &Known, options: &Options) -> Infallible {
    let mut refused_before = Vec::new();
    loop {
        tokio::time::sleep(DECLARATION_INTERVAL).await;
        if connection.status().blocked() {
            continue; // the broker reads nothing from it
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

/// The declarations in their order: what is bound, or named as a place for dead letters, comes first.
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

/// With `broker.verify_only` a queue that exists is used as it is, unless it belongs to another database; a missing one is
/// declared.
async fn declare_queue(
    declarer: &mut Declarer<'_>,
    queue: &str,
    arguments: FieldTable,
    options: &Options,
) -> Result<(), Error> {
    let exists = options.verify_only
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
