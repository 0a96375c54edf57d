//! The path of an incoming message: a tower stack from delivery to verdict.
//!
//! A delivery is acknowledged only after its consequences are committed. A message that changes nothing is acknowledged too;
//! one that can never be understood becomes a dead letter, with the reason.

pub mod buffer;
pub(crate) mod events;
pub(crate) mod letterbox;
pub mod probation;
pub(crate) mod signals;

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::Value;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tracing::Instrument;

use crate::operations::dead_letters::{self, Received};
use crate::operations::operator::SubmitOptions;
use crate::operations::start::{KEY_IN_USE, StartError, StartRequest};
use crate::{Engine, Options, SubmitError};
use snorri_core::input::{Reply, ReplyResult};
use snorri_core::journal::{AnswerTo, ProblemCode};
use snorri_core::{Input, Rejection, SagaId};
use snorri_ports::broker::{Delivery, Handler, Properties, Published, Verdict};
use snorri_wire::envelope;
use snorri_wire::envelope::{DecodedReply, Undecodable};

/// Handles replies.
pub fn replies(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.replies, options, reply)
}

/// Handles starts.
pub fn starts(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.starts, options, start)
}

/// Handles domain events.
pub fn events(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.events, options, |engine, delivery| {
        let span = tracing::info_span!("event", event = delivery.routing_key);
        crate::intake::events::take_in(engine, delivery).instrument(span)
    })
}

/// Handles signals.
pub fn signals(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.signals, options, crate::intake::signals::take_in)
}

/// Handles the broker's dead letters.
pub fn dead_letters(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.dead_letters, options, dead_letters::take_in)
}

/// Handles messages that were returned too often to one of the queues above.
pub fn probation(engine: &Engine, options: &Options) -> Handler {
    stack(engine, &engine.wire().names.probation, options, suspect)
}

