//! Periodic work: firing timers, sending messages that were left in the outbox, and removing sent ones when there is no commit.
//!
//! Any number of processes may do this concurrently: the store gives each of them others, for the length of a lease.

pub(crate) mod processes;
pub mod retention;
pub mod schedules;
pub mod token_keys;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::{join_all, pending};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::outbox::flow::{CommandKey, Conclusion};
use crate::outbox::{Confirmed, Outbox, SharedFlow};
use crate::{Engine, Options};
use snorri_core::input::Attempt;
use snorri_core::state::Pending;
use snorri_core::{Input, SagaId, State};
use snorri_ports::store;

/// How long confirmed messages may stay in the outbox when no commit removes them.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Most commands in the way of others whose sagas are examined, each time.
const LOOKED_AT: usize = 1_000;

/// Wakes sagas that are due, until `stop` is cancelled.
pub async fn wake(engine: Engine, confirmed: Confirmed, options: Options, stop: CancellationToken) {
    let mut ticks = Ticks::new(options.timer_interval, stop.clone());
    while ticks.next_or(engine.freed().timers.notified()).await {
        while !stop.is_cancelled() && wake_some(&engine, &confirmed, &options).await {}
    }
}

/// Sends the messages of a process that died, and those that the broker did not confirm. While the broker takes no messages,
/// none are claimed; as soon as it does, all waiting ones are.
pub async fn sweep(
    engine: Engine,
    outboxes: Vec<Outbox>,
    flow: SharedFlow,
    options: Options,
    stop: CancellationToken,
) {
    let mut ticks = Ticks::new(options.outbox_poll_interval, stop.clone());
    let mut outboxes = outboxes.iter().cycle();
    let mut availability = engine.broker().availability();
    loop {
        let freed = engine.freed().outbox.notified();
        if !ticks.next_or(either(freed, is_back(&mut availability))).await {
            return;
        }
        if !*availability.borrow_and_update() {
            continue;
        }
        make_room(&engine, &flow).await;
        while !stop.is_cancelled()
            && *availability.borrow()
            && let Some(outbox) = outboxes.next()
            && sweep_some(&engine, outbox, &options).await
        {}
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

/// Frees the places of commands whose outcome another process has received, if others wait for them.
async fn make_room(engine: &Engine, flow: &SharedFlow) {
    flow.tick(engine.clock().now());
    for (destination, waiting) in flow.lock().waiting() {
        engine.metrics().observe_waiting(&destination.exchange, &destination.routing_key, waiting);
    }
    let in_the_way = flow.lock().in_the_way(LOOKED_AT);
    if in_the_way.is_empty() {
        return;
    }
    let sagas: BTreeSet<SagaId> = in_the_way.iter().map(|(saga, ..)| *saga).collect();
    let sagas: Vec<_> = sagas.into_iter().collect();
    let mut loaded = match engine.store().load(&sagas).await {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot look for answered commands");
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
    flow.conclude(&answered.collect::<Vec<_>>(), engine.clock().now());
}

/// Removes confirmed messages when no commit has removed them for a while.
pub async fn flush(engine: Engine, confirmed: Confirmed, stop: CancellationToken) {
    let mut ticks = Ticks::new(FLUSH_INTERVAL, stop);
    while ticks.next().await {
        if !confirmed.is_empty() {
            engine.flush().await;
        }
    }
}

/// Returns whether there may be more.
async fn wake_some(engine: &Engine, confirmed: &Confirmed, options: &Options) -> bool {
    let limit = options.poll_batch_size.get();
    match engine.store().claim_due(engine.clock().now(), engine.lease(options.timer_lease), limit).await {
        Ok(due) => {
            let is_full = due.len() >= limit as usize;
            let mut unsent = match unsent_of(engine, confirmed, &due).await {
                Ok(unsent) => unsent,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot look for unsent commands"
                    );
                    return false;
                }
            };
            // The result is journaled; a saga whose timer is no longer due rejects the input.
            join_all(due.into_iter().map(|saga| {
                let unsent = unsent.remove(&saga).unwrap_or_default();
                engine.submit(saga, Input::Wake { unsent })
            }))
            .await;
            is_full
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due wake-ups");
            false
        }
    }
}

/// The commands of these sagas that the broker has not confirmed.
async fn unsent_of(
    engine: &Engine,
    confirmed: &Confirmed,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Vec<Attempt>>, store::Error> {
    let mut unsent = HashMap::<_, Vec<_>>::new();
    if sagas.is_empty() {
        return Ok(unsent);
    }
    let commands = engine.store().unsent_commands(sagas).await?;
    let removable = confirmed.among(commands.iter().map(|command| command.id));
    for command in commands.into_iter().filter(|command| !removable.contains(&command.id)) {
        unsent.entry(command.saga).or_default().push(command.attempt);
    }
    Ok(unsent)
}

/// Returns whether there may be more.
async fn sweep_some(engine: &Engine, outbox: &Outbox, options: &Options) -> bool {
    let limit = options.poll_batch_size.get();
    match engine.store().claim_unsent(engine.clock().now(), engine.lease(options.outbox_lease), limit).await {
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

/// At once, and then every period.
pub(super) struct Ticks {
    interval: Interval,
    stop: CancellationToken,
}

impl Ticks {
    pub(super) fn new(period: Duration, stop: CancellationToken) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next tick, or for `other`. `false`: it is time to stop.
    pub(super) async fn next_or(&mut self, other: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.interval.tick() => true,
            () = other => true,
        }
    }

    /// Waits for the next tick. `false`: it is time to stop.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}
