//! What may start next, and what must be compensated next: one walk forward and one walk back over the definition's blocks,
//! repeated whenever the state has changed.

use std::sync::Arc;

use super::definition::{Action, Block, Definition, OnCompensationFailure, Step, StepIndex};
use super::id::{Direction, StepPath};
use super::state::{Entered, Pending, State, StepOutcome, StepState};

/// The result of a walk.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These steps begin now.
    Begin(Vec<StepPath>),
    /// Something has no outcome yet.
    Wait,
    /// There is nothing left in this direction.
    Done,
}

/// Finds what may start next. An optional step whose outcome is unknown is compensated before the steps that follow it. A
/// `for_each` whose items are all completed is found once more, to collect their outputs.
pub fn forward(definition: &Definition, state: &State) -> Next {
    walk(definition, state, |walk| walk.ahead(&definition.body))
}

/// Finds what must be compensated next: a step only after all that came after it.
pub fn backward(definition: &Definition, state: &State) -> Next {
    walk(definition, state, |walk| walk.behind(&definition.body))
}

/// Whether the saga has completed one block, in these items of the `for_each` blocks around it. If not, what may start in it;
/// nothing if a step of it has begun.
pub fn through(
    definition: &Definition,
    state: &State,
    block: &Block,
    items: &[u32],
) -> Result<(), Vec<StepPath>> {
    let mut walk = Walk { definition, state, items: items.to_vec(), found: Vec::new() };
    if walk.ahead(block) { Ok(()) } else { Err(walk.found) }
}

/// Whether, by the definition, `later` begins only once `earlier` was completed, and so is compensated first.
pub fn comes_after(definition: &Definition, later: &StepPath, earlier: &StepPath) -> bool {
    match (definition.index_of(later.name()), definition.index_of(earlier.name())) {
        (Some(of_later), Some(of_earlier)) => {
            after(definition, &definition.body, (of_later, later.items()), (of_earlier, earlier.items()))
        }
        _ => false,
    }
}

/// The same within `block`, with the items from there on.
fn after(
    definition: &Definition,
    block: &Block,
    (later, later_items): (StepIndex, &[u32]),
    (earlier, earlier_items): (StepIndex, &[u32]),
) -> bool {
    let within = |block| after(definition, block, (later, later_items), (earlier, earlier_items));
    match block {
        Block::Step(_) => false,
        Block::Sequence(blocks) | Block::Parallel(blocks) | Block::Choice(_, blocks) => {
            let place = |step| blocks.iter().position(|block| contains(block, step));
            match (place(later), place(earlier)) {
                (Some(of_later), Some(of_earlier)) if of_later == of_earlier => within(&blocks[of_later]),
                (Some(of_later), Some(of_earlier)) => {
                    matches!(block, Block::Sequence(_)) && of_later > of_earlier
                }
                _ => false,
            }
        }
        Block::ForEach(index, body) => match (later_items, earlier_items) {
            ([of_later, later_items @ ..], [of_earlier, earlier_items @ ..]) if of_later == of_earlier => {
                after(definition, body, (later, later_items), (earlier, earlier_items))
            }
            ([of_later, ..], [of_earlier, ..]) => {
                let one_by_one = matches!(&definition.step_at(*index).action, Action::ForEach(each) if each.concurrency == 1);
                one_by_one && of_later > of_earlier
            }
            _ => false,
        },
    }
}

fn contains(block: &Block, step: StepIndex) -> bool {
    match block {
        Block::Step(index) => *index == step,
        Block::Sequence(blocks) | Block::Parallel(blocks) => blocks.iter().any(|block| contains(block, step)),
        Block::Choice(index, branches) => {
            *index == step || branches.iter().any(|branch| contains(branch, step))
        }
        Block::ForEach(index, body) => *index == step || contains(body, step),
    }
}

fn walk<'a>(definition: &'a Definition, state: &'a State, visit: impl FnOnce(&mut Walk<'a>) -> bool) -> Next {
    let mut walk = Walk { definition, state, items: Vec::new(), found: Vec::new() };
    let done = visit(&mut walk);
    match (done, walk.found.is_empty()) {
        (true, _) => Next::Done,
        (false, true) => Next::Wait,
        (false, false) => Next::Begin(walk.found),
    }
}

struct Walk<'a> {
    definition: &'a Definition,
    state: &'a State,
    /// The items around the walk, one for each `for_each`.
    items: Vec<u32>,
    found: Vec<StepPath>,
}

