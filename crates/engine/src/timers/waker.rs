//! Wakes sagas whose timers are due.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::lane::submitter::Submitter;
use crate::outbox::backlog::Freed;
use crate::outbox::confirmed::Confirmed;
use crate::outbox::remaking::Remaker;
use crate::supervision::ticks::Ticks;
use snorri_core::input::Attempt;
use snorri_core::{Input, Message, SagaId};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Lease, Store};

/// Claims due timers, and submits them to their sagas.
#[derive(Debug)]
pub(crate) struct Waker {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) submitter: Submitter,
    pub(crate) confirmed: Confirmed,
    pub(crate) remaker: Remaker,
    pub(crate) freed: Arc<Freed>,
    pub(crate) interval: Duration,
    pub(crate) lease: Lease,
    /// The most timers that are claimed at once.
    pub(crate) batch: NonZeroU32,
}

impl Waker {
    /// Wakes sagas that are due, until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = Ticks::new(self.interval, stop.clone());
        while ticks.next_or(self.freed.timers.notified()).await {
            while !stop.is_cancelled() && self.wake_some().await {}
        }
    }

    /// Returns whether there may be more.
    async fn wake_some(&self) -> bool {
        let limit = self.batch.get();
        match self.store.claim_due(self.clock.now(), self.lease, limit).await {
            Ok(due) => {
                let is_full = due.len() >= limit as usize;
                let mut unsent = match self.unsent_of(&due).await {
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
                    self.submitter.submit(saga, Input::Wake { unsent })
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
    async fn unsent_of(&self, sagas: &[SagaId]) -> Result<HashMap<SagaId, Vec<Attempt>>, store::Error> {
        let mut unsent = HashMap::<_, Vec<_>>::new();
        if sagas.is_empty() {
            return Ok(unsent);
        }
        let rows = self.confirmed.unconfirmed(self.store.unsent_of(sagas).await?);
        if rows.is_empty() {
            return Ok(unsent);
        }
        for message in self.remaker.remake(&rows).await?.messages {
            if let Message::Command(command) = &*message.message {
                unsent.entry(command.saga).or_default().push(command.attempt());
            }
        }
        Ok(unsent)
    }
}
