//! Sends what is committed, and remembers what the broker has confirmed until a later commit removes it.
//!
//! A message is in the store's outbox before it comes here, so nothing is lost if this process dies, or if a message is
//! passed over because too many wait: whoever claims what is left sends it then.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::flow::{CommandKey, Conclusion, Flow};
use super::publisher::Publisher;
use crate::broker::envelope::Wire;
use crate::saga::Time;
use crate::store::{Appended, OutboxId, Unsent};

/// Most batches that wait for a publisher.
pub(super) const WAITING_LIMIT: usize = 64;

/// The near end: where lanes put what is committed and take what is confirmed.
#[derive(Debug, Clone)]
pub struct Outbox {
    batches: mpsc::Sender<Vec<Unsent>>,
    /// What was left in the store, one batch after the other, so that no more is claimed than can be sent.
    claimed: mpsc::Sender<Vec<Unsent>>,
    confirmed: Confirmed,
    passed_over: PassedOver,
    flow: SharedFlow,
    availability: watch::Receiver<bool>,
}

/// Rows that are reserved for this process and were not handed over, because too many wait.
#[derive(Debug, Clone, Default)]
pub(super) struct PassedOver(Arc<Mutex<Vec<OutboxId>>>);

impl PassedOver {
    fn add(&self, messages: &[Unsent]) {
        let ids = messages.iter().map(|unsent| unsent.id);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The windows of all destinations, shared by all that send and all that hear of replies.
#[derive(Debug, Clone)]
pub struct SharedFlow(Arc<FlowState>);

#[derive(Debug)]
struct FlowState {
    flow: Mutex<Flow>,
    /// Something that waited may be sent.
    ready: Notify,
    /// How long a message may wait in memory.
    patience: Duration,
}

/// Rows of the outbox that can go.
#[derive(Debug, Clone, Default)]
pub struct Confirmed(Arc<Mutex<Vec<OutboxId>>>);

impl Confirmed {
    pub(super) fn add(&self, ids: impl IntoIterator<Item = OutboxId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Of these rows, those that the broker has confirmed as far as this process knows.
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
    /// An outbox and its publisher. It writes messages with `wire`. `availability`: whether the broker takes messages.
    pub fn new(
        confirmed: Confirmed,
        wire: Wire,
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
        (outbox, Publisher { batches, claimed, confirmed, passed_over, wire, flow })
    }

    /// Whether the broker takes messages. What is committed while it does not need not be reserved.
    pub fn is_available(&self) -> bool {
        *self.availability.borrow()
    }

    /// Gives back the places of commands that journal entries concluded.
    pub fn conclude(&self, concluded: &[(CommandKey, Conclusion)], now: Time) {
        self.flow.conclude(concluded, now);
    }

    /// Hands over messages that are committed and reserved. If too many wait already, these are claimed anew once there is room.
    pub fn send(&self, messages: Vec<Unsent>) {
        if messages.is_empty() {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(messages)) = self.batches.try_send(messages) {
            self.passed_over.add(&messages);
        }
    }

    /// Hands over messages that were claimed, once the last ones are being sent.
    pub async fn send_when_possible(&self, messages: Vec<Unsent>) {
        // A closed channel means that the process stops; the messages stay in the store.
        let _ = self.claimed.send(messages).await;
    }

    /// The rows that the next commit is to remove.
    pub fn take_confirmed(&self) -> Vec<OutboxId> {
        self.confirmed.take()
    }
}

impl SharedFlow {
    /// At most `limit` unanswered commands to one destination. The rows of what waits are reserved for `lease`.
    pub fn new(limit: usize, lease: Duration) -> Self {
        let (flow, ready) = (Mutex::new(Flow::new(limit)), Notify::new());
        // Before the reservation passes, so that no other process sends it meanwhile.
        Self(Arc::new(FlowState { flow, ready, patience: lease / 2 }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Flow> {
        self.0.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once something that waited may be sent.
    pub(super) async fn ready(&self) {
        self.0.ready.notified().await;
    }

    pub(super) fn admit(&self, messages: Vec<Unsent>, now: Time) -> Vec<Unsent> {
        self.lock().admit(messages, now, now.after(self.0.patience))
    }

    pub(super) fn refuse(&self, unsent: Unsent, now: Time) {
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

    /// Forgets what is overdue, and sends what has waited and has room: time has passed.
    pub(super) fn tick(&self, now: Time) {
        let mut flow = self.lock();
        flow.forget_overdue(now);
        if flow.is_waiting() {
            self.0.ready.notify_one();
        }
    }
}

/// The commands that entries conclude which are about to be committed.
pub(super) fn conclusions(entries: &[Appended]) -> Vec<(CommandKey, Conclusion)> {
    super::flow::conclusions(entries.iter().map(|appended| (appended.saga, &appended.entry))).collect()
}
