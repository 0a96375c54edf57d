//! A reply queue for each process: replies come back to the process that sent the command, which has the state of the saga in
//! memory. So two processes rarely decide about the same saga, and seldom conflict.
//!
//! Another process inherits the queue when its process has ended, and deletes it once no reply can come any more.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::supervision::Supervisor;
use crate::timers::processes::Inherited;
use snorri_ports::broker::{Broker, Error, Handler};
use snorri_ports::clock::Clock;
use snorri_ports::store::Store;
use snorri_wire::envelope::Wire;
use snorri_wire::topology::reply_topology;

/// The longest attempt whose reply comes to the queue of the process. Those of longer ones go to the queue of all processes, which
/// is never deleted.
const LONGEST_ATTEMPT: Duration = Duration::from_mins(10);
/// How long the queue of a process is kept after its end: until each attempt whose reply could come has timed out.
const KEPT: Duration = Duration::from_mins(15);
/// The interval of trying again what failed, and of looking for queues to delete.
const INTERVAL: Duration = Duration::from_secs(1);

/// The reply queue of this process, once it is declared.
#[derive(Debug, Clone, Default)]
pub struct OwnReplies(Arc<OnceLock<String>>);

impl OwnReplies {
    /// The queue for the reply to an attempt that has so long left, if that is the queue of this process.
    pub(crate) fn queue_of(&self, left: Duration) -> Option<&str> {
        self.0.get().filter(|_| left <= LONGEST_ATTEMPT).map(String::as_str)
    }
}

/// Consumes the replies to this process, and to those that it inherits from.
#[derive(Debug)]
pub(crate) struct ReplyQueues {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wire: Wire,
    pub(crate) supervisor: Supervisor,
    pub(crate) handler: Handler,
    pub(crate) prefetch: u16,
    pub(crate) process: Uuid,
    /// `None`: processes have no reply queues of their own.
    pub(crate) own: Option<OwnReplies>,
    pub(crate) inherited: watch::Receiver<Inherited>,
}

/// The consumers, by the process whose replies they take.
type Consumers = BTreeMap<Uuid, Consumer>;

struct Consumer {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Returns once everything that it took is handled.
    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a consumer of replies failed");
        }
    }
}

impl ReplyQueues {
    /// Runs until `stop` is cancelled and what was delivered by then is handled.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut consumers = Consumers::new();
        loop {
            self.take_own(&mut consumers, &stop).await;
            self.take_inherited(&mut consumers, &stop).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Without the sender, which is gone when the engine is, this would return at once, again and again.
                Ok(()) = self.inherited.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        for consumer in consumers.into_values() {
            consumer.stop().await;
        }
    }

    /// Declares the queue of this process. From then on, commands name it for their replies.
    async fn take_own(&mut self, consumers: &mut Consumers, stop: &CancellationToken) {
        let Some(own) = self.own.as_ref().filter(|own| own.0.get().is_none()) else { return };
        let queue = self.wire.names.replies_of(self.process);
        match self.declare(&queue).await {
            Ok(()) => {
                let _ = own.0.set(queue);
                consumers.insert(self.process, self.consume(self.process, stop));
            }
            Err(Error::Unavailable(reason)) => tracing::debug!(reason, "cannot declare a reply queue now"),
            Err(Error::Refused(reason)) => {
                tracing::warn!(reason, "this process has no reply queue of its own, and shares that of all");
                self.own = None;
            }
        }
    }

    async fn take_inherited(&mut self, consumers: &mut Consumers, stop: &CancellationToken) {
        let inherited = self.inherited.borrow_and_update().clone();
        let is_inherited = |process: &Uuid| inherited.iter().any(|(ended, _)| ended == process);
        let others = consumers.keys().filter(|process| **process != self.process && !is_inherited(process));
        for process in others.copied().collect::<Vec<_>>() {
            if let Some(consumer) = consumers.remove(&process) {
                consumer.stop().await;
            }
        }
        for (process, ended_at) in inherited {
            if self.clock.now().since(ended_at) > KEPT {
                self.discard(process, consumers, stop).await;
            } else if !consumers.contains_key(&process) && self.inherit(process).await {
                consumers.insert(process, self.consume(process, stop));
            }
        }
    }

    /// Declares the queue of a process that has ended, which may be gone. Returns whether it can be consumed.
    async fn inherit(&self, process: Uuid) -> bool {
        let queue = self.wire.names.replies_of(process);
        if self.own.is_none() {
            return match self.broker.depth(&queue).await {
                Ok(_) => true,
                Err(Error::Unavailable(_)) => false,
                // It had no queue either.
                Err(Error::Refused(_)) => {
                    self.forget(process).await;
                    false
                }
            };
        }
        match self.declare(&queue).await {
            Ok(()) => {
                tracing::info!(%process, "replies to a process that has ended are taken over");
                true
            }
            Err(Error::Unavailable(_)) => false,
            Err(Error::Refused(reason)) => {
                tracing::warn!(%process, reason, "a reply queue is taken over as it is");
                true
            }
        }
    }

    /// Deletes the queue of a process that ended long ago, if it is empty, and forgets the process.
    async fn discard(&self, process: Uuid, consumers: &mut Consumers, stop: &CancellationToken) {
        if let Some(consumer) = consumers.remove(&process) {
            consumer.stop().await;
        }
        let queue = self.wire.names.replies_of(process);
        let deleted = match self.broker.depth(&queue).await {
            Ok(0) => self.broker.delete_queue(&queue).await,
            // What is left is handled first.
            Ok(_) => {
                consumers.insert(process, self.consume(process, stop));
                return;
            }
            // It does not exist.
            Err(Error::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => self.forget(process).await,
            Err(error) => tracing::debug!(%process, %error, "cannot delete the reply queue of a process now"),
        }
    }

    async fn forget(&self, process: Uuid) {
        if let Err(error) = self.store.forget_process(process).await {
            tracing::debug!(%process, %error, "cannot forget a process now");
        }
    }

    async fn declare(&self, queue: &str) -> Result<(), Error> {
        let exchange = self.wire.reply_exchange.as_deref();
        self.broker.declare(&reply_topology(&self.wire.names, queue, exchange)).await
    }

    fn consume(&self, process: Uuid, stop: &CancellationToken) -> Consumer {
        let (broker, handler, prefetch) = (Arc::clone(&self.broker), self.handler.clone(), self.prefetch);
        let queue = self.wire.names.replies_of(process);
        let stop = stop.child_token();
        let until = stop.clone();
        let consuming = async move { broker.consume(&queue, prefetch, handler, until).await };
        Consumer { task: self.supervisor.spawn("consumer", &stop, consuming), stop }
    }
}
