//! The tasks of a running engine, and their shutdown.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::outbox::Confirmed;
use crate::{Engine, Supervisor};
use snorri_ports::store::Batch;

/// The engine's tasks, to be stopped in order.
#[derive(Debug)]
pub struct Running {
    pub(crate) engine: Engine,
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
            && let Err(error) = self.engine.store().commit(batch).await
        {
            tracing::info!(%error, "some messages will be sent again after the next start");
        }
        let (engine, now) = (&self.engine, self.engine.clock().now());
        if let Err(error) = engine.store().release(engine.process(), now).await {
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
