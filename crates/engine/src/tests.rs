//! Services on their own: a store in memory, a lane that answers as scripted, no broker.

mod children;
mod event_buffer;
mod starter;

use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use crate::lane::request::{Accepted, LaneMessage, SubmitError};
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use snorri_core::{Input, Rejection, SagaId, Status, Time};
use testkit::ManualClock;

type Answer = Result<Accepted, SubmitError>;

const ACCEPTED: Answer = Ok(Accepted { seq: 1, status: Status::Running });
const UNKNOWN: Answer = Err(SubmitError::Rejected(Rejection::UnknownSaga));

/// A lane that takes inputs and gives these answers, in order; the last one again and again.
struct ScriptedLane {
    submitter: Submitter,
    taken: Arc<Mutex<Vec<(SagaId, Input)>>>,
}

impl ScriptedLane {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let (sender, mut receiver) = mpsc::channel(8);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (record, mut answers) = (Arc::clone(&taken), Vec::from_iter(answers).into_iter().peekable());
        tokio::spawn(async move {
            while let Some(message) = receiver.recv().await {
                let LaneMessage::Input(request) = message else { continue };
                record.lock().expect("a lock").push((request.saga, request.input));
                let answer = answers.next().expect("an answer");
                if answers.peek().is_none() {
                    answers = vec![answer.clone()].into_iter().peekable();
                }
                let _ = request.done.send(answer);
            }
        });
        Self { submitter: Submitter::new(vec![sender]), taken }
    }

    fn taken(&self) -> Vec<(SagaId, Input)> {
        std::mem::take(&mut self.taken.lock().expect("a lock"))
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&mut Registry::default()))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Time(1_000_000)))
}
