//! The tasks of a running engine, and how they stop.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::outbox::Confirmed;
use super::{Engine, Supervisor};
use crate::store::Batch;

/// The engine's tasks, to be stopped in order.
#[derive(Debug)]
pub struct Running {
    pub(super) engine: Engine,
    pub(super) supervisor: Supervisor,
    pub(super) stop_timers: CancellationToken,
    pub(super) stop_lanes: CancellationToken,
    pub(super) timers: Vec<JoinHandle<()>>,
    pub(super) lanes: Vec<JoinHandle<()>>,
    pub(super) publishers: Vec<JoinHandle<()>>,
    pub(super) confirmed: Confirmed,
}

impl Running {
    /// What knows whether a task has ended too early, and starts others like those of the engine.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Stops in order: no more wake-ups, all that came in is committed, all that is committed is sent.
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
