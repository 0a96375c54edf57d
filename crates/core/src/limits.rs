//! The limits of one saga, and how much of them it has used.
//!
//! Limits are checked before work begins: what cannot fit is refused before its first step, never in the middle. An operator
//! can grant a saga all its limits once more.

use serde_json::Value;

use crate::json::{Limits, approximate_bytes};

use super::definition::{Action, Block, Definition, StepIndex};
use super::problem::{Problem, ProblemCode};
use super::state::{Entered, State};

/// Most bytes of JSON in a saga's input, a command's payload or a reply's body.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// Most levels of nested lists and objects in such JSON. The internal readers, which see it wrapped in entries and messages,
/// allow 127.
pub const MAX_PAYLOAD_DEPTH: usize = 64;
/// Bounds of such JSON.
pub const PAYLOAD_LIMITS: Limits = Limits { bytes: MAX_PAYLOAD_BYTES, depth: MAX_PAYLOAD_DEPTH };
/// Most steps that one saga executes forward: commands (further attempts not counted), waits, sleeps, children, events.
/// Ten steps for each item of a list of [`MAX_ITEMS`].
pub const MAX_STEP_EXECUTIONS: u32 = 10_000;
/// Most journal entries of one saga. An operator's interventions may exceed it.
pub const MAX_JOURNAL_ENTRIES: u32 = 40_000;
/// Most items of all `for_each` blocks of one saga.
pub const MAX_ITEMS: usize = 1_000;
/// Most bytes of all outputs of one saga, as [`approximate_bytes`] counts them.
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;
/// How often an operator can raise the limits of one saga.
pub const MAX_LIMITS_RAISED: u32 = 9;
/// Most items in flight at once in one `for_each`.
pub const MAX_CONCURRENCY: u32 = 100;
/// Most addresses that the outcome of one saga is sent to, in addition to that of its start.
pub const MAX_OUTCOME_REQUESTS: usize = 16;
/// Most signals and events that are kept for a step that does not wait for them yet.
pub const MAX_BUFFERED_EVENTS: usize = 100;

impl State {
    /// The most journal entries of the saga.
    pub fn max_journal_entries(&self) -> u32 {
        MAX_JOURNAL_ENTRIES.saturating_mul(self.limits_raised + 1)
    }

    /// The most steps that it may execute.
    pub fn max_step_executions(&self) -> u32 {
        MAX_STEP_EXECUTIONS.saturating_mul(self.limits_raised + 1)
    }

    fn max_items(&self) -> usize {
        MAX_ITEMS.saturating_mul(self.limits_raised as usize + 1)
    }

    fn max_output_bytes(&self) -> usize {
        MAX_OUTPUT_BYTES.saturating_mul(self.limits_raised as usize + 1)
    }

    /// The bytes of the input and of all outputs, as [`approximate_bytes`] counts them.
    pub fn payload_bytes(&self) -> usize {
        let input = self.started.as_ref().map_or(0, |started| approximate_bytes(&started.input));
        self.output_bytes + input
    }

    /// Whether one more step may be executed.
    pub(super) fn check_executions(&self) -> Result<(), Problem> {
        let most = self.max_step_executions();
        if self.executions < most {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::StepLimit, format!("a saga executes at most {most} steps")))
    }

    /// Whether an output fits in addition to those that the saga has.
    pub(super) fn check_output(&self, output: &Value) -> Result<(), Problem> {
        let (bytes, most) = (self.output_bytes + approximate_bytes(output), self.max_output_bytes());
        if bytes <= most {
            return Ok(());
        }
        let message = format!(
            "with it the outputs of the saga have {bytes} bytes, of at most {most}: an operator can raise the limits, or \
             the participant can send a reference instead"
        );
        Err(Problem::new(ProblemCode::OutputLimit, message))
    }

    /// Whether so many items of the `for_each` step `list` fit: the items are added to those of other lists, and its steps,
    /// each once, to those that were executed and to all upcoming steps outside of lists.
    pub(super) fn check_list(
        &self,
        definition: &Definition,
        list: StepIndex,
        items: usize,
    ) -> Result<(), Problem> {
        let lists = self.entered.values().map(|entered| match entered {
            Entered::Items(items) => items.len(),
            Entered::Branch(_) => 0,
        });
        let (all, most) = (lists.sum::<usize>() + items, self.max_items());
        if all > most {
            let message = format!("{all} items; all lists of a saga together have at most {most}");
            return Err(Problem::new(ProblemCode::TooManyItems, message));
        }
        let body = body_of(&definition.body, list);
        let each = body.map_or(0, |body| executions_of(definition, body));
        let needed = u64::from(self.executions) + self.upcoming_executions(definition) + items as u64 * each;
        let most = self.max_step_executions();
        if needed > u64::from(most) {
            let message = format!(
                "{items} items of up to {each} steps make up to {needed} step executions, of at most {most}"
            );
            return Err(Problem::new(ProblemCode::StepLimit, message));
        }
        Ok(())
    }

    /// The steps outside of lists that have not begun.
    fn upcoming_executions(&self, definition: &Definition) -> u64 {
        let upcoming = definition.steps().iter().filter(|step| {
            step.within.is_empty()
                && is_executed(&step.action)
                && !self.steps.keys().any(|path| path.name() == &*step.name)
        });
        upcoming.count() as u64
    }
}

/// The most steps that one pass through a block executes. An inner `for_each` checks its own list.
fn executions_of(definition: &Definition, block: &Block) -> u64 {
    let of = |block| executions_of(definition, block);
    match block {
        Block::Step(index) => u64::from(is_executed(&definition.step_at(*index).action)),
        Block::Sequence(blocks) | Block::Parallel(blocks) => blocks.iter().map(of).sum(),
        Block::Choice(_, branches) => branches.iter().map(of).max().unwrap_or_default(),
        Block::ForEach(..) => 0,
    }
}

/// The body of a `for_each` step.
fn body_of(block: &Block, list: StepIndex) -> Option<&Block> {
    match block {
        Block::Step(_) => None,
        Block::Sequence(blocks) | Block::Parallel(blocks) | Block::Choice(_, blocks) => {
            blocks.iter().find_map(|block| body_of(block, list))
        }
        Block::ForEach(index, body) if *index == list => Some(body),
        Block::ForEach(_, body) => body_of(body, list),
    }
}

fn is_executed(action: &Action) -> bool {
    !matches!(action, Action::Choice(_) | Action::ForEach(_) | Action::Fail { .. })
}
