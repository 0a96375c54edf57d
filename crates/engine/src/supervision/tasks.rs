//! The tasks of a component that are not awaited one by one: bounded in number, and awaited when the component ends.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// The tasks of one component.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    room: Arc<Semaphore>,
}

impl Tasks {
    /// At most `limit` at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tracker: TaskTracker::new(), room: Arc::new(Semaphore::new(limit)) }
    }

    /// Starts a task as soon as there is room for it.
    pub(crate) async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
        self.tracker.spawn(async move {
            task.await;
            drop(permit);
        });
    }

    /// Waits until all tasks have ended.
    pub(crate) async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_than_the_limit_and_all_are_awaited() {
        let (tasks, done) = (Tasks::new(2), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let done = Arc::clone(&done);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        };
        tasks.spawn(work()).await;
        tasks.spawn(work()).await;
        assert!(tasks.spawn(work()).now_or_never().is_none(), "there is no room");
        tasks.spawn(work()).await;
        assert!(done.load(Ordering::SeqCst) >= 1, "there is room now");
        tasks.finish().await;
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }
}
