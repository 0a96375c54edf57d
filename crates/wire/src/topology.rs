//! The names of Snorri's own queues, and what must be declared for them.

use std::collections::BTreeSet;

use uuid::Uuid;

use snorri_core::Definition;
use snorri_core::definition::{Action, Trigger};

/// Used when nothing else is configured. Two installations on one virtual host need a prefix each.
pub const DEFAULT_PREFIX: &str = "snorri";

/// What must exist before anything can be sent or received. Declared again after every reconnection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Declared as durable topic exchanges where they are missing. Those that exist are used as they are.
    pub exchanges: Vec<String>,
    pub queues: Vec<QueueDeclaration>,
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDeclaration {
    pub name: String,
    /// Exchange and routing key of each binding.
    pub bindings: Vec<(String, String)>,
    /// The queue that takes messages that cannot be handled, through the default exchange. It is declared too, and so are the
    /// exchange and the queues for messages that are returned too often.
    pub dead_letters: Option<String>,
}

/// Snorri's own queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Takes starts.
    pub starts: String,
    /// Takes domain events that definitions listen for.
    pub events: String,
    /// Takes signals to sagas.
    pub signals: String,
    /// Takes participants' replies to attempts that may take long, and to processes without a reply queue of their own.
    pub replies: String,
    /// Takes messages that cannot be handled. From here they go into the store, for operators.
    pub dead_letters: String,
    /// The topic exchange of lifecycle events.
    pub lifecycle: String,
    /// Keeps the last probe of the broker's health.
    pub probe: String,
    /// Takes messages that were returned to their queue too often, because their consumer was lost each time. The name of a
    /// queue, and of the exchange that the broker moves them through.
    pub probation: String,
    /// Keeps the messages that were given up in probation. Never consumed.
    pub parked: String,
}

impl Names {
    pub fn new(prefix: &str) -> Self {
        Self {
            starts: format!("{prefix}.starts"),
            events: format!("{prefix}.events"),
            signals: format!("{prefix}.signals"),
            replies: format!("{prefix}.replies"),
            dead_letters: format!("{prefix}.dead-letters"),
            lifecycle: format!("{prefix}.lifecycle"),
            probe: format!("{prefix}.probe"),
            probation: format!("{prefix}.probation"),
            parked: format!("{prefix}.parked"),
        }
    }

    /// The queue of the replies to the commands of one process.
    pub fn replies_of(&self, process: Uuid) -> String {
        format!("{}.{}", self.replies, process.simple())
    }

    /// The queue that a message of `queue` is handled as one of, and may be put back into: that of all replies instead of that of
    /// one process.
    pub fn common<'a>(&'a self, queue: &'a str) -> &'a str {
        let of_process = queue.strip_prefix(&self.replies).and_then(|rest| rest.strip_prefix('.'));
        if of_process.is_some() { &self.replies } else { queue }
    }

    /// Whether a queue of this name is Snorri's own.
    pub fn is_own(&self, queue: &str) -> bool {
        let others = [&self.dead_letters, &self.probe, &self.probation, &self.parked];
        self.is_taken_from(queue) || others.into_iter().any(|own| own == queue)
    }

    /// Whether Snorri consumes a queue of this name, other than to keep its messages as dead letters.
    pub fn is_taken_from(&self, queue: &str) -> bool {
        let queue = self.common(queue);
        [&self.starts, &self.events, &self.signals, &self.replies].into_iter().any(|own| own == queue)
    }
}

/// What must exist before Snorri can consume anything, the dead-letter queue included, and publish lifecycle events. All queues
/// are reached through the default exchange; that of events is also bound by [`topology_of`].
pub fn own_topology(prefix: &str) -> Topology {
    let names = Names::new(prefix);
    let own = [&names.starts, &names.events, &names.signals, &names.replies];
    let queues = own.map(|name| queue(name, &names, Vec::new())).into();
    Topology { exchanges: vec![names.lifecycle], queues }
}

/// A queue of replies, and the exchange for replies, if participants do not use the default exchange. It takes replies only, and
/// for reply queues only: a right to publish to it is a right to reply, not to start sagas or to send signals.
pub fn reply_topology(names: &Names, replies: &str, exchange: Option<&str>) -> Topology {
    let exchanges: Vec<_> = exchange.map(str::to_owned).into_iter().collect();
    let bindings = exchanges.iter().map(|exchange| (exchange.clone(), replies.to_owned())).collect();
    Topology { exchanges, queues: vec![queue(replies, names, bindings)] }
}

/// The exchanges that definitions name, and the bindings of the events that they listen for.
pub fn topology_of<'a>(names: &Names, definitions: impl IntoIterator<Item = &'a Definition>) -> Topology {
    let mut exchanges = BTreeSet::new();
    let mut bindings = BTreeSet::new();
    for definition in definitions {
        exchanges.extend(definition.commands().map(|command| command.exchange.to_string()));
        let published = definition.steps().iter().filter_map(|step| match &step.action {
            Action::Publish(publish) => Some(publish.exchange.to_string()),
            _ => None,
        });
        exchanges.extend(published);
        let awaited = definition.events().map(|pattern| (&pattern.exchange, &pattern.event));
        let starting = definition.starts.iter().filter_map(|trigger| match trigger {
            Trigger::Event { exchange, event, .. } => Some((exchange, event)),
            Trigger::Schedule { .. } => None,
        });
        bindings.extend(
            awaited.chain(starting).map(|(exchange, event)| (exchange.to_string(), event.to_string())),
        );
    }
    exchanges.extend(bindings.iter().map(|(exchange, _)| exchange.clone()));
    let queues = match bindings.is_empty() {
        true => Vec::new(),
        false => vec![queue(&names.events, names, bindings.into_iter().collect())],
    };
    Topology { exchanges: exchanges.into_iter().collect(), queues }
}

fn queue(name: &str, names: &Names, bindings: Vec<(String, String)>) -> QueueDeclaration {
    QueueDeclaration { name: name.to_owned(), bindings, dead_letters: Some(names.dead_letters.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_are_named_after_the_prefix() {
        let topology = own_topology(DEFAULT_PREFIX);
        let names: Vec<&str> = topology.queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["snorri.starts", "snorri.events", "snorri.signals", "snorri.replies"]);
        assert!(topology.queues.iter().all(|q| q.dead_letters.as_deref() == Some("snorri.dead-letters")));
    }
}
