//! Starting a saga: the checks at the edge, and the id that makes a second start harmless.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::definitions;
use super::{Engine, SubmitError};
pub use crate::broker::envelope::StartRequest;
use crate::catalog::InvalidInput;
use crate::saga::expression::EvaluationError;
use crate::saga::{Ignored, Input, MAX_PAYLOAD_BYTES, SagaId, journal};
use crate::store;

/// A start that was accepted, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub id: SagaId,
    pub key: Option<String>,
    /// `false`: the saga of this key, or of this message, was started before.
    pub is_new: bool,
    /// Whether the earlier start had the same input.
    pub same_input: bool,
    /// Whether the earlier start made it part of the same saga, or of none.
    pub same_parent: bool,
}

/// Why a saga was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    NotFound(definitions::Error),
    #[error("the input does not match the definition's schema: {}", summary(.0))]
    InvalidInput(Vec<InvalidInput>),
    #[error("the input has no business key: {0}")]
    NoKey(#[from] EvaluationError),
    #[error("an attribute of the saga cannot be made from the input: {0}")]
    NoAttribute(EvaluationError),
    #[error("there is no input: {0}")]
    NoInput(EvaluationError),
    #[error("the input has {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are taken")]
    TooLarge { bytes: usize },
    #[error("the saga of this business key, or of this message, cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Store(store::Error),
    #[error("the engine is stopping: start it again elsewhere, or later")]
    Stopping,
}

impl StartError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "definition_not_found",
            Self::InvalidInput(_) => "invalid_input",
            Self::NoKey(_) => "no_business_key",
            Self::NoAttribute(_) => "no_attribute",
            Self::NoInput(_) => "no_input",
            Self::TooLarge { .. } => "payload_too_large",
            Self::Unreadable(_) => "unreadable",
            Self::Store(_) => "store_unavailable",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the same start may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Stopping)
    }
}

impl Engine {
    /// Starts a saga, once for each business key. When this returns, the start is committed.
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let compiled = self.definitions().find(&request.definition, request.version).await.map_err(
            |error| match error {
                definitions::Error::Store(error) => StartError::Store(error),
                error => StartError::NotFound(error),
            },
        )?;
        check_size(&request.input)?;
        compiled.check_input(&request.input).map_err(StartError::InvalidInput)?;
        let key = compiled.key(&request.input)?;
        let id = saga_id(&request, key.as_deref());
        let started = journal::Started {
            definition: Arc::clone(&compiled.definition.name),
            version: compiled.definition.version,
            key: key.clone(),
            attributes: compiled.attributes(&request.input).map_err(StartError::NoAttribute)?,
            input: Arc::new(request.input),
            deadline: None,
            answer: request.answer,
            trace_id: request.trace_id,
            parent: request.parent,
            carried: None,
        };
        match self.submit(id, Input::Start(Box::new(started))).await {
            Ok(_) => Ok(Started { id, key, is_new: true, same_input: true, same_parent: true }),
            Err(SubmitError::Ignored(Ignored::AlreadyStarted { same_input, same_parent })) => {
                Ok(Started { id, key, is_new: false, same_input, same_parent })
            }
            Err(SubmitError::Unreadable(why)) => Err(StartError::Unreadable(why)),
            Err(_) => Err(StartError::Stopping),
        }
    }
}

/// The business key decides; without one the message that asked for it, so that its repetition is recognised; without
/// that every start is another saga.
fn saga_id(request: &StartRequest, key: Option<&str>) -> SagaId {
    match (key, &request.message_id) {
        (Some(key), _) => SagaId::of_key(&request.definition, key),
        (None, Some(message_id)) => SagaId::of_message(&request.definition, message_id),
        (None, None) => SagaId(Uuid::now_v7()),
    }
}

fn check_size(input: &Value) -> Result<(), StartError> {
    let bytes = serde_json::to_vec(input).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_PAYLOAD_BYTES { Err(StartError::TooLarge { bytes }) } else { Ok(()) }
}

fn summary(errors: &[InvalidInput]) -> String {
    let one = |error: &InvalidInput| {
        format!("{}: {}", if error.path.is_empty() { "/" } else { &error.path }, error.message)
    };
    errors.iter().map(one).collect::<Vec<_>>().join("; ")
}