/// The handler of `queue`. Messages that `handle` rejects are kept as dead letters.
fn stack<F, T>(engine: &Engine, queue: &str, options: &Options, handle: F) -> Handler
where
    F: Fn(Engine, Arc<Delivery>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Verdict> + Send + 'static,
{
    let (engine, queue) = (engine.clone(), Arc::<str>::from(queue));
    let service = ServiceBuilder::new()
        .concurrency_limit(usize::from(options.prefetch))
        .timeout(options.message_timeout)
        .service_fn(move |delivery| {
            let (engine, queue, delivery) = (engine.clone(), Arc::clone(&queue), Arc::new(delivery));
            let verdict = handle(engine.clone(), Arc::clone(&delivery));
            async move {
                Ok::<_, Infallible>(match verdict.await {
                    Verdict::DeadLetter { code, reason } => {
                        let queue = delivery.moved_from.as_deref().unwrap_or(&queue);
                        dead_letters::keep(&engine, queue, &delivery, code, reason).await
                    }
                    verdict => verdict,
                })
            }
        });
    BoxCloneSyncService::new(service)
}

/// Handles a message in probation as one of its original queue.
async fn suspect(engine: Engine, delivery: Arc<Delivery>) -> Verdict {
    let names = &engine.wire().names;
    match delivery.moved_from.as_deref() {
        Some(queue) if queue == names.replies => reply(engine, delivery).await,
        Some(queue) if queue == names.starts => start(engine, delivery).await,
        Some(queue) if queue == names.events => crate::intake::events::take_in(engine, delivery).await,
        Some(queue) if queue == names.signals => crate::intake::signals::take_in(engine, delivery).await,
        Some(queue) if queue == names.dead_letters => dead_letters::take_in(engine, delivery).await,
        _ => dead_letter(
            Undecodable::UNDECODABLE,
            "it was published to the queue of messages in probation, which only the broker may do".to_owned(),
        ),
    }
}

async fn reply(engine: Engine, delivery: Arc<Delivery>) -> Verdict {
    let DecodedReply { saga, reply, is_readable } = match decode_reply(&engine, &delivery).await {
        Ok(decoded) => decoded,
        Err(undecodable) => return refused(undecodable),
    };
    let span =
        tracing::info_span!("reply", %saga, step = %reply.attempt.step, direction = %reply.attempt.direction);
    if is_readable {
        return submit_reply(&engine, saga, reply, SubmitOptions::default()).instrument(span).await;
    }
    let received = Received::new(engine.wire().names.replies.clone(), &delivery);
    let options = SubmitOptions { unreadable: Some(Box::new(received)), ..SubmitOptions::default() };
    submit_reply(&engine, saga, reply, options).instrument(span).await
}

/// A reply whose key is unknown may have a key that another process has just loaded.
async fn decode_reply(engine: &Engine, delivery: &Delivery) -> Result<DecodedReply, Undecodable> {
    let is_forged = |decoded: &Result<_, Undecodable>| {
        decoded.as_ref().is_err_and(|undecodable| undecodable.code == Undecodable::FORGED)
    };
    let mut decoded = engine.wire().decode_reply(delivery);
    if is_forged(&decoded) && engine.reload_token_keys().await {
        decoded = engine.wire().decode_reply(delivery);
    }
    if is_forged(&decoded) {
        engine.metrics().forged_replies.inc();
    }
    decoded
}

async fn submit_reply(engine: &Engine, saga: SagaId, reply: Reply, options: SubmitOptions) -> Verdict {
    // An unreadable reply that changes nothing becomes a dead letter here.
    let unreadable = match &reply.result {
        ReplyResult::Error(problem) if options.unreadable.is_some() => Some(problem.message.clone()),
        _ => None,
    };
    match engine.submit_on(options, saga, Input::Reply(reply)).await {
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

async fn start(engine: Engine, delivery: Arc<Delivery>) -> Verdict {
    if let Err(undecodable) = engine.wire().check_reply_to(&delivery.properties) {
        return refused(undecodable);
    }
    let request = match envelope::decode_start(&delivery) {
        Ok(request) => request,
        Err(undecodable) => {
            let reason = undecodable.to_string();
            return refuse(&engine, &delivery.properties, "undecodable", reason, None).await;
        }
    };
    let span = tracing::info_span!("start", definition = request.definition);
    accept(engine, &delivery.properties, request).instrument(span).await
}

async fn accept(engine: Engine, starter: &Properties, request: StartRequest) -> Verdict {
    let answer = request.answer.clone();
    match engine.start(request).await {
        Ok(started) => {
            tracing::debug!(saga = %started.id, is_new = started.is_new, "started");
            match (started.conflict("message id"), answer) {
                (Some(reason), _) => refuse(&engine, starter, KEY_IN_USE, reason, None).await,
                (None, Some(to)) if !started.is_new => answer_again(&engine, starter, started.id, to).await,
                _ => Verdict::Ack,
            }
        }
        Err(StartError::Stopping) => Verdict::Requeue,
        Err(error) if error.is_temporary() => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot start now");
            Verdict::Requeue
        }
        Err(error) => refuse(&engine, starter, error.code(), error.to_string(), error.details()).await,
    }
}

/// Answers a repeated start: now, if the saga has ended, or once it ends.
async fn answer_again(engine: &Engine, starter: &Properties, saga: SagaId, to: AnswerTo) -> Verdict {
    match engine.request_outcome(saga, to).await {
        Ok(None) => Verdict::Ack,
        Ok(Some(outcome)) => match engine.publish_outcome(outcome).await {
            Published::Confirmed => Verdict::Ack,
            Published::Unroutable => {
                tracing::warn!(%saga, "the queue that a repeated start names for its answer does not exist");
                Verdict::Ack
            }
            Published::Refused | Published::Unknown => Verdict::Requeue,
        },
        Err(StartError::Store(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot answer a repeated start now");
            Verdict::Requeue
        }
        Err(StartError::Stopping) => Verdict::Requeue,
        Err(error) => refuse(engine, starter, error.code(), error.to_string(), None).await,
    }
}

/// Reports the refusal to the sender, if the start names a queue for it; otherwise the start becomes a dead letter.
async fn refuse(
    engine: &Engine,
    starter: &Properties,
    code: &'static str,
    reason: String,
    details: Option<Value>,
) -> Verdict {
    let now = engine.clock().now();
    if let Some(answer) = envelope::answer_refused(starter, code, &reason, details, now)
        && engine.broker().publish(vec![answer]).await == [Published::Confirmed]
    {
        return Verdict::Ack;
    }
    dead_letter(code, reason)
}

fn refused(Undecodable { code, reason }: Undecodable) -> Verdict {
    dead_letter(code, reason)
}

pub(super) fn dead_letter(code: &'static str, reason: String) -> Verdict {
    Verdict::DeadLetter { code, reason }
}
