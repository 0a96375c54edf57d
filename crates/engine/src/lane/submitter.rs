//! Submits inputs to the lanes of their sagas.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::lane::request::{Accepted, LaneMessage, Request, SubmitOptions};
use snorri_core::{Input, Rejection, SagaId};

/// The senders of all lanes of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Submitter {
    lanes: Arc<[mpsc::Sender<LaneMessage>]>,
}

/// Why an input was not journaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The stored saga cannot be read, or the decision about it failed: an operator has to examine it.
    #[error("the saga is set aside: {0}")]
    Unreadable(String),
    /// The database cannot hold the consequences of the input: sending it again does not help.
    #[error("the input cannot be stored: {0}")]
    Invalid(String),
    /// The saga has changed since the caller read it.
    #[error("the saga has {seq} journal entries by now: read it again")]
    Changed { seq: u32 },
    /// The database did not take the input, or only a newer version of this program can handle it. If the database's answer was
    /// lost, it may have taken the input all the same: repeat the input.
    #[error("it cannot be taken now: {0}")]
    Unavailable(String),
    /// The input was not decided: submit it to another process, or later.
    #[error("the engine is stopping")]
    Stopping,
}

impl SubmitError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid_value",
            Self::Changed { .. } => "changed",
            Self::Unavailable(_) => "store_unavailable",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the same input may be taken later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Stopping | Self::Unavailable(_) | Self::Changed { .. })
    }
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
