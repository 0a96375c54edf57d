//! The requests of a lane, and its results.

use tokio::sync::oneshot;

use crate::dead_letters::letter::Received;
use crate::lane::audit::AuditContext;
use crate::lane::submitter::SubmitError;
use snorri_core::{Input, SagaId, Status};
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
