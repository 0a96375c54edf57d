//! The parts of a state that are not steps.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::status::Status;
use crate::id::{Direction, StepPath, Time};
use crate::journal::{Problem, ReceivedEvent, StopReason};

/// The decision of a choice or a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Entered {
    /// The branch of a choice; there may be no branch of this index.
    Branch(u32),
    /// The items of a `for_each`.
    Items(Arc<Vec<Value>>),
}

/// A received event, and whether a step consumed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub arrival: Arc<ReceivedEvent>,
    pub taken: bool,
}

/// Why a saga stops going forward.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub reason: StopReason,
    pub problem: Problem,
}

/// Why a saga waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    pub step: Option<StepPath>,
    pub direction: Option<Direction>,
    pub problem: Problem,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub status: Status,
    pub output: Option<Arc<Value>>,
    pub at: Time,
}
