//! Outcomes of sagas, on request of those that repeat a start.

use std::sync::Arc;

use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use crate::operations::load_state;
use crate::operations::start_error::StartError;
use snorri_core::journal::AnswerTo;
use snorri_core::message::SagaOutcome;
use snorri_core::{Input, Message, Rejection, SagaId, transition};
use snorri_ports::broker::{Broker, Published};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Store};
use snorri_wire::envelope::Wire;

/// Sends outcomes to further addresses.
#[derive(Debug)]
pub struct Outcomes {
    pub(crate) submitter: Submitter,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wire: Wire,
}

impl Outcomes {
    /// Registers one more address for the outcome of a saga. If the saga has ended, returns the outcome, which the caller must
    /// send.
    pub async fn request(&self, saga: SagaId, to: AnswerTo) -> Result<Option<SagaOutcome>, StartError> {
        // A saga that has ended needs no lane.
        if let Some(outcome) = self.find(saga, to.clone()).await? {
            return Ok(Some(outcome));
        }
        match self.submitter.submit(saga, Input::OutcomeRequest(to.clone())).await {
            Ok(_) | Err(SubmitError::Rejected(Rejection::Duplicate)) => Ok(None),
            // `None`: it was deleted meanwhile, or is running again because its parent wants it compensated.
            Err(SubmitError::Rejected(Rejection::Ended)) => {
                self.find(saga, to).await?.map(Some).ok_or(StartError::Stopping)
            }
            Err(SubmitError::Rejected(ignored)) => Err(StartError::OutcomeRequest(ignored)),
            Err(error) => Err(error.into()),
        }
    }

    /// The outcome of a saga that has ended.
    async fn find(&self, saga: SagaId, to: AnswerTo) -> Result<Option<SagaOutcome>, StartError> {
        let state = load_state(&*self.store, saga).await.map_err(|error| match error {
            store::Error::Corrupt(why) => StartError::Unreadable(why),
            error => StartError::Store(error),
        })?;
        Ok(transition::outcome_for(&state, to, self.clock.now()))
    }

    /// Sends an outcome that is in no outbox.
    pub async fn publish(&self, outcome: SagaOutcome) -> Published {
        let message = Message::Outcome(outcome);
        let Some(publication) = self.wire.publication(&message) else {
            return Published::Unroutable;
        };
        match self.broker.publish(vec![publication]).await[..] {
            [published] => published,
            _ => Published::Unknown,
        }
    }
}
