//! Between a saga and the sagas that are part of it: orders down, reports up.
//!
//! Both go through the outbox like every other message, but they do not leave the process: whoever would publish them
//! gives them to the saga that they are for. A row of the outbox goes only once that is committed, so that nothing is lost
//! on the way; and what is carried out twice is recognised.

use std::sync::Arc;

use serde_json::{Value, json};

use super::start::{StartError, StartRequest};
use super::{Engine, SubmitError};
use crate::saga::input::{Attempt, Reply, ReplyResult};
use crate::saga::journal::{By, Problem, Reason};
use crate::saga::message::{Order, OrderKind, Report, idempotency_key};
use crate::saga::{Direction, Ignored, Input, SagaId};

impl Engine {
    /// Gives a child what its parent wants of it. `false`: it could not be done now.
    ///
    /// Every order starts the child first, if it is not there: orders may be carried out in another order than they were
    /// given.
    pub(super) async fn carry_out(&self, order: &Order) -> bool {
        let child = match self.start_child(order).await {
            Ok(child) => child,
            Err(None) => return false,
            Err(Some(problem)) => return self.tell_refused(order, problem).await,
        };
        let (input, attempt) = match order.kind {
            OrderKind::Start => return true,
            OrderKind::Cancel => (Input::Cancel(by_parent(order)), None),
            OrderKind::Undo { attempt } => (Input::Undo { attempt }, Some(attempt)),
        };
        let result = match self.submit(child, input).await {
            Ok(_) | Err(SubmitError::Ignored(Ignored::Duplicate)) => return true,
            Err(SubmitError::Unreadable(why)) => ReplyResult::Failure(Problem::new(Reason::Unreadable, why)),
            Err(SubmitError::Ignored(Ignored::AlreadyCompensated)) => ReplyResult::Success(Arc::default()),
            Err(SubmitError::Ignored(ignored)) => {
                ReplyResult::Failure(refused(ignored.code(), format!("child saga {child}: {ignored}")))
            }
            Err(error) if error.is_temporary() => return false,
            Err(error) => ReplyResult::Failure(refused(error.code(), format!("child saga {child}: {error}"))),
        };
        match attempt {
            // A child that cannot be cancelled goes on, and its end is awaited.
            None => true,
            Some(number) => self.tell_parent(order, Direction::Compensate, number, result).await,
        }
    }

    /// Gives a parent what became of its child. `false`: it could not be done now.
    pub(super) async fn report(&self, report: &Report) -> bool {
        self.give_reply(report.parent, report.attempt.clone(), report.result.clone()).await
    }

    /// The child's id. `Err(None)`: it cannot be started now. `Err(Some)`: it never can.
    async fn start_child(&self, order: &Order) -> Result<SagaId, Option<Problem>> {
        let key = idempotency_key(order.parent.saga, &order.parent.step, Direction::Forward);
        let input: Value = serde_json::from_str(order.input.get())
            .map_err(|error| Some(Problem::new(Reason::ExpressionFailed, error.to_string())))?;
        let request = StartRequest {
            definition: order.definition.to_string(),
            version: Some(order.version),
            input,
            message_id: Some(format!("{key}/{}", order.parent.attempt)),
            trace_id: order.trace_id.clone(),
            parent: Some(order.parent.clone()),
            ..StartRequest::default()
        };
        match self.start(request).await {
            Ok(started) if started.same_parent => Ok(started.id),
            Ok(started) => {
                let message =
                    format!("saga {} has the same business key and is not part of this one", started.id);
                Err(Some(Problem::new(Reason::KeyInUse, message)))
            }
            Err(error) if error.is_temporary() => Err(None),
            Err(error) => Err(Some(refusal(&error))),
        }
    }

    /// What was never started needs no undo.
    async fn tell_refused(&self, order: &Order, problem: Problem) -> bool {
        match order.kind {
            OrderKind::Start | OrderKind::Cancel => {
                let result = ReplyResult::Failure(problem);
                self.tell_parent(order, Direction::Forward, order.parent.attempt, result).await
            }
            OrderKind::Undo { attempt } => {
                let result = ReplyResult::Success(Arc::default());
                self.tell_parent(order, Direction::Compensate, attempt, result).await
            }
        }
    }

    async fn tell_parent(
        &self,
        order: &Order,
        direction: Direction,
        number: u32,
        result: ReplyResult,
    ) -> bool {
        let attempt = Attempt { step: order.parent.step.clone(), direction, number };
        self.give_reply(order.parent.saga, attempt, result).await
    }

    async fn give_reply(&self, saga: SagaId, attempt: Attempt, result: ReplyResult) -> bool {
        let reply = Input::Reply(Reply { attempt, result });
        // Nothing but this reply ends the wait of the parent, which has no timeout: what it cannot take now is given to it again.
        matches!(self.submit(saga, reply).await, Ok(_) | Err(SubmitError::Ignored(_)))
    }
}

fn by_parent(order: &Order) -> By {
    By {
        actor: "snorri".to_owned(),
        reason: format!("saga {}, which this one is part of, is rolled back", order.parent.saga),
    }
}

fn refusal(error: &StartError) -> Problem {
    refused(error.code(), format!("the child saga was not started: {error}"))
}

fn refused(code: &str, message: String) -> Problem {
    Problem { details: Some(json!({ "code": code })), ..Problem::new(Reason::ChildRefused, message) }
}
