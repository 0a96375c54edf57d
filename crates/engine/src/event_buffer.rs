//! Buffered events: events and signals that come before their saga starts.
//!
//! Messages of different queues are handled in any order, so an event for a saga may arrive before the message that starts the
//! saga. Such an event is kept in the store, for a bounded time and in a bounded number, and is delivered when the saga starts.
//! A process that buffers an event looks for the saga once more after the commit, and one that starts a saga looks for its
//! buffered events after the start is committed, so that no event is missed between the two. A crash at any point leaves an
//! event in the buffer at most: a periodic sweep delivers it.
//!
//! An event can be delivered twice; the saga recognises it by its id. An expired event becomes a dead letter.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::dead_letters::letter::of_buffered;
use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use crate::supervision::ticks::Ticks;
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::{Input, MAX_BUFFERED_EVENTS, Rejection, SagaId};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Batch, BufferLimits, Buffered, BufferedEvent, DeadLetter, Store};

/// The code of the dead letter of an event whose saga did not start in time.
const NOT_STARTED: &str = "saga_not_started";
/// The code of the dead letter of an event that the buffer had no room for.
pub(crate) const FULL: &str = "buffer_full";
/// The most events of one saga: as many as a running saga keeps.
#[expect(clippy::cast_possible_truncation, reason = "it is a small constant")]
const PER_SAGA: u32 = MAX_BUFFERED_EVENTS as u32;
/// The most accesses of the buffer at once, so that a burst of early events leaves connections to the lanes.
const AT_ONCE: usize = 4;
/// The most sagas, or expired events, of one step of the sweep.
const SWEEP_BATCH: u32 = 100;

/// How long and how many events and signals are kept for sagas that have not started.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// An event whose saga has not started by then becomes a dead letter.
    #[serde(with = "humantime_serde")]
    pub retention_period: Duration,
    /// The most events of all sagas. Further ones become dead letters at once.
    pub max_events: u32,
}

/// Buffers events in the store, and delivers them to their sagas.
#[derive(Debug)]
pub struct EventBuffer {
    store: Arc<dyn Store>,
    submitter: Submitter,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    options: Options,
    accesses: Semaphore,
}

/// An event or signal whose saga has not started.
pub(crate) struct EarlyArrival {
    pub saga: SagaId,
    pub arrival: Arc<ReceivedEvent>,
    /// The queue it was taken from.
    pub queue: String,
    /// Whether another saga accepted the same event.
    pub matched: bool,
}

/// The result of [`EventBuffer::buffer`].
pub(crate) enum BufferResult {
    /// It waits for its saga.
    Kept,
    /// The saga has started meanwhile. This is its decision.
    Delivered(Result<(), SubmitError>),
    /// There is no room for it.
    Full,
}

impl EventBuffer {
    pub fn new(
        store: Arc<dyn Store>,
        submitter: Submitter,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        options: Options,
    ) -> Self {
        Self { store, submitter, clock, metrics, options, accesses: Semaphore::new(AT_ONCE) }
    }

    /// Waits until the store may be accessed.
    async fn access(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.accesses.acquire().await.ok()
    }

    /// Keeps an event or signal until its saga starts, or delivers it if the saga has started meanwhile.
    pub(crate) async fn buffer(&self, early: EarlyArrival) -> Result<BufferResult, store::Error> {
        let event = self.buffered_event(early);
        let limits = BufferLimits { per_saga: PER_SAGA, total: self.options.max_events };
        let is_full = match self.insert(&event, limits).await? {
            Buffered::Full => true,
            Buffered::New => {
                self.metrics.observe_buffered_event("buffered");
                false
            }
            Buffered::Duplicate => false,
        };
        // The saga may have started, and looked for its buffered events, just before this event was committed.
        match self.submitter.submit(event.saga, Input::Event(Arc::new(event.arrival))).await {
            Err(SubmitError::Rejected(Rejection::UnknownSaga)) if is_full => {
                self.metrics.observe_buffered_event("full");
                Ok(BufferResult::Full)
            }
            Err(SubmitError::Rejected(Rejection::UnknownSaga)) => Ok(BufferResult::Kept),
            decided @ (Ok(_) | Err(SubmitError::Rejected(_))) => {
                if !is_full {
                    self.remove(vec![event.id], Vec::new()).await?;
                }
                Ok(BufferResult::Delivered(decided.map(|_| ())))
            }
            // The sweep delivers it, or makes a dead letter of it. Until then it stays: a copy may have been acknowledged because it
            // is in the buffer.
            Err(_) if !is_full => Ok(BufferResult::Kept),
            Err(error) => Ok(BufferResult::Delivered(Err(error))),
        }
    }

    async fn insert(&self, event: &BufferedEvent, limits: BufferLimits) -> Result<Buffered, store::Error> {
        let _permit = self.access().await;
        self.store.buffer_event(event, limits).await
    }

    async fn load(&self, saga: SagaId) -> Result<Vec<BufferedEvent>, store::Error> {
        let _permit = self.access().await;
        self.store.buffered_events(saga, PER_SAGA).await
    }

