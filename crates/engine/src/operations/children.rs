//! Child commands and child results, between a saga and its parent.
//!
//! Both go through the outbox like every other message, but they do not leave the process: the publisher submits them to their
//! saga. A row of the outbox is removed only once that is committed, so nothing is lost on the way; a repetition is recognised.

use std::sync::Arc;

use serde_json::Value;

use crate::lane::request::SubmitError;
use crate::lane::submitter::Submitter;
use crate::operations::start::{StartRequest, Starter};
use snorri_core::input::Reply;
use snorri_core::journal::{Problem, ProblemCode};
use snorri_core::message::child::{key_in_use, refusal};
use snorri_core::message::{ChildCommand, ChildResult};
use snorri_core::{Input, SagaId};

/// Submits the messages between sagas and their parents.
#[derive(Debug)]
pub struct Children {
    pub(crate) starter: Arc<Starter>,
    pub(crate) submitter: Submitter,
}

impl Children {
    /// Gives a child the command of its parent. `false`: this is not possible now.
    pub(crate) async fn carry_out(&self, command: &ChildCommand) -> bool {
        let parent = command.parent.saga;
        let child = match self.start(command).await {
            Ok(child) => child,
            Err(None) => return false,
            Err(Some(problem)) => return self.reply(parent, command.not_started(problem)).await,
        };
        let Some(input) = command.input() else { return true };
        let reply = match self.submitter.submit(child, input).await {
            Ok(_) => None,
            Err(SubmitError::Rejected(rejection)) => command.rejected(child, &rejection),
            Err(SubmitError::Unreadable(why)) => command.failed(Problem::new(ProblemCode::Unreadable, why)),
            Err(error) if error.is_temporary() => return false,
            Err(error) => command.failed(refusal(error.code(), format!("child saga {child}: {error}"))),
        };
        match reply {
            Some(reply) => self.reply(parent, reply).await,
            None => true,
        }
    }

    /// Gives a parent the result of its child. `false`: this is not possible now.
    pub(crate) async fn report(&self, report: &ChildResult) -> bool {
        self.reply(report.parent, report.reply()).await
    }

    /// The child's id. `Err(None)`: it cannot be started now. `Err(Some)`: it never can.
    async fn start(&self, command: &ChildCommand) -> Result<SagaId, Option<Problem>> {
        let input: Value = serde_json::from_str(command.input.get())
            .map_err(|error| Some(Problem::new(ProblemCode::ExpressionFailed, error.to_string())))?;
        let request = StartRequest {
            definition: command.definition.to_string(),
            version: Some(command.version),
            input,
            message_id: Some(command.start_message_id()),
            trace_id: command.trace_id.clone(),
            parent: Some(command.parent.clone()),
            ..StartRequest::default()
        };
        match self.starter.start(request).await {
            Ok(started) if started.same_parent => Ok(started.id),
            Ok(started) => Err(Some(key_in_use(started.id))),
            Err(error) if error.is_temporary() => Err(None),
            Err(error) => {
                Err(Some(refusal(error.code(), format!("the child saga was not started: {error}"))))
            }
        }
    }

    async fn reply(&self, saga: SagaId, reply: Reply) -> bool {
        // Only this reply ends the wait of the parent, which has no timeout: if the parent cannot take it now, it is submitted
        // again.
        let submitted = self.submitter.submit(saga, Input::Reply(reply)).await;
        matches!(submitted, Ok(_) | Err(SubmitError::Rejected(_)))
    }
}
