//! The requests of a lane, and its results.

use tokio::sync::oneshot;

use crate::dead_letters::letter::Received;
use crate::lane::audit::AuditContext;
use snorri_core::{Input, Rejection, SagaId, Status};
use snorri_ports::store;

/// The options of submitting an input.
#[derive(Debug, Clone, Default)]
pub struct SubmitOptions {
    /// Accept the input only if the saga's journal has this many entries.
    pub expected: Option<u32>,
    /// The caller, if it is an operator: the input is audited.
    pub audit: Option<AuditContext>,
    /// The message of an input that could not be decoded: it is kept as a dead letter.
    pub unreadable: Option<Box<Received>>,
    /// Fail at once if the database is not available, instead of waiting for it.
    pub fails_fast: bool,
}

impl SubmitOptions {
    /// The options of a request of the admin API, whose caller waits for the answer.
    pub fn of_request() -> Self {
        Self { fails_fast: true, ..Self::default() }
    }
}

/// One input, and the caller that waits for its result.
#[derive(Debug)]
pub struct Request {
    pub saga: SagaId,
    pub input: Input,
    pub options: SubmitOptions,
    pub done: oneshot::Sender<Result<Accepted, SubmitError>>,
    /// How often the input failed while it was alone in its batch, and the database took others.
    pub failures: u32,
    /// The commits of its lane when it last failed.
    pub failed_at: u64,
}

impl Request {
    pub fn new(
        saga: SagaId,
        input: Input,
        options: SubmitOptions,
        done: oneshot::Sender<Result<Accepted, SubmitError>>,
    ) -> Self {
        Self { saga, input, options, done, failures: 0, failed_at: 0 }
    }
}

/// A message to a lane.
#[derive(Debug)]
pub enum LaneMessage {
    Input(Box<Request>),
    /// Commit the removal of confirmed messages, though there is no input.
    Flush,
}

/// An input that was journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The number of the saga's journal entries so far.
    pub seq: u32,
    pub status: Status,
}

/// Why an input was not journaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The stored saga cannot be read, or the decision about it failed: an operator has to examine it.
    #[error("the saga is set aside: {0}")]
    Unreadable(String),
    /// The database cannot hold the consequences of the input: sending it again does not help.
    #[error("the input cannot be stored: {0}")]
    Invalid(String),
    /// The saga has changed since the caller read it.
    #[error("the saga has {seq} journal entries by now: read it again")]
    Changed { seq: u32 },
    /// The database did not take the input, or only a newer version of this program can handle it. If the database's answer was
    /// lost, it may have taken the input all the same: repeat the input.
    #[error("it cannot be taken now: {0}")]
    Unavailable(String),
    /// The input was not decided: submit it to another process, or later.
    #[error("the engine is stopping")]
    Stopping,
}

impl SubmitError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid_value",
            Self::Changed { .. } => "changed",
            Self::Unavailable(_) => "store_unavailable",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the same input may be taken later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Stopping | Self::Unavailable(_) | Self::Changed { .. })
    }
}

impl Request {
    /// The request, if the database is to be tried again for it. A caller that is gone repeats it; one that fails fast gets the
    /// error.
    pub(crate) fn unless_given_up(self, error: &store::Error) -> Option<Self> {
        if self.done.is_closed() {
            return None;
        }
        if !self.options.fails_fast {
            return Some(self);
        }
        let why = match error {
            store::Error::Unavailable(cause) => cause.to_string(),
            error => error.to_string(),
        };
        let _ = self.done.send(Err(SubmitError::Unavailable(why)));
        None
    }
}

impl LaneMessage {
    pub(crate) fn into_request(self) -> Option<Request> {
        match self {
            Self::Input(request) => Some(*request),
            Self::Flush => None,
        }
    }
}
