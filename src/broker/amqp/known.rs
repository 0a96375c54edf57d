//! What was declared, to be declared again after the connection was lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Options;
use crate::broker::topology::Names;
use crate::broker::{Queue, Topology};

/// All that was declared so far, to be declared again after the connection was lost.
#[derive(Debug, Default)]
pub(super) struct Known {
    topology: Mutex<Topology>,
    /// RabbitMQ may close the connection with an internal error if one quorum queue is declared twice at the same time.
    declaring: tokio::sync::Mutex<()>,
}

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

    /// The right to declare, for as long as it is held.
    pub(super) async fn declaring(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.declaring.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
