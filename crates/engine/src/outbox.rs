//! The outbox: sends committed messages, and remembers which the broker has confirmed until a later commit removes them.
//!
//! A message is in the store's outbox before it comes here, so nothing is lost if this process dies, or if too many messages
//! wait: the process that claims its row makes it again from the journal, and sends it then.

pub mod backlog;
pub mod confirmed;
pub mod flow;
pub(crate) mod publisher;
pub(crate) mod remaking;
pub(crate) mod sweeper;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::lane::submitter::Submitter;
use crate::outbox::confirmed::{Confirmed, OutboxMessage, Place};
use crate::outbox::flow::Flow;
use crate::outbox::flow::conclusion::{CommandKey, Conclusion};
use crate::outbox::publisher::Publisher;
use crate::supervision::ticks::Ticks;
use snorri_core::{Message, Time};
use snorri_ports::store::{Appended, MessageRef, OutboxId, OutboxRow};

/// How long confirmed messages may stay in the outbox when no commit removes them.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Most batches that wait for a publisher.
pub(super) const WAITING_LIMIT: usize = 64;
/// After how many reservations a row is forgotten that was never confirmed.
const FORGOTTEN_AFTER: u32 = 10;

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
    /// How long rows are reserved for this process.
    lease: Duration,
}

/// The messages of a batch, and their rows.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) rows: Vec<OutboxRow>,
    messages: Vec<OutboxMessage>,
    /// Whether this process sends all of them; otherwise only those between sagas.
    is_reserved: bool,
    pub(crate) reserved_until: Time,
}

/// Messages whose rows are reserved for this process but that were not handed over, because too many wait.
#[derive(Debug, Clone, Default)]
pub(super) struct PassedOver(Arc<Mutex<Vec<Place>>>);

impl PassedOver {
    fn add(&self, messages: &[OutboxMessage]) {
        let places = messages.iter().map(|unsent| unsent.place);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
    }

    pub(super) fn take(&self) -> Vec<Place> {
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

impl Outbox {
    /// An outbox and its publisher. `availability`: whether the broker takes messages; `lease`: how long rows are reserved.
    pub fn new(
        confirmed: Confirmed,
        flow: SharedFlow,
        availability: watch::Receiver<bool>,
        lease: Duration,
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
            lease,
        };
        (outbox, Publisher { batches, claimed, confirmed, passed_over, flow })
    }

    /// Makes rows for messages that are about to be committed. While the broker takes none, they need no reservation.
    pub(crate) fn queue(&self, messages: Vec<(MessageRef, Arc<Message>)>, now: Time) -> Queued {
        let (rows, messages) = confirmed::queue(messages);
        let is_reserved = *self.availability.borrow();
        let reserved_until = if is_reserved { now.after(self.lease) } else { now };
        Queued { rows, messages, is_reserved, reserved_until }
    }

    /// Frees the places of commands that journal entries concluded.
    pub fn conclude(&self, concluded: &[(CommandKey, Conclusion)], now: Time) {
        self.flow.conclude(concluded, now);
    }

    /// Hands over the messages of committed rows. If too many wait already, these are claimed again once there is room.
    /// Messages to the broker that are not reserved are claimed when it is available again.
    pub(crate) fn send(&self, queued: Queued) {
        let Queued { mut rows, mut messages, is_reserved, reserved_until } = queued;
        if !is_reserved {
            messages.retain(|unsent| unsent.message.is_internal());
            rows.retain(|row| messages.iter().any(|unsent| unsent.place.row == row.id));
        }
        if messages.is_empty() {
            return;
        }
        self.confirmed.expect(&rows, reserved_until.after(self.lease * FORGOTTEN_AFTER));
        if let Err(mpsc::error::TrySendError::Full(messages)) = self.batches.try_send(messages) {
            self.passed_over.add(&messages);
        }
    }

    /// Records that claimed rows are being sent.
    pub(crate) fn expect(&self, rows: &[OutboxRow], now: Time) {
        self.confirmed.expect(rows, now.after(self.lease * FORGOTTEN_AFTER));
    }

    /// Hands over the messages of claimed rows, once the last ones are being sent.
    pub(crate) async fn send_when_possible(&self, messages: Vec<OutboxMessage>) {
        if !messages.is_empty() {
            // A closed channel means that the process is stopping; the messages stay in the store.
            let _ = self.claimed.send(messages).await;
        }
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

    /// When any process may claim a command that does not wait here any more.
    pub(super) fn claimable_at(&self, now: Time) -> Time {
        now.after(self.0.patience)
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
    crate::outbox::flow::conclusion::conclusions(
        entries.iter().map(|appended| (appended.saga, &appended.entry)),
    )
    .collect()
}
