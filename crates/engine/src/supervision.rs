//! Tasks that must not end before they are stopped: a process that lacks one looks alive and does not do its work.

pub mod health;
pub mod liveness;
pub(crate) mod running;
pub(crate) mod tasks;
pub(crate) mod ticks;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Starts tasks, and records whether one of them ended too early. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    failed: CancellationToken,
    /// The first task that has ended too early.
    failed_task: Arc<OnceLock<&'static str>>,
}

impl Supervisor {
    /// Starts a task that may end once `stop` is cancelled. If it ends before, or panics at any time, [`Supervisor::failed`]
    /// returns.
    pub fn spawn(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (supervisor, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let has_panicked = AssertUnwindSafe(task).catch_unwind().await.is_err();
            if has_panicked || !stop.is_cancelled() {
                tracing::error!(
                    task = name,
                    has_panicked,
                    "a task has ended too early: the process cannot work without it"
                );
                supervisor.failed_task.get_or_init(|| name);
                supervisor.failed.cancel();
            }
        })
    }

    /// The first task that has ended too early.
    pub fn failed_task(&self) -> Option<&'static str> {
        self.failed_task.get().copied()
    }

    /// Waits until a task has ended too early.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_before_the_stop_is_a_failure() {
        for task in [async { panic!("a fault") }.boxed(), async {}.boxed()] {
            let supervisor = Supervisor::default();
            let handle = supervisor.spawn("test", &CancellationToken::new(), task);
            supervisor.failed().await;
            handle.await.expect("the panic is caught");
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_after_the_stop_is_none() {
        let (supervisor, stop) = (Supervisor::default(), CancellationToken::new());
        let handle = supervisor.spawn("test", &stop, stop.clone().cancelled_owned());
        stop.cancel();
        handle.await.expect("no panic");
        assert!(supervisor.failed().now_or_never().is_none());
    }
}
