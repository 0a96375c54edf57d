//! Starts that arrive as messages.

use std::sync::Arc;

use serde_json::Value;
use tracing::Instrument;

use crate::intake::verdict::{dead_letter, undecodable_letter};
use crate::operations::outcomes::Outcomes;
use crate::operations::start::{KEY_IN_USE, StartRequest, Starter};
use crate::operations::start_error::StartError;
use snorri_core::SagaId;
use snorri_core::journal::AnswerTo;
use snorri_ports::broker::{Broker, Delivery, Properties, Published, Verdict};
use snorri_ports::clock::Clock;
use snorri_wire::envelope::{self, Wire};

/// Starts sagas, and answers the sender if it asks for that.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) starter: Arc<Starter>,
    pub(crate) outcomes: Arc<Outcomes>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wire: Wire,
}

impl Starts {
    pub(crate) async fn take_in(&self, delivery: &Delivery) -> Verdict {
        if let Err(undecodable) = self.wire.check_reply_to(&delivery.properties) {
            return undecodable_letter(undecodable);
        }
        let request = match envelope::decode_start(delivery) {
            Ok(request) => request,
            Err(undecodable) => {
                let reason = undecodable.to_string();
                return self.refuse(&delivery.properties, "undecodable", reason, None).await;
            }
        };
        let span = tracing::debug_span!("start", definition = request.definition);
        self.accept(&delivery.properties, request).instrument(span).await
    }

    async fn accept(&self, starter: &Properties, request: StartRequest) -> Verdict {
        let answer = request.answer.clone();
        match self.starter.start(request).await {
            Ok(started) => {
                tracing::debug!(saga = %started.id, is_new = started.is_new, "started");
                match (started.conflict("message id"), answer) {
                    (Some(reason), _) => self.refuse(starter, KEY_IN_USE, reason, None).await,
                    (None, Some(to)) if !started.is_new => self.answer_again(starter, started.id, to).await,
                    _ => Verdict::Ack,
                }
            }
            Err(StartError::Stopping) => Verdict::Requeue,
            Err(error) if error.is_temporary() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot start now");
                Verdict::Requeue
            }
            Err(error) => self.refuse(starter, error.code(), error.to_string(), error.details()).await,
        }
    }

    /// Answers a repeated start: now, if the saga has ended, or once it ends.
    async fn answer_again(&self, starter: &Properties, saga: SagaId, to: AnswerTo) -> Verdict {
        match self.outcomes.request(saga, to).await {
            Ok(None) => Verdict::Ack,
            Ok(Some(outcome)) => match self.outcomes.publish(outcome).await {
                Published::Confirmed => Verdict::Ack,
                Published::Unroutable => {
                    tracing::warn!(%saga, "the queue that a repeated start names for its answer does not exist");
                    Verdict::Ack
                }
                Published::Refused | Published::Unknown => Verdict::Requeue,
            },
            Err(StartError::Store(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot answer a repeated start now"
                );
                Verdict::Requeue
            }
            Err(StartError::Stopping) => Verdict::Requeue,
            Err(error) => self.refuse(starter, error.code(), error.to_string(), None).await,
        }
    }

    /// Reports the refusal to the sender, if the start names a queue for it; otherwise the start becomes a dead letter.
    async fn refuse(
        &self,
        starter: &Properties,
        code: &'static str,
        reason: String,
        details: Option<Value>,
    ) -> Verdict {
        let now = self.clock.now();
        if let Some(answer) = envelope::answer_refused(starter, code, &reason, details, now)
            && self.broker.publish(vec![answer]).await == [Published::Confirmed]
        {
            return Verdict::Ack;
        }
        dead_letter(code, reason)
    }
}