impl<'a> Walk<'a> {
    /// Whether the saga has completed `block`; if not, finds what may start in it.
    fn ahead(&mut self, block: &Block) -> bool {
        match block {
            Block::Step(index) => self.step_ahead(*index),
            Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block)),
            Block::Parallel(branches) => self.visit_branches(branches, Self::ahead),
            Block::Choice(index, branches) => match self.entered(*index) {
                Some(Entered::Branch(branch)) => {
                    branches.get(*branch as usize).is_none_or(|branch| self.ahead(branch))
                }
                _ => self.step_ahead(*index),
            },
            Block::ForEach(index, body) => match self.entered(*index) {
                Some(Entered::Items(items)) => {
                    self.each(*index, 0..index_of_end(items), |walk| walk.ahead(body))
                        && self.step_ahead(*index)
                }
                _ => self.step_ahead(*index),
            },
        }
    }

    /// A step that failed or is unknown is passed here: if it is not optional, the saga is stopping, and does not walk forward.
    fn step_ahead(&mut self, index: StepIndex) -> bool {
        let path = self.path(index);
        match self.state.step(&path) {
            Some(state) if is_to_be_cleared(self.step(index), state) => {
                if state.compensation.is_none() {
                    self.found.push(path);
                }
                false
            }
            Some(state) => state.pending(Direction::Forward).is_none(),
            None => {
                self.found.push(path);
                false
            }
        }
    }

    /// Whether nothing in `block` is left to compensate; if not, finds what may be compensated now.
    fn behind(&mut self, block: &Block) -> bool {
        match block {
            Block::Step(index) => self.step_behind(*index),
            Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block)),
            Block::Parallel(branches) => self.visit_branches(branches, Self::behind),
            Block::Choice(index, branches) => match self.entered(*index) {
                Some(Entered::Branch(branch)) => {
                    branches.get(*branch as usize).is_none_or(|branch| self.behind(branch))
                }
                _ => true,
            },
            Block::ForEach(index, body) => match self.entered(*index) {
                Some(Entered::Items(items)) => {
                    self.each(*index, (0..index_of_end(items)).rev(), |walk| walk.behind(body))
                }
                _ => true,
            },
        }
    }

    fn step_behind(&mut self, index: StepIndex) -> bool {
        let path = self.path(index);
        let Some(state) = self.state.step(&path) else { return true };
        match state.outcome {
            StepOutcome::Pending(_) => false,
            StepOutcome::Failed(_) | StepOutcome::Skipped => true,
            StepOutcome::Completed(_) | StepOutcome::Unknown { .. }
                if !self.step(index).has_compensation() =>
            {
                true
            }
            StepOutcome::Completed(_) | StepOutcome::Unknown { .. } => match &state.compensation {
                None => {
                    self.found.push(path);
                    false
                }
                Some(compensation) => {
                    compensation.pending.is_none_or(|pending| self.may_leave_behind(pending))
                }
            },
        }
    }

    /// Visits every branch, also after one that is not completed. Whether all are.
    fn visit_branches(&mut self, branches: &[Block], visit: impl Fn(&mut Self, &Block) -> bool) -> bool {
        let mut done = true;
        for branch in branches {
            done &= visit(self, branch);
        }
        done
    }

    /// Visits the items of a `for_each` until as many are not completed as may be in flight at once. Whether all are.
    fn each(
        &mut self,
        index: StepIndex,
        items: impl Iterator<Item = u32>,
        mut visit: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let Action::ForEach(each) = &self.step(index).action else { return true };
        let mut under_way = 0;
        for item in items {
            self.items.push(item);
            let done = visit(self);
            self.items.pop();
            under_way += u32::from(!done);
            if under_way >= each.concurrency {
                break;
            }
        }
        under_way == 0
    }

    fn may_leave_behind(&self, pending: Pending) -> bool {
        pending == Pending::Operator
            && self.definition.on_compensation_failure == OnCompensationFailure::Continue
    }

    fn entered(&self, index: StepIndex) -> Option<&'a Entered> {
        // Most definitions have no choices and lists.
        if self.state.entered.is_empty() { None } else { self.state.entered.get(&self.path(index)) }
    }

    fn step(&self, index: StepIndex) -> &'a Step {
        self.definition.step_at(index)
    }

    fn path(&self, index: StepIndex) -> StepPath {
        StepPath::at(Arc::clone(&self.step(index).name), &self.items)
    }
}

/// Whether the saga continues without a step that may have happened, and has to compensate it first: a missing output then
/// means that there is nothing to compensate.
pub fn is_to_be_cleared(step: &Step, state: &StepState) -> bool {
    step.optional && step.has_compensation() && state.stands_unknown()
}

fn index_of_end(items: &[serde_json::Value]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
