//! What may start next, and what must be undone next: one walk forward and one walk back over the definition's
//! blocks, asked anew whenever the state has changed.

use super::definition::{Block, Definition, OnCompensationFailure, Step, StepIndex};
use super::id::{Direction, StepPath};
use super::state::{Outcome, Pending, State, StepState};

/// What a walk found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These are to be sent now.
    Send(Vec<StepPath>),
    /// Something has no outcome yet.
    Wait,
    /// There is nothing left in this direction.
    Done,
}

/// What may start next.
pub fn forward(definition: &Definition, state: &State) -> Next {
    walk(|found| Walk { definition, state }.ahead(&definition.body, found))
}

/// What must be undone next: a step only after all that came after it.
pub fn backward(definition: &Definition, state: &State) -> Next {
    walk(|found| Walk { definition, state }.behind(&definition.body, found))
}

fn walk(visit: impl FnOnce(&mut Vec<StepPath>) -> bool) -> Next {
    let mut found = Vec::new();
    let done = visit(&mut found);
    match (done, found.is_empty()) {
        (true, _) => Next::Done,
        (false, true) => Next::Wait,
        (false, false) => Next::Send(found),
    }
}

struct Walk<'a> {
    definition: &'a Definition,
    state: &'a State,
}

impl Walk<'_> {
    /// Whether the saga is through with `block`; if not, adds what may start in it.
    ///
    /// A step that failed or is unknown is passed here: if the saga may not go on without it, it is stopping, and
    /// nobody asks.
    fn ahead(&self, block: &Block, found: &mut Vec<StepPath>) -> bool {
        match block {
            Block::Step(index) => match self.step(*index) {
                (path, _, None) => {
                    found.push(path);
                    false
                }
                (_, _, Some(state)) => state.pending(Direction::Forward).is_none(),
            },
            Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block, found)),
        }
    }

    /// Whether nothing in `block` is left to be undone; if not, adds what may be undone now.
    fn behind(&self, block: &Block, found: &mut Vec<StepPath>) -> bool {
        match block {
            Block::Step(index) => {
                let (path, step, Some(state)) = self.step(*index) else { return true };
                match state.outcome {
                    Outcome::Pending(_) => false,
                    Outcome::Failed(_) => true,
                    Outcome::Completed(_) | Outcome::Unknown { .. } if step.compensation.is_none() => true,
                    Outcome::Completed(_) | Outcome::Unknown { .. } => match &state.undo {
                        None => {
                            found.push(path);
                            false
                        }
                        Some(undo) => undo.pending.is_none_or(|pending| self.may_leave_behind(pending)),
                    },
                }
            }
            Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block, found)),
        }
    }

    fn may_leave_behind(&self, pending: Pending) -> bool {
        pending == Pending::Operator
            && self.definition.on_compensation_failure == OnCompensationFailure::Continue
    }

    fn step(&self, index: StepIndex) -> (StepPath, &Step, Option<&StepState>) {
        let step = self.definition.step_at(index);
        let path = StepPath::new(std::sync::Arc::clone(&step.name));
        let state = self.state.step(&path);
        (path, step, state)
    }
}
