//! The liveness of this process, for `/livez`: whether its tasks run and make progress.
//!
//! An unavailable database or broker is no reason to restart a process: a lane that waits for it retries, and each retry is
//! progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::supervision::Supervisor;
use crate::supervision::ticks::Ticks;

/// The longest time that a lane may work without progress. A step is bounded by the store's longest wait for an answer, which
/// is about 16 s for each of a few statements.
const LONGEST_STEP: Duration = Duration::from_secs(90);
/// How often liveness is checked for the log.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time of a task's last progress. Clones share it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Steps>);

#[derive(Debug)]
struct Steps {
    began: Instant,
    /// Milliseconds after `began`.
    last: AtomicU64,
    /// Whether the task has something to do.
    is_busy: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        let (last, is_busy) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Steps { began: Instant::now(), last, is_busy }))
    }
}

impl Progress {
    /// Records progress of a task that has work.
    pub fn step(&self) {
        let passed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(passed, Ordering::Relaxed);
        self.0.is_busy.store(true, Ordering::Release);
    }

    /// Records that the task waits for work.
    pub fn rest(&self) {
        self.0.is_busy.store(false, Ordering::Release);
    }

    /// How long the task has worked without progress, if that is too long.
    fn stuck_for(&self) -> Option<Duration> {
        if !self.0.is_busy.load(Ordering::Acquire) {
            return None;
        }
        let last = Duration::from_millis(self.0.last.load(Ordering::Relaxed));
        Some(self.0.began.elapsed().saturating_sub(last)).filter(|passed| *passed > LONGEST_STEP)
    }
}

/// The tasks that must live and make progress.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    pub(crate) supervisor: Supervisor,
    pub(crate) lanes: Vec<Progress>,
}

impl Liveness {
    /// Why the process is to be restarted, if so.
    pub fn fault(&self) -> Option<String> {
        if let Some(task) = self.supervisor.failed_task() {
            return Some(format!("the task `{task}` has ended"));
        }
        let stuck = self.lanes.iter().filter_map(Progress::stuck_for).max()?;
        Some(format!("a lane has made no progress for {} s", stuck.as_secs()))
    }
}

/// Logs each change of liveness once, until `stop` is cancelled.
pub(crate) async fn watch(liveness: Liveness, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    let mut was_alive = true;
    while ticks.next().await {
        let fault = liveness.fault();
        match &fault {
            Some(fault) if was_alive => tracing::error!(fault, "this process is to be restarted"),
            None if !was_alive => tracing::info!("this process makes progress again"),
            _ => {}
        }
        was_alive = fault.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_is_stuck_if_it_works_without_a_step() {
        let progress = Progress::default();
        let liveness = Liveness { lanes: vec![progress.clone()], ..Liveness::default() };
        tokio::time::advance(2 * LONGEST_STEP).await;
        assert_eq!(liveness.fault(), None, "it rests");
        progress.step();
        tokio::time::advance(LONGEST_STEP).await;
        assert_eq!(liveness.fault(), None, "it works");
        progress.step();
        tokio::time::advance(LONGEST_STEP).await;
        assert_eq!(liveness.fault(), None, "it has made a step");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(liveness.fault().as_deref(), Some("a lane has made no progress for 91 s"));
        progress.step();
        assert_eq!(liveness.fault(), None, "it makes progress");
    }

    #[tokio::test]
    async fn a_task_that_has_ended_is_a_fault() {
        let liveness = Liveness::default();
        liveness.supervisor.spawn("publisher", &CancellationToken::new(), async {});
        liveness.supervisor.failed().await;
        assert_eq!(liveness.fault().as_deref(), Some("the task `publisher` has ended"));
    }
}
