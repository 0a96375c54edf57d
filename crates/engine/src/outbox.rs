//! The outbox: sends committed messages, and remembers which the broker has confirmed until a later commit removes them.
//!
//! A message is in the store's outbox before it comes here, so nothing is lost if this process dies, or if too many messages
//! wait: the process that claims the row sends it then.

pub mod backlog;
pub mod flow;
pub(crate) mod publisher;
pub(crate) mod sweeper;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::lane::submitter::Submitter;
use crate::outbox::flow::{CommandKey, Conclusion, Flow};
use crate::outbox::publisher::Publisher;
use crate::supervision::ticks::Ticks;
use snorri_core::Time;
use snorri_ports::store::{Appended, OutboxId, OutboxMessage};

/// How long confirmed messages may stay in the outbox when no commit removes them.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Most batches that wait for a publisher.
pub(super) const WAITING_LIMIT: usize = 64;

/// The lanes' end of the outbox: takes committed messages and returns confirmed rows.
#[derive(Debug, Clone)]
pub struct Outbox {
    batches: mpsc::Sender<Vec<OutboxMessage>>,
    /// Messages that were left in the store, one batch after the other, so that no more is claimed than can be sent.
    claimed: mpsc::Sender<Vec<OutboxMessage>>,
    confirmed: Confirmed,
    passed_over: PassedOver,
    flow: SharedFlow,
    availability: watch::Receiver<bool>,
}

/// Rows that are reserved for this process but were not handed over, because too many wait.
#[derive(Debug, Clone, Default)]
pub(super) struct PassedOver(Arc<Mutex<Vec<OutboxId>>>);

impl PassedOver {
    fn add(&self, messages: &[OutboxMessage]) {
        let ids = messages.iter().map(|unsent| unsent.id);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The windows of all destinations, shared by all senders and all that see replies.
#[derive(Debug, Clone)]
pub struct SharedFlow(Arc<FlowState>);

#[derive(Debug)]
struct FlowState {
    flow: Mutex<Flow>,
    /// Notifies that a waiting command may be sent.
    ready: Notify,
    /// How long a message may wait in memory.
    patience: Duration,
}

/// Rows of the outbox that can be removed.
#[derive(Debug, Clone, Default)]
pub struct Confirmed(Arc<Mutex<Vec<OutboxId>>>);

impl Confirmed {
    pub(super) fn add(&self, ids: impl IntoIterator<Item = OutboxId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of these rows that the broker has confirmed, as far as this process knows.
    pub(super) fn among(&self, ids: impl Iterator<Item = OutboxId>) -> HashSet<OutboxId> {
        let confirmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let confirmed: HashSet<_> = confirmed.iter().copied().collect();
        ids.filter(|id| confirmed.contains(id)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Outbox {
    /// An outbox and its publisher. `availability`: whether the broker takes messages.
    pub fn new(
        confirmed: Confirmed,
        flow: SharedFlow,
        availability: watch::Receiver<bool>,
    ) -> (Self, Publisher) {
        let (sender, batches) = mpsc::channel(WAITING_LIMIT);
        let (claimer, claimed) = mpsc::channel(1);
        let passed_over = PassedOver::default();
        let outbox = Self {
            batches: sender,
            claimed: claimer,
            confirmed: confirmed.clone(),
            passed_over: passed_over.clone(),
            flow: flow.clone(),
            availability,
        };
        (outbox, Publisher { batches, claimed, confirmed, passed_over, flow })
    }

    /// Whether the broker takes messages. While it does not, committed messages need no reservation.
    pub fn is_available(&self) -> bool {
        *self.availability.borrow()
    }

    /// Frees the places of commands that journal entries concluded.
    pub fn conclude(&self, concluded: &[(CommandKey, Conclusion)], now: Time) {
        self.flow.conclude(concluded, now);
    }

    /// Hands over committed and reserved messages. If too many wait already, these are claimed again once there is room.
    pub fn send(&self, messages: Vec<OutboxMessage>) {
        if messages.is_empty() {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(messages)) = self.batches.try_send(messages) {
            self.passed_over.add(&messages);
        }
    }

    /// Hands over claimed messages, once the last ones are being sent.
    pub async fn send_when_possible(&self, messages: Vec<OutboxMessage>) {
        // A closed channel means that the process is stopping; the messages stay in the store.
        let _ = self.claimed.send(messages).await;
    }

    /// The rows that the next commit is to remove.
    pub fn take_confirmed(&self) -> Vec<OutboxId> {
        self.confirmed.take()
    }
}

impl SharedFlow {
    /// At most `limit` unanswered commands to one destination. The rows of waiting commands are reserved for `lease`.
    pub fn new(limit: usize, lease: Duration) -> Self {
        let (flow, ready) = (Mutex::new(Flow::new(limit)), Notify::new());
        // This is before the reservation expires, so that no other process sends the command meanwhile.
        Self(Arc::new(FlowState { flow, ready, patience: lease / 2 }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Flow> {
        self.0.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a waiting command may be sent.
    pub(super) async fn ready(&self) {
        self.0.ready.notified().await;
    }

    pub(super) fn admit(&self, messages: Vec<OutboxMessage>, now: Time) -> Vec<OutboxMessage> {
        self.lock().admit(messages, now, now.after(self.0.patience))
    }

    pub(super) fn refuse(&self, unsent: OutboxMessage, now: Time) {
        self.lock().refuse(unsent, now, now.after(self.0.patience));
    }

    pub(super) fn conclude(&self, concluded: &[(CommandKey, Conclusion)], now: Time) {
        if concluded.is_empty() {
            return;
        }
        let mut flow = self.lock();
        let any_waits =
            concluded.iter().filter(|(key, conclusion)| flow.conclude(key, *conclusion, now)).count() > 0;
        drop(flow);
        if any_waits {
            self.0.ready.notify_one();
        }
    }

    /// Drops overdue commands, and sends waiting ones that have room: time has passed.
    pub(super) fn tick(&self, now: Time) {
        let mut flow = self.lock();
        flow.forget_overdue(now);
        if flow.is_waiting() {
            self.0.ready.notify_one();
        }
    }
}

/// Removes confirmed messages when no commit has removed them for a while.
pub(crate) async fn flush(submitter: Submitter, confirmed: Confirmed, stop: CancellationToken) {
    let mut ticks = Ticks::new(FLUSH_INTERVAL, stop);
    while ticks.next().await {
        if !confirmed.is_empty() {
            submitter.flush().await;
        }
    }
}

/// The commands that entries about to be committed conclude.
pub(super) fn conclusions(entries: &[Appended]) -> Vec<(CommandKey, Conclusion)> {
    crate::outbox::flow::conclusions(entries.iter().map(|appended| (appended.saga, &appended.entry)))
        .collect()
}
