//! Computations that may take long: on threads of their own, a few at a time.
//!
//! Compiling a definition, checking it, and validating a large input take milliseconds to seconds. A runtime thread that does
//! so runs nothing else meanwhile: no other request, no saga, no probe.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use snorri_core::State;
use snorri_core::json::approximate_bytes;
use snorri_definition::Compiled;

/// A pool for computations. It bounds how many run at once, how many wait, and for how long.
#[derive(Debug)]
pub(crate) struct Computing {
    limits: Limits,
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most computations at once.
    pub(crate) running: usize,
    /// Most that wait for one of these to end.
    pub(crate) waiting: usize,
    /// How long one waits.
    pub(crate) patience: Duration,
}

/// Why a computation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("too many others are under way")]
    Busy,
    /// A fault of this program.
    #[error("{0}")]
    Panicked(String),
}

/// The bytes of payloads up to which evaluating expressions over them takes no measurable time.
const SMALL_PAYLOADS: usize = 8 << 10;

/// Runs a decision about a saga: in place, if the expressions of its definition may take long over the saga's payloads.
pub(crate) fn decide<T>(compiled: &Compiled, state: &State, decide: impl FnOnce() -> T) -> T {
    if takes_long(compiled, state) { in_place(decide) } else { decide() }
}

/// Whether the expressions of a definition may take long over a saga's payloads.
pub(crate) fn takes_long(compiled: &Compiled, state: &State) -> bool {
    compiled.may_take_long && state.payload_bytes() > SMALL_PAYLOADS
}

/// Runs an evaluation over a payload: in place, if it may take long.
pub(crate) fn evaluate<T>(may_take_long: bool, payload: &Value, evaluate: impl FnOnce() -> T) -> T {
    if may_take_long && approximate_bytes(payload) > SMALL_PAYLOADS { in_place(evaluate) } else { evaluate() }
}

/// Runs `work` on this thread, while the runtime continues without it. A runtime with one thread waits.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The pools for computations besides decisions. Each kind has its own, so that none waits for another.
#[derive(Debug)]
pub(crate) struct Pools {
    /// Definitions that a request wants compiled and checked: seconds each.
    pub(crate) checks: Computing,
    /// Registered definitions that are compiled because sagas need them.
    pub(crate) loads: Computing,
    /// Inputs of sagas that are to be started.
    pub(crate) inputs: Computing,
}

impl Default for Pools {
    fn default() -> Self {
        let limits =
            |running, waiting, seconds| Limits { running, waiting, patience: Duration::from_secs(seconds) };
        Self {
            checks: Computing::new(limits(2, 16, 5)),
            loads: Computing::new(limits(1, 1_000, 60)),
            inputs: Computing::new(limits(2, 1_000, 10)),
        }
    }
}

impl Computing {
    pub(crate) fn new(limits: Limits) -> Self {
        let running = Arc::new(Semaphore::new(limits.running));
        Self { limits, running, waiting: Semaphore::new(limits.waiting) }
    }

    /// The result of `work`, which runs to its end even if no caller waits for it any more, and counts until then.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if too many wait already, or if it was not begun in time.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self.permit().await?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|error| Error::Panicked(panic_message(error)))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.waiting.try_acquire().map_err(|_| Error::Busy)?;
        let permit = timeout(self.limits.patience, Arc::clone(&self.running).acquire_owned()).await;
        // The semaphore is never closed.
        permit.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMITS: Limits = Limits { running: 2, waiting: 3, patience: Duration::from_secs(5) };

    /// Computations that end when their channel is closed.
    async fn begin(
        computing: &Arc<Computing>,
        count: usize,
    ) -> (Vec<mpsc::Sender<()>>, Vec<tokio::task::JoinHandle<Result<(), Error>>>) {
        let mut ends = Vec::new();
        let mut runs = Vec::new();
        for _ in 0..count {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let computing = Arc::clone(computing);
            runs.push(tokio::spawn(async move {
                computing
                    .run(move || {
                        let _ = ended.recv();
                    })
                    .await
            }));
            tokio::task::yield_now().await;
        }
        (ends, runs)
    }

    #[tokio::test(start_paused = true)]
    async fn others_go_on_meanwhile_and_a_bounded_number_waits() {
        let computing = Arc::new(Computing::new(LIMITS));
        let (ends, runs) = begin(&computing, LIMITS.running + LIMITS.waiting).await;
        // There is one thread, and it is free although all of them are under way.
        tokio::task::yield_now().await;
        assert_eq!(computing.run(|| ()).await, Err(Error::Busy));
        drop(ends);
        for run in runs {
            assert_eq!(run.await.expect("it does not panic"), Ok(()));
        }
        assert_eq!(computing.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn one_waits_no_longer_than_it_may() {
        let computing = Arc::new(Computing::new(Limits { patience: Duration::ZERO, ..LIMITS }));
        let (ends, runs) = begin(&computing, LIMITS.running).await;
        assert_eq!(computing.run(|| ()).await, Err(Error::Busy));
        drop(ends);
        for run in runs {
            assert_eq!(run.await.expect("it does not panic"), Ok(()));
        }
    }

    #[tokio::test]
    async fn an_abandoned_one_counts_until_it_has_ended() {
        let computing = Arc::new(Computing::new(Limits { running: 1, patience: Duration::ZERO, ..LIMITS }));
        let (ends, runs) = begin(&computing, 1).await;
        runs.iter().for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        assert_eq!(computing.run(|| ()).await, Err(Error::Busy));
        drop(ends);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_decision_in_place_leaves_the_runtime_to_others() {
        let (ticked, tick) = mpsc::channel();
        let deciding = tokio::spawn(async move {
            in_place(move || {
                // Another task of the only worker runs while this one waits for it.
                tokio::spawn(async move { ticked.send(()) });
                tick.recv()
            })
        });
        assert_eq!(deciding.await.expect("it does not panic"), Ok(()));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let computing = Computing::new(LIMITS);
        let panicked = computing.run(|| assert!(std::hint::black_box(false), "it is wrong")).await;
        assert_eq!(panicked, Err(Error::Panicked("it is wrong".to_owned())));
        assert_eq!(computing.run(|| 7).await, Ok(7));
    }
}
