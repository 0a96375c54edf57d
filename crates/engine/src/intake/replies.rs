//! Replies of participants.

use std::sync::Arc;

use tracing::Instrument;

use crate::dead_letters::letter::Received;
use crate::intake::verdict::{dead_letter, undecodable_letter};
use crate::lane::request::{SubmitError, SubmitOptions};
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use crate::timers::token_keys::TokenKeys;
use snorri_core::input::{Reply, ReplyResult};
use snorri_core::journal::ProblemCode;
use snorri_core::{Input, Rejection, SagaId};
use snorri_ports::broker::{Delivery, Verdict};
use snorri_wire::envelope::{DecodedReply, Undecodable, Wire};

/// Submits replies to their sagas.
#[derive(Debug)]
pub(crate) struct Replies {
    pub(crate) submitter: Submitter,
    pub(crate) token_keys: Arc<TokenKeys>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) wire: Wire,
}

impl Replies {
    pub(crate) async fn take_in(&self, delivery: &Delivery) -> Verdict {
        let DecodedReply { saga, reply, is_readable } = match self.decode(delivery).await {
            Ok(decoded) => decoded,
            Err(undecodable) => return undecodable_letter(undecodable),
        };
        let span = tracing::debug_span!("reply", %saga, step = %reply.attempt.step, direction = %reply.attempt.direction);
        if is_readable {
            return self.submit(saga, reply, SubmitOptions::default()).instrument(span).await;
        }
        let received = Received::new(self.wire.names.replies.clone(), delivery);
        let options = SubmitOptions { unreadable: Some(Box::new(received)), ..SubmitOptions::default() };
        self.submit(saga, reply, options).instrument(span).await
    }

    /// A reply whose key is unknown may have a key that another process has just loaded.
    async fn decode(&self, delivery: &Delivery) -> Result<DecodedReply, Undecodable> {
        let is_forged = |decoded: &Result<_, Undecodable>| {
            decoded.as_ref().is_err_and(|undecodable| undecodable.code == Undecodable::FORGED)
        };
        let mut decoded = self.wire.decode_reply(delivery);
        if is_forged(&decoded) && self.token_keys.reload().await {
            decoded = self.wire.decode_reply(delivery);
        }
        if is_forged(&decoded) {
            self.metrics.forged_replies.inc();
        }
        decoded
    }

    async fn submit(&self, saga: SagaId, reply: Reply, options: SubmitOptions) -> Verdict {
        // An unreadable reply that changes nothing becomes a dead letter here.
        let unreadable = match &reply.result {
            ReplyResult::Error(problem) if options.unreadable.is_some() => Some(problem.message.clone()),
            _ => None,
        };
        match self.submitter.submit_on(options, saga, Input::Reply(reply)).await {
            Ok(_) => Verdict::Ack,
            Err(SubmitError::Rejected(Rejection::UnknownSaga)) => {
                let reason = "this reply belongs to a saga that does not exist here";
                dead_letter(Rejection::UnknownSaga.code(), reason.to_owned())
            }
            Err(SubmitError::Rejected(ignored)) => {
                tracing::debug!(reason = %ignored, "the reply changes nothing");
                unreadable
                    .map_or(Verdict::Ack, |reason| dead_letter(ProblemCode::UnreadableReply.as_str(), reason))
            }
            Err(error) if error.is_temporary() => Verdict::Requeue,
            Err(error) => dead_letter(error.code(), error.to_string()),
        }
    }
}
