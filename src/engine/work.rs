//! What a lane is asked to do, and what it answers.

use tokio::sync::oneshot;

use super::SubmitError;
use super::operator::Terms;
use crate::saga::{Input, SagaId, Status};
use crate::store;

/// One input, and who wants to know what became of it.
#[derive(Debug)]
pub struct Work {
    pub saga: SagaId,
    pub input: Input,
    pub terms: Terms,
    pub done: oneshot::Sender<Result<Accepted, SubmitError>>,
    /// How often the database gave up on it while it was alone in its batch, and took others meanwhile.
    pub failures: u32,
    /// The commits of its lane when it last failed.
    pub failed_at: u64,
}

impl Work {
    pub fn new(
        saga: SagaId,
        input: Input,
        terms: Terms,
        done: oneshot::Sender<Result<Accepted, SubmitError>>,
    ) -> Self {
        Self { saga, input, terms, done, failures: 0, failed_at: 0 }
    }
}

/// What a lane is asked to do.
#[derive(Debug)]
pub enum Task {
    Input(Box<Work>),
    /// Commit what there is, though nothing came in.
    Flush,
}

/// An input that was journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The saga's journal entries so far.
    pub seq: u32,
    pub status: Status,
}

impl Work {
    /// The work, if the database is to be tried again for it. Who asked may be gone, and then asks again, or want to hear at once.
    pub(super) fn unless_given_up(self, error: &store::Error) -> Option<Self> {
        if self.done.is_closed() {
            return None;
        }
        if !self.terms.fails_fast {
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

impl Task {
    pub(super) fn into_work(self) -> Option<Work> {
        match self {
            Self::Input(work) => Some(*work),
            Self::Flush => None,
        }
    }
}
