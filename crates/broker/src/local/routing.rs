//! The queues that a message is routed to.

use std::collections::HashMap;
use std::sync::Arc;

use super::queue::Queue;
use snorri_ports::broker::{self, Error, Topology};
use snorri_wire::routing::topic_matches;

#[derive(Debug, Default)]
pub(super) struct Routing {
    queues: HashMap<String, Arc<Queue>>,
    exchanges: HashMap<String, Bindings>,
}

/// The bindings of one topic exchange.
#[derive(Debug, Default)]
struct Bindings {
    /// Bindings without wildcards, which are nearly all, by routing key.
    exact: HashMap<String, Vec<Arc<Queue>>>,
    patterns: Vec<(String, Arc<Queue>)>,
}

impl Routing {
    pub(super) fn declare(&mut self, topology: &Topology) -> Result<(), Error> {
        for exchange in &topology.exchanges {
            self.exchanges.entry(exchange.clone()).or_default();
        }
        topology.queues.iter().try_for_each(|queue| self.declare_queue(queue))
    }

    fn declare_queue(&mut self, declared: &broker::QueueDeclaration) -> Result<(), Error> {
        let broker::QueueDeclaration { name, bindings, dead_letters } = declared;
        if let Some(dead_letters) = dead_letters {
            self.queues
                .entry(dead_letters.clone())
                .or_insert_with(|| Arc::new(Queue::new(dead_letters, None)));
        }
        let queue = self
            .queues
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Queue::new(name, dead_letters.as_deref())))
            .clone();
        if queue.dead_letters() != dead_letters.as_deref() {
            return Err(Error::Refused(format!("queue `{name}` exists with other dead letters")));
        }
        for (exchange, key) in bindings {
            let missing = || Error::Refused(format!("there is no exchange `{exchange}`"));
            self.exchanges.get_mut(exchange).ok_or_else(missing)?.bind(key, &queue);
        }
        Ok(())
    }

    pub(super) fn delete_queue(&mut self, name: &str) {
        self.queues.remove(name);
        for Bindings { exact, patterns } in self.exchanges.values_mut() {
            exact.values_mut().for_each(|queues| queues.retain(|queue| queue.name() != name));
            patterns.retain(|(_, queue)| queue.name() != name);
        }
    }

    pub(super) fn has_exchange(&self, name: &str) -> bool {
        name.is_empty() || self.exchanges.contains_key(name)
    }

    pub(super) fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.get(name).cloned()
    }

    /// The queues that take a message, each once however many of its bindings match.
    pub(super) fn route(&self, exchange: &str, key: &str) -> Vec<&Arc<Queue>> {
        if exchange.is_empty() {
            return self.queues.get(key).into_iter().collect();
        }
        let Some(bindings) = self.exchanges.get(exchange) else {
            return Vec::new();
        };
        let mut queues: Vec<&Arc<Queue>> = bindings.exact.get(key).into_iter().flatten().collect();
        for (pattern, queue) in &bindings.patterns {
            if topic_matches(pattern, key) && !queues.iter().any(|other| Arc::ptr_eq(other, queue)) {
                queues.push(queue);
            }
        }
        queues
    }
}

impl Bindings {
    fn bind(&mut self, key: &str, queue: &Arc<Queue>) {
        let same = |other: &Arc<Queue>| Arc::ptr_eq(other, queue);
        if key.split('.').any(|word| word == "*" || word == "#") {
            if !self.patterns.iter().any(|(pattern, other)| pattern == key && same(other)) {
                self.patterns.push((key.to_owned(), queue.clone()));
            }
        } else {
            let queues = self.exact.entry(key.to_owned()).or_default();
            if !queues.iter().any(same) {
                queues.push(queue.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gets_a_message_once_however_many_bindings_match() {
        let mut routing = Routing::default();
        let binding = |key: &str| ("shop".to_owned(), key.to_owned());
        let queue = broker::QueueDeclaration {
            name: "q".to_owned(),
            bindings: vec![binding("a.b"), binding("a.*"), binding("a.#"), binding("a.b")],
            dead_letters: None,
        };
        let topology = Topology { exchanges: vec!["shop".to_owned()], queues: vec![queue] };
        routing.declare(&topology).expect("declared");
        routing.declare(&topology).expect("declared again");
        assert_eq!(routing.route("shop", "a.b").len(), 1);
        assert_eq!(routing.route("shop", "b").len(), 0);
        assert_eq!(routing.route("", "q").len(), 1);
        assert_eq!(routing.route("elsewhere", "a.b").len(), 0);
    }
}
