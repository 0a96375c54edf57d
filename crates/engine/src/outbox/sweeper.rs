//! Sends messages that were left in the outbox.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::pending;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::outbox::backlog::Freed;
use crate::outbox::confirmed::Confirmed;
use crate::outbox::flow::conclusion::{CommandKey, Conclusion};
use crate::outbox::remaking::{Remade, Remaker};
use crate::outbox::{Outbox, SharedFlow};
use crate::supervision::ticks::Ticks;
use snorri_core::state::Pending;
use snorri_core::{SagaId, State};
use snorri_ports::broker::Broker;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Lease, OutboxRow, Store};

/// The most messages of a row.
#[expect(clippy::cast_possible_truncation, reason = "it is far below 2^32")]
const ROW_MESSAGES: u32 = OutboxRow::MAX_MESSAGES as u32;
/// The pause before messages of a saga that cannot be read are claimed again.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);
/// Most commands in the way of others whose sagas are examined, each time.
const LOOKED_AT: usize = 1_000;

/// Claims unsent messages, and hands them to the publishers in turn.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) remaker: Remaker,
    pub(crate) outboxes: Vec<Outbox>,
    pub(crate) confirmed: Confirmed,
    pub(crate) flow: SharedFlow,
    pub(crate) freed: Arc<Freed>,
    pub(crate) interval: Duration,
    pub(crate) lease: Lease,
    /// About the most messages that are claimed at once.
    pub(crate) batch: NonZeroU32,
}

impl Sweeper {
    /// Sends the messages of a process that died, and those that the broker did not confirm. While the broker takes no messages,
    /// none are claimed; as soon as it does, all waiting ones are.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = Ticks::new(self.interval, stop.clone());
        let mut outboxes = self.outboxes.iter().cycle();
        let mut availability = self.broker.availability();
        loop {
            let freed = self.freed.outbox.notified();
            if !ticks.next_or(either(freed, is_back(&mut availability))).await {
                return;
            }
            self.return_impatient().await;
            if !*availability.borrow_and_update() {
                continue;
            }
            self.make_room().await;
            while !stop.is_cancelled()
                && *availability.borrow()
                && let Some(outbox) = outboxes.next()
                && self.sweep_some(outbox).await
            {}
        }
    }

    /// Leaves messages to other processes before the reservation of their rows expires.
    async fn return_impatient(&self) {
        let now = self.clock.now();
        self.confirmed.forget_overdue(now);
        let impatient = self.flow.lock().take_impatient(now);
        self.confirmed.give_back(&*self.store, impatient, self.flow.claimable_at(now)).await;
    }

    /// Frees the places of commands whose outcome another process has received, if others wait for them.
    async fn make_room(&self) {
        self.flow.tick(self.clock.now());
        for (destination, waiting) in self.flow.lock().waiting() {
            self.metrics.observe_waiting(&destination.exchange, &destination.routing_key, waiting);
        }
        let in_the_way = self.flow.lock().in_the_way(LOOKED_AT);
        if in_the_way.is_empty() {
            return;
        }
        let sagas: BTreeSet<SagaId> = in_the_way.iter().map(|(saga, ..)| *saga).collect();
        let sagas: Vec<_> = sagas.into_iter().collect();
        let mut loaded = match self.store.load(&sagas).await {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot look for answered commands"
                );
                return;
            }
        };
        // The state of an unreadable saga is unknown.
        let states: HashMap<_, _> = sagas
            .into_iter()
            .filter_map(|saga| Some((saga, State::replay(saga, &loaded.take(saga).ok()?))))
            .collect();
        let is_awaited = |(saga, step, direction): &CommandKey| {
            let Some(state) = states.get(saga) else { return true };
            let pending = state.step(step).and_then(|step| step.pending(*direction));
            state.ended.is_none() && matches!(pending, Some(Pending::Reply { .. }))
        };
        let answered =
            in_the_way.into_iter().filter(|key| !is_awaited(key)).map(|key| (key, Conclusion::Answered));
        self.flow.conclude(&answered.collect::<Vec<_>>(), self.clock.now());
    }

    /// Returns whether there may be more.
    async fn sweep_some(&self, outbox: &Outbox) -> bool {
        match self.try_sweep_some(outbox).await {
            Ok(is_full) => is_full,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for unsent messages");
                false
            }
        }
    }

    /// If their messages cannot be made, the claimed rows are claimed again when their reservation has expired.
    async fn try_sweep_some(&self, outbox: &Outbox) -> Result<bool, store::Error> {
        let limit = (self.batch.get() / ROW_MESSAGES).max(1);
        let rows = self.store.claim_unsent(self.clock.now(), self.lease, limit).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let Remade { messages, unreadable, unknown } = self.remaker.remake(&rows).await?;
        tracing::info!(count = messages.len(), "sending messages that were left in the outbox");
        let now = self.clock.now();
        outbox.expect(&rows, now);
        if !unreadable.is_empty() {
            tracing::warn!(count = unreadable.len(), "messages are not sent: their sagas cannot be read");
            self.confirmed.give_back(&*self.store, unreadable, now.after(UNREADABLE_PAUSE)).await;
        }
        if !unknown.is_empty() {
            tracing::warn!(
                count = unknown.len(),
                "messages of the outbox are in no journal, and are removed"
            );
            self.confirmed.add(unknown);
        }
        outbox.send_when_possible(messages).await;
        Ok(rows.len() >= limit as usize)
    }
}

/// Waits until the broker takes messages again after it took none.
async fn is_back(availability: &mut watch::Receiver<bool>) {
    let was_away = !*availability.borrow_and_update();
    if !was_away && availability.wait_for(|available| !available).await.is_err() {
        // The broker is closed.
        return pending().await;
    }
    if availability.wait_for(|available| *available).await.is_err() {
        pending::<()>().await;
    }
}

async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = one => {}
        () = other => {}
    }
}
