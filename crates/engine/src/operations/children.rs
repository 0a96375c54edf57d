//! Child commands and child results, between a saga and its parent.
//!
//! Both go through the outbox like every other message, but they do not leave the process: the publisher submits them to their
//! saga. A row of the outbox is removed only once that is committed, so nothing is lost on the way; a repetition is recognised.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::lane::submitter::{SubmitError, Submitter};
use crate::operations::start::{StartRequest, Starter};
use crate::operations::start_error::StartError;
use snorri_core::input::{Attempt, Reply, ReplyResult};
use snorri_core::journal::{By, Problem, ProblemCode};
use snorri_core::message::{ChildCommand, ChildCommandKind, ChildResult, idempotency_key};
use snorri_core::{Direction, Input, Rejection, SagaId};

/// Submits the messages between sagas and their parents.
#[derive(Debug)]
pub struct Children {
    pub(crate) starter: Arc<Starter>,
    pub(crate) submitter: Submitter,
}

impl Children {
    /// Gives a child the command of its parent. `false`: this is not possible now.
    ///
    /// Every command starts the child first, if it does not exist: commands may be handled in another order than they were
    /// given.
    pub(crate) async fn carry_out(&self, order: &ChildCommand) -> bool {
        let child = match self.start_child(order).await {
            Ok(child) => child,
            Err(None) => return false,
            Err(Some(problem)) => return self.reply_refused(order, problem).await,
        };
        let (input, attempt) = match order.kind {
            ChildCommandKind::Start => return true,
            ChildCommandKind::Cancel => (Input::Cancel(by_parent(order)), None),
            ChildCommandKind::Compensate { attempt } => (Input::Compensate { attempt }, Some(attempt)),
        };
        let result = match self.submitter.submit(child, input).await {
            Ok(_) | Err(SubmitError::Rejected(Rejection::Duplicate)) => return true,
            Err(SubmitError::Unreadable(why)) => {
                ReplyResult::Failure(Problem::new(ProblemCode::Unreadable, why))
            }
            Err(SubmitError::Rejected(Rejection::AlreadyCompensated)) => ReplyResult::Success(Arc::default()),
            Err(SubmitError::Rejected(ignored)) => {
                ReplyResult::Failure(refused(ignored.code(), format!("child saga {child}: {ignored}")))
            }
            Err(error) if error.is_temporary() => return false,
            Err(error) => ReplyResult::Failure(refused(error.code(), format!("child saga {child}: {error}"))),
        };
        match attempt {
            // A child that cannot be cancelled continues, and its end is awaited.
            None => true,
            Some(number) => self.reply_to_parent(order, Direction::Compensate, number, result).await,
        }
    }

    /// Gives a parent the result of its child. `false`: this is not possible now.
    pub(crate) async fn report(&self, report: &ChildResult) -> bool {
        self.give_reply(report.parent, report.attempt.clone(), report.result.clone()).await
    }

    /// The child's id. `Err(None)`: it cannot be started now. `Err(Some)`: it never can.
    async fn start_child(&self, order: &ChildCommand) -> Result<SagaId, Option<Problem>> {
        let key = idempotency_key(order.parent.saga, &order.parent.step, Direction::Forward);
        let input: Value = serde_json::from_str(order.input.get())
            .map_err(|error| Some(Problem::new(ProblemCode::ExpressionFailed, error.to_string())))?;
        let request = StartRequest {
            definition: order.definition.to_string(),
            version: Some(order.version),
            input,
            message_id: Some(format!("{key}/{}", order.parent.attempt)),
            trace_id: order.trace_id.clone(),
            parent: Some(order.parent.clone()),
            ..StartRequest::default()
        };
        match self.starter.start(request).await {
            Ok(started) if started.same_parent => Ok(started.id),
            Ok(started) => {
                let message =
                    format!("saga {} has the same business key and is not part of this one", started.id);
                Err(Some(Problem::new(ProblemCode::KeyInUse, message)))
            }
            Err(error) if error.is_temporary() => Err(None),
            Err(error) => Err(Some(refusal(&error))),
        }
    }

    /// A child that was never started needs no compensation.
    async fn reply_refused(&self, order: &ChildCommand, problem: Problem) -> bool {
        match order.kind {
            ChildCommandKind::Start | ChildCommandKind::Cancel => {
                let result = ReplyResult::Failure(problem);
                self.reply_to_parent(order, Direction::Forward, order.parent.attempt, result).await
            }
            ChildCommandKind::Compensate { attempt } => {
                let result = ReplyResult::Success(Arc::default());
                self.reply_to_parent(order, Direction::Compensate, attempt, result).await
            }
        }
    }

    async fn reply_to_parent(
        &self,
        order: &ChildCommand,
        direction: Direction,
        number: u32,
        result: ReplyResult,
    ) -> bool {
        let attempt = Attempt { step: order.parent.step.clone(), direction, number };
        self.give_reply(order.parent.saga, attempt, result).await
    }

    async fn give_reply(&self, saga: SagaId, attempt: Attempt, result: ReplyResult) -> bool {
        let reply = Input::Reply(Reply { attempt, result });
        // Only this reply ends the wait of the parent, which has no timeout: if the parent cannot take it now, it is submitted
        // again.
        matches!(self.submitter.submit(saga, reply).await, Ok(_) | Err(SubmitError::Rejected(_)))
    }
}

fn by_parent(order: &ChildCommand) -> By {
    By {
        actor: "snorri".to_owned(),
        reason: format!("saga {}, which this one is part of, is rolled back", order.parent.saga),
    }
}

fn refusal(error: &StartError) -> Problem {
    refused(error.code(), format!("the child saga was not started: {error}"))
}

fn refused(code: &str, message: String) -> Problem {
    Problem { details: Some(json!({ "code": code })), ..Problem::new(ProblemCode::ChildRefused, message) }
}
