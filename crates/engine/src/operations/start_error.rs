//! Why a saga was not started.

use serde_json::{Value, json};

use crate::definitions;
use crate::lane::request::SubmitError;
use snorri_core::Rejection;
use snorri_core::expression::EvaluationError;
use snorri_core::json;
pub use snorri_definition::InvalidInput;
use snorri_ports::store;

/// Why a saga was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    NotFound(definitions::Error),
    #[error(transparent)]
    Inactive(definitions::Error),
    #[error(transparent)]
    UnusableExchange(definitions::Error),
    #[error(transparent)]
    NotLoaded(definitions::Error),
    /// Too many computations wait: nothing was started.
    #[error(transparent)]
    Busy(definitions::Error),
    #[error("the input does not match the definition's schema: {}", summary(.0))]
    InvalidInput(Vec<InvalidInput>),
    #[error("the input has no business key: {0}")]
    NoKey(#[from] EvaluationError),
    #[error("an attribute of the saga cannot be made from the input: {0}")]
    NoAttribute(EvaluationError),
    #[error("the attributes cannot be taken: {0}")]
    InvalidAttributes(String),
    #[error("there is no input: {0}")]
    NoInput(EvaluationError),
    #[error("the input is refused: {0}")]
    InputRefused(json::Error),
    #[error("the saga of this business key, or of this message, cannot be read: {0}")]
    Unreadable(String),
    #[error("the start cannot be stored: {0}")]
    Invalid(String),
    /// The outcome is sent to the most addresses already.
    #[error(transparent)]
    OutcomeRequest(Rejection),
    #[error(transparent)]
    Store(store::Error),
    /// It may have been started all the same: the same start, repeated, starts it only once if it has a key or a message id.
    #[error("the database does not take the start: {0}. Repeat it later")]
    Unavailable(String),
    #[error("too many messages wait to be sent: start it again later")]
    Overloaded,
    #[error("the engine is stopping: start it again elsewhere, or later")]
    Stopping,
}

impl From<SubmitError> for StartError {
    /// A start has no other rejections than those that its callers handle.
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Unreadable(why) => Self::Unreadable(why),
            SubmitError::Invalid(why) => Self::Invalid(why),
            SubmitError::Unavailable(why) => Self::Unavailable(why),
            SubmitError::Rejected(_) | SubmitError::Changed { .. } | SubmitError::Stopping => Self::Stopping,
        }
    }
}

impl StartError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(error)
            | Self::Inactive(error)
            | Self::UnusableExchange(error)
            | Self::NotLoaded(error)
            | Self::Busy(error) => error.code(),
            Self::InvalidInput(_) => "invalid_input",
            Self::NoKey(_) => "no_business_key",
            Self::NoAttribute(_) => "no_attribute",
            Self::InvalidAttributes(_) => "invalid_attributes",
            Self::NoInput(_) => "no_input",
            Self::InputRefused(error) => error.reason.code(),
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid_value",
            Self::OutcomeRequest(ignored) => ignored.code(),
            Self::Store(_) | Self::Unavailable(_) => "store_unavailable",
            Self::Overloaded => "outbox_full",
            Self::Stopping => "stopping",
        }
    }

    /// The errors of the input, as `[{pointer, detail}]`.
    pub fn details(&self) -> Option<Value> {
        let Self::InvalidInput(errors) = self else { return None };
        let place = |error: &InvalidInput| json!({ "pointer": error.path, "detail": error.message });
        Some(errors.iter().map(place).collect())
    }

    /// Whether the same start may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Store(_) | Self::Unavailable(_) | Self::Busy(_) | Self::Overloaded | Self::Stopping
        )
    }
}

fn summary(errors: &[InvalidInput]) -> String {
    let one = |error: &InvalidInput| {
        format!("{}: {}", if error.path.is_empty() { "/" } else { &error.path }, error.message)
    };
    errors.iter().map(one).collect::<Vec<_>>().join("; ")
}