    fn buffered_event(&self, early: EarlyArrival) -> BufferedEvent {
        let EarlyArrival { saga, arrival, queue, matched } = early;
        let id = Uuid::now_v7();
        let identity = identity(saga, &arrival).unwrap_or(id);
        let now = self.clock.now();
        // An event without an id gets one here, so that the saga recognises it if it is delivered twice.
        let arrival = ReceivedEvent {
            id: arrival.id.clone().or_else(|| Some(identity.to_string())),
            ..ReceivedEvent::clone(&arrival)
        };
        let expires_at = now.after(self.options.retention_period);
        BufferedEvent { id, saga, identity, at: now, expires_at, queue, matched, arrival }
    }

    /// Delivers what was buffered for a saga that has just started. If that fails, the sweep does it later.
    pub(crate) async fn deliver_to_new(&self, saga: SagaId) {
        if let Err(error) = self.deliver(saga).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                %saga,
                "cannot deliver the buffered events of a saga now"
            );
        }
    }

    /// Delivers the buffered events of a saga that has started, in order of arrival.
    async fn deliver(&self, saga: SagaId) -> Result<(), store::Error> {
        let (mut removed, mut dead_letters) = (Vec::new(), Vec::new());
        for event in self.load(saga).await? {
            match self.submitter.submit(saga, Input::Event(Arc::new(event.arrival.clone()))).await {
                Err(SubmitError::Rejected(Rejection::UnknownSaga)) => break,
                Err(error) if error.is_temporary() || matches!(error, SubmitError::Unreadable(_)) => break,
                Err(SubmitError::Rejected(ignored)) => {
                    tracing::debug!(%saga, reason = %ignored, "a buffered event changes nothing");
                    dead_letters.extend(self.refused_signal(&event, &ignored));
                }
                Err(error) => {
                    let (now, reason) = (self.clock.now(), error.to_string());
                    dead_letters.push(of_buffered(&event, now, error.code(), reason));
                }
                Ok(_) => {}
            }
            self.metrics.observe_buffered_event("delivered");
            removed.push(event.id);
        }
        self.remove(removed, dead_letters).await
    }

    /// The dead letter of a signal that its saga does not accept. An event that changes nothing becomes no dead letter.
    fn refused_signal(&self, event: &BufferedEvent, ignored: &Rejection) -> Option<DeadLetter> {
        let is_refused =
            matches!(event.arrival.source, EventSource::Signal(_)) && *ignored != Rejection::Duplicate;
        let letter = || {
            let reason = format!("saga {}: {ignored}", event.saga);
            of_buffered(event, self.clock.now(), ignored.code(), reason)
        };
        is_refused.then(letter)
    }

    async fn remove(
        &self,
        buffered_removed: Vec<Uuid>,
        dead_letters: Vec<DeadLetter>,
    ) -> Result<(), store::Error> {
        if buffered_removed.is_empty() {
            return Ok(());
        }
        let _permit = self.access().await;
        self.store.commit(Batch { buffered_removed, dead_letters, ..Batch::default() }).await
    }

    /// Delivers events that a crash has left in the buffer, and removes expired ones, until `stop` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::new(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for buffered events");
            }
        }
    }

    async fn sweep(&self) -> Result<(), store::Error> {
        for saga in self.store.sagas_with_buffered_events(SWEEP_BATCH).await? {
            match self.deliver(saga).await {
                // The events of this saga wait; those of other sagas need not.
                Err(error @ (store::Error::Invalid(_) | store::Error::Corrupt(_))) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, %saga, "cannot deliver buffered events");
                }
                delivered => delivered?,
            }
        }
        while self.expire_some().await? {}
        Ok(())
    }

    /// Whether there may be more.
    async fn expire_some(&self) -> Result<bool, store::Error> {
        let now = self.clock.now();
        let expired = self.store.expired_buffered_events(now, SWEEP_BATCH).await?;
        let is_full = expired.len() >= SWEEP_BATCH as usize;
        let letter = |event: &BufferedEvent| {
            let kept = humantime::format_duration(event.expires_at.since(event.at));
            let reason = format!("saga {} did not start within {kept} of this message", event.saga);
            of_buffered(event, now, NOT_STARTED, reason)
        };
        // An event that another saga accepted has found its saga.
        let dead_letters = expired.iter().filter(|event| !event.matched).map(letter).collect();
        self.remove(expired.iter().map(|event| event.id).collect(), dead_letters).await?;
        for event in &expired {
            self.metrics.observe_buffered_event("expired");
            if !event.matched {
                self.metrics.observe_unmatched_event(&event.arrival.source, true);
            }
        }
        Ok(is_full)
    }
}

/// An id that is the same for every repetition of an event, if the sender gave it an id.
fn identity(saga: SagaId, arrival: &ReceivedEvent) -> Option<Uuid> {
    let id = arrival.id.as_ref()?;
    let source = match &arrival.source {
        EventSource::Signal(name) => format!("signal/{name}"),
        EventSource::Event { exchange, event } => format!("event/{exchange}/{event}"),
    };
    Some(Uuid::new_v5(&saga.0, format!("{source}/{id}").as_bytes()))
}
