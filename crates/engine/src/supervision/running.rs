//! The tasks of a running engine, and their shutdown.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::confirmed::Confirmed;
use crate::supervision::Supervisor;
use snorri_ports::clock::Clock;
use snorri_ports::store::{Batch, Store};

/// The engine's tasks, to be stopped in order.
#[derive(Debug)]
pub struct Running {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) process: Uuid,
    pub(crate) supervisor: Supervisor,
    pub(crate) stop_timers: CancellationToken,
    pub(crate) stop_lanes: CancellationToken,
    pub(crate) timers: Vec<JoinHandle<()>>,
    pub(crate) lanes: Vec<JoinHandle<()>>,
    pub(crate) publishers: Vec<JoinHandle<()>>,
    pub(crate) confirmed: Confirmed,
}

impl Running {
    /// The supervisor: starts tasks, and reports one that has ended too early.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Stops in order: no more timers, all inputs are committed, all committed messages are sent.
    pub async fn shut_down(self) {
        self.stop_timers.cancel();
        join(self.timers).await;
        self.stop_lanes.cancel();
        join(self.lanes).await;
        join(self.publishers).await;
        let batch = Batch { sent: self.confirmed.take(), ..Batch::default() };
        if !batch.sent.is_empty()
            && let Err(error) = self.store.commit(batch).await
        {
            tracing::info!(%error, "some messages will be sent again after the next start");
        }
        if let Err(error) = self.store.release(self.process, self.clock.now()).await {
            tracing::info!(%error, "others take over what this process had reserved once they find that it has ended");
        }
    }
}

async fn join(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the engine failed");
        }
    }
}
