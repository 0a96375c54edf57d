//! The declarations so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::amqp::options::Options;
use snorri_ports::broker::{QueueDeclaration, Topology};
use snorri_wire::topology::Names;

/// The declarations so far, to be repeated after the connection was lost.
#[derive(Debug, Default)]
pub(in crate::amqp) struct Known {
    topology: Mutex<Topology>,
    /// RabbitMQ may close the connection with an internal error if one quorum queue is declared twice at the same time.
    declaring: tokio::sync::Mutex<()>,
}

impl Known {
    pub(in crate::amqp) fn all(&self) -> Topology {
        self.lock().clone()
    }

    /// The declarations for one queue. It may be one for the dead letters of others, or that of probation.
    pub(in crate::amqp) fn around(&self, queue: &str, options: &Options) -> Topology {
        let known = self.lock();
        let is_probation = queue == Names::new(&options.prefix).probation;
        let needs = |known: &&QueueDeclaration| {
            known.name == queue || known.dead_letters.as_ref().is_some_and(|to| is_probation || to == queue)
        };
        let queues: Vec<QueueDeclaration> = known.queues.iter().filter(needs).cloned().collect();
        let bound_to =
            |exchange: &&String| queues.iter().flat_map(|q| &q.bindings).any(|(e, _)| e == *exchange);
        Topology { exchanges: known.exchanges.iter().filter(bound_to).cloned().collect(), queues }
    }

    /// The queue for the dead letters of a queue.
    pub(in crate::amqp) fn dead_letters_of(&self, queue: &str, options: &Options) -> Option<String> {
        let names = Names::new(&options.prefix);
        self.around(names.common(queue), options).queues.into_iter().find_map(|known| known.dead_letters)
    }

    pub(in crate::amqp) fn add(&self, topology: &Topology) {
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

    pub(in crate::amqp) fn forget_queue(&self, queue: &str) {
        self.lock().queues.retain(|known| known.name != queue);
    }

    /// The right to declare, for as long as it is held.
    pub(in crate::amqp) async fn declaring(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.declaring.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
