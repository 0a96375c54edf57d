//! Submits inputs to the lanes of their sagas.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::lane::request::{Accepted, LaneMessage, Request, SubmitError, SubmitOptions};
use snorri_core::{Input, SagaId};

/// The senders of all lanes of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Submitter {
    lanes: Arc<[mpsc::Sender<LaneMessage>]>,
}

impl Submitter {
    /// At least one lane.
    pub(crate) fn new(lanes: Vec<mpsc::Sender<LaneMessage>>) -> Self {
        Self { lanes: lanes.into() }
    }

    /// Submits an input to its saga, and waits until its consequences are committed.
    pub async fn submit(&self, saga: SagaId, input: Input) -> Result<Accepted, SubmitError> {
        self.submit_on(SubmitOptions::default(), saga, input).await
    }

    /// The same, with options.
    pub async fn submit_on(
        &self,
        options: SubmitOptions,
        saga: SagaId,
        input: Input,
    ) -> Result<Accepted, SubmitError> {
        let (done, decided) = oneshot::channel();
        let message = LaneMessage::Input(Box::new(Request::new(saga, input, options, done)));
        self.lane(saga).send(message).await.map_err(|_| SubmitError::Stopping)?;
        decided.await.map_err(|_| SubmitError::Stopping)?
    }

    /// Has one lane commit the removal of confirmed messages.
    pub(crate) async fn flush(&self) {
        if let Some(lane) = self.lanes.first() {
            // A closed lane means that the engine is stopping, which removes them too.
            let _ = lane.send(LaneMessage::Flush).await;
        }
    }

    fn lane(&self, saga: SagaId) -> &mpsc::Sender<LaneMessage> {
        let (_, low) = saga.0.as_u64_pair();
        let index = usize::try_from(low % self.lanes.len() as u64).unwrap_or_default();
        &self.lanes[index]
    }
}
