//! The protocol between a saga and its children: the same in the engine and in simulations.
//!
//! Carrying out a [`ChildCommand`] first starts the child, if it does not exist: commands may be handled in another order
//! than they were given. Then the child gets the [input](ChildCommand::input) of the command. A child replies to its parent when
//! it ends; a command that has no such effect is replied to with [`ChildCommand::not_started`] or [`ChildCommand::rejected`].

use std::sync::Arc;

use serde_json::json;

use crate::id::{Direction, SagaId};
use crate::input::{Attempt, Input, Reply, ReplyResult};
use crate::journal::{By, Problem, ProblemCode};
use crate::message::{ChildCommand, ChildCommandKind, ChildResult, idempotency_key};
use crate::transition::Rejection;

impl ChildCommand {
    /// The message id of the child's start: the same for every command of one attempt.
    pub fn start_message_id(&self) -> String {
        let key = idempotency_key(self.parent.saga, &self.parent.step, Direction::Forward);
        format!("{key}/{}", self.parent.attempt)
    }

    /// The input of a child that has started. `None`: the start is all.
    pub fn input(&self) -> Option<Input> {
        match self.kind {
            ChildCommandKind::Start => None,
            ChildCommandKind::Cancel => Some(Input::Cancel(By {
                actor: "snorri".to_owned(),
                reason: format!("saga {}, which this one is part of, is rolled back", self.parent.saga),
            })),
            ChildCommandKind::Compensate { attempt } => Some(Input::Compensate { attempt }),
        }
    }

    /// The attempt that the command wants a reply to, if any.
    pub fn attempt(&self) -> Option<Attempt> {
        match self.kind {
            ChildCommandKind::Start => Some(self.forward()),
            ChildCommandKind::Compensate { attempt } => Some(self.compensation(attempt)),
            ChildCommandKind::Cancel => None,
        }
    }

    /// The reply to the parent if the child can never start. A child that was never started needs no compensation.
    pub fn not_started(&self, problem: Problem) -> Reply {
        match self.kind {
            ChildCommandKind::Start | ChildCommandKind::Cancel => {
                Reply { attempt: self.forward(), result: ReplyResult::Failure(problem) }
            }
            ChildCommandKind::Compensate { attempt } => {
                Reply { attempt: self.compensation(attempt), result: ReplyResult::Success(Arc::default()) }
            }
        }
    }

    /// The reply of a child that is cancelled before its end.
    pub fn cancelled(&self) -> Reply {
        let problem = Problem::new(ProblemCode::Cancelled, "the saga that it is part of is rolled back");
        Reply { attempt: self.forward(), result: ReplyResult::Failure(problem) }
    }

    /// The reply to the parent if the child rejects the input. `None`: there is nothing to reply. A repeated command was or will
    /// be replied to, and a child that cannot be cancelled continues, and replies at its end.
    pub fn rejected(&self, child: SagaId, rejection: &Rejection) -> Option<Reply> {
        match rejection {
            Rejection::Duplicate => None,
            Rejection::AlreadyCompensated => self.reply(ReplyResult::Success(Arc::default())),
            rejection => self.failed(refusal(rejection.code(), format!("child saga {child}: {rejection}"))),
        }
    }

    /// The reply to the parent if the child can never take the input. `None` as for [`ChildCommand::rejected`].
    pub fn failed(&self, problem: Problem) -> Option<Reply> {
        self.reply(ReplyResult::Failure(problem))
    }

    fn reply(&self, result: ReplyResult) -> Option<Reply> {
        self.attempt().map(|attempt| Reply { attempt, result })
    }

    fn forward(&self) -> Attempt {
        let (step, number) = (self.parent.step.clone(), self.parent.attempt);
        Attempt { step, direction: Direction::Forward, number }
    }

    fn compensation(&self, number: u32) -> Attempt {
        Attempt { step: self.parent.step.clone(), direction: Direction::Compensate, number }
    }
}

impl ChildResult {
    /// The reply to the parent.
    pub fn reply(&self) -> Reply {
        Reply { attempt: self.attempt.clone(), result: self.result.clone() }
    }
}

/// The problem of a child that was refused, with the code of the refusal in its details.
pub fn refusal(code: &str, message: String) -> Problem {
    Problem { details: Some(json!({ "code": code })), ..Problem::new(ProblemCode::ChildRefused, message) }
}

/// The problem of a child whose business key belongs to a saga that this parent did not start.
pub fn key_in_use(saga: SagaId) -> Problem {
    let message = format!("saga {saga} has the same business key and is not part of this one");
    Problem::new(ProblemCode::KeyInUse, message)
}
