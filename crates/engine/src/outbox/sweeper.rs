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
use crate::outbox::flow::{CommandKey, Conclusion};
use crate::outbox::{Outbox, SharedFlow};
use crate::supervision::ticks::Ticks;
use snorri_core::state::Pending;
use snorri_core::{SagaId, State};
use snorri_ports::broker::Broker;
use snorri_ports::clock::Clock;
use snorri_ports::store::{Lease, Store};

/// Most commands in the way of others whose sagas are examined, each time.
const LOOKED_AT: usize = 1_000;

/// Claims unsent messages, and hands them to the publishers in turn.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) outboxes: Vec<Outbox>,
    pub(crate) flow: SharedFlow,
    pub(crate) freed: Arc<Freed>,
    pub(crate) interval: Duration,
    pub(crate) lease: Lease,
    /// The most messages that are claimed at once.
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
        let limit = self.batch.get();
        match self.store.claim_unsent(self.clock.now(), self.lease, limit).await {
            Ok(unsent) => {
                let is_full = unsent.len() >= limit as usize;
                if !unsent.is_empty() {
                    tracing::info!(count = unsent.len(), "sending messages that were left in the outbox");
                    outbox.send_when_possible(unsent).await;
                }
                is_full
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for unsent messages");
                false
            }
        }
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
