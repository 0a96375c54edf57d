//! Finds out the type of an exchange that another client declared.
//!
//! AMQP has no request for it. A passive declaration answers only whether an exchange exists. An active one of an exchange that
//! exists changes nothing, and its refusal names the first property that differs, with its value: so the properties are found
//! one after the other.

use lapin::Connection;

use crate::amqp::options::Options;
use crate::amqp::topology::declarer::{Declarer, Failure};
use snorri_ports::broker::Error;
use snorri_wire::observed::{Exchange, ExchangeKind, ExchangeState};

/// The exchange that Snorri declares where one is missing.
pub(in crate::amqp) const fn durable_topic() -> Exchange {
    let kind = ExchangeKind::Topic;
    Exchange { kind, durable: true, auto_delete: false, internal: false, alternate: None }
}

/// Most properties that can differ: type, durable, auto-delete, internal, and the alternate exchange.
const MOST_DIFFERENCES: usize = 5;

pub(in crate::amqp) async fn inspect(
    connection: &Connection,
    name: &str,
    options: &Options,
) -> ExchangeState {
    if name.is_empty() {
        return ExchangeState::Exists; // the default exchange
    }
    let mut declarer = Declarer::new(connection, options);
    let state = match declarer.find_exchange(name).await {
        Ok(()) if !options.declare_topology => ExchangeState::Exists,
        Ok(()) => compare(&mut declarer, name).await,
        Err(Failure::NotFound) if !options.declare_topology => {
            ExchangeState::Unavailable(missing_exchange(name))
        }
        Err(Failure::NotFound) => ExchangeState::Missing,
        Err(failure) => unknown(failure),
    };
    declarer.finish().await;
    state
}

/// The reason why an exchange that is missing stays missing.
pub(in crate::amqp) fn missing_exchange(name: &str) -> String {
    format!(
        "exchange `{name}` does not exist, and with `broker.declare_topology = false` Snorri does not declare it"
    )
}

async fn compare(declarer: &mut Declarer<'_>, name: &str) -> ExchangeState {
    let mut exchange = durable_topic();
    for _ in 0..MOST_DIFFERENCES {
        let reply = match declarer.exchange(name, &exchange).await {
            Ok(()) => return ExchangeState::Found(exchange),
            Err(Failure::AccessRefused(_)) => return ExchangeState::Exists,
            Err(Failure::NotFound) => return ExchangeState::Missing,
            Err(Failure::Different(reply)) => reply,
            Err(failure @ Failure::Other(_)) => return unknown(failure),
        };
        match Difference::parse(&reply) {
            // Declaring an exchange of a type that the broker does not have would close the connection.
            Some(Difference::Kind(kind @ ExchangeKind::Other(_))) => {
                return ExchangeState::Found(Exchange { kind, ..exchange });
            }
            Some(Difference::Alternate(alternate)) => {
                return ExchangeState::Found(Exchange { alternate: Some(alternate), ..exchange });
            }
            Some(Difference::Kind(kind)) => exchange.kind = kind,
            Some(Difference::Durable) => exchange.durable = !exchange.durable,
            Some(Difference::AutoDelete) => exchange.auto_delete = !exchange.auto_delete,
            Some(Difference::Internal) => exchange.internal = !exchange.internal,
            None => {
                tracing::warn!(exchange = name, reply, "the broker describes an exchange in an unknown way");
                return ExchangeState::Exists;
            }
        }
    }
    ExchangeState::Found(exchange)
}

fn unknown(failure: Failure) -> ExchangeState {
    ExchangeState::Unknown(match failure {
        Failure::NotFound => "it does not exist".to_owned(),
        Failure::AccessRefused(reply) | Failure::Different(reply) => reply,
        Failure::Other(Error::Unavailable(reason) | Error::Refused(reason)) => reason,
    })
}

/// A property of an exchange that differs from what was declared.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Kind(ExchangeKind),
    Durable,
    AutoDelete,
    Internal,
    Alternate(String),
}

impl Difference {
    /// From the text of a 406: `inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'fanout'`.
    fn parse(reply: &str) -> Option<Self> {
        let (_, rest) = reply.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once('\'')?;
        // The name of the exchange may contain anything, the last part only the words of the broker.
        let (_, current) = rest.rsplit_once("but current is ")?;
        // `'fanout'`, or for arguments `the value 'unrouted' of type 'longstr'`.
        let value = match current.strip_prefix("the value '") {
            Some(rest) => rest.rsplit_once("' of type ")?.0,
            None => current.trim().trim_matches('\''),
        };
        match argument {
            "type" => Some(Self::Kind(ExchangeKind::from(value))),
            "durable" => Some(Self::Durable),
            "auto_delete" => Some(Self::AutoDelete),
            "internal" => Some(Self::Internal),
            "alternate-exchange" => Some(Self::Alternate(value.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(argument: &str, received: &str, current: &str) -> Option<Difference> {
        Difference::parse(&format!(
            "PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange 'it's but current is ' in vhost '/': \
             received {received} but current is {current}"
        ))
    }

    #[test]
    fn the_text_of_the_broker_names_the_difference() {
        assert_eq!(parsed("type", "'topic'", "'fanout'"), Some(Difference::Kind(ExchangeKind::Fanout)));
        let plugin = ExchangeKind::Other("x-delayed-message".to_owned());
        assert_eq!(parsed("type", "'topic'", "''x-delayed-message''"), Some(Difference::Kind(plugin)));
        assert_eq!(parsed("durable", "'true'", "'false'"), Some(Difference::Durable));
        assert_eq!(parsed("auto_delete", "'false'", "'true'"), Some(Difference::AutoDelete));
        assert_eq!(parsed("internal", "'false'", "'true'"), Some(Difference::Internal));
        let alternate = parsed("alternate-exchange", "none", "the value 'unrouted' of type 'longstr'");
        assert_eq!(alternate, Some(Difference::Alternate("unrouted".to_owned())));
        assert_eq!(parsed("something", "none", "'else'"), None);
        assert_eq!(Difference::parse("ACCESS_REFUSED"), None);
    }
}
