//! Signals that arrive as messages.

use std::sync::Arc;

use crate::definitions::{self, Definitions};
use crate::event_buffer::{BufferResult, EarlyArrival, EventBuffer, FULL};
use crate::intake::verdict::{dead_letter, undecodable_letter};
use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use snorri_core::journal::EventSource;
use snorri_core::{Input, Rejection};
use snorri_ports::broker::{Delivery, Verdict};
use snorri_wire::envelope::{self, Signal};

/// Submits signals to their sagas.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) submitter: Submitter,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) event_buffer: Arc<EventBuffer>,
    /// The queue that they arrive in.
    pub(crate) queue: String,
}

impl Signals {
    /// Delivers a signal to its saga. A signal for a saga that has not started yet is buffered.
    pub(crate) async fn take_in(&self, delivery: &Delivery) -> Verdict {
        let Signal { saga, definition, arrival } = match envelope::decode_signal(delivery) {
            Ok(signal) => signal,
            Err(undecodable) => return undecodable_letter(undecodable),
        };
        let arrival = Arc::new(arrival);
        let verdict = |decided: Result<(), SubmitError>| match decided {
            Ok(()) | Err(SubmitError::Rejected(Rejection::Duplicate)) => Verdict::Ack,
            Err(error) if error.is_temporary() => Verdict::Requeue,
            Err(error) => dead_letter(error.code(), format!("saga {saga}: {error}")),
        };
        let decided = self.submitter.submit(saga, Input::Event(Arc::clone(&arrival))).await.map(|_| ());
        let is_unknown = matches!(decided, Err(SubmitError::Rejected(Rejection::UnknownSaga)));
        if !is_unknown {
            return verdict(decided);
        }
        match self.may_start(definition.as_deref(), &arrival.source).await {
            Ok(true) => {}
            Ok(false) => return verdict(decided),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot look for the definition of a signal"
                );
                return Verdict::Requeue;
            }
        }
        let queue = self.queue.clone();
        match self.event_buffer.buffer(EarlyArrival { saga, arrival, queue, matched: false }).await {
            Ok(BufferResult::Kept) => Verdict::Ack,
            Ok(BufferResult::Delivered(decided)) => verdict(decided),
            Ok(BufferResult::Full) => dead_letter(
                FULL,
                format!("saga {saga} has not started, and the buffer for such signals has no room"),
            ),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot buffer a signal now");
                Verdict::Requeue
            }
        }
    }

    /// Whether the saga that a signal names can still start and wait for the signal. For a saga that is named by its id this is
    /// unknown.
    async fn may_start(
        &self,
        definition: Option<&str>,
        source: &EventSource,
    ) -> Result<bool, definitions::Error> {
        let Some(definition) = definition else { return Ok(true) };
        let waits = || {
            self.definitions.all_active().iter().any(|compiled| {
                let of = &compiled.definition;
                *of.name == *definition
                    && of.key.is_some()
                    && of.signals().any(|name| matches!(source, EventSource::Signal(came) if came == name))
            })
        };
        if waits() {
            return Ok(true);
        }
        // Another process may just have registered the definition.
        self.definitions.refresh().await?;
        Ok(waits())
    }
}
