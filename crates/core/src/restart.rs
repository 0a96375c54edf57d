//! What a new saga takes over from one that has ended, to run again from a given step.

use super::definition::{Action, Block, Definition, Step, StepIndex};
use super::id::{Direction, StepPath};
use super::journal::{Fact, Inherited, Problem, ProblemCode, SkipReason};
use super::state::{Entered, State, StepOutcome, StepState};

/// Why a saga cannot be restarted from a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRestart {
    #[error("the saga has not ended: wait for its end, or resolve its incident")]
    NotEnded,
    #[error("the saga has no step `{0}`")]
    NoSuchStep(String),
    #[error("`{0}` stands within a block: choose the block, or a step outside of it")]
    WithinBlock(String),
    #[error("`{0}` comes before it and did not succeed")]
    NotConcluded(StepPath),
    #[error("`{0}` comes before it and was compensated")]
    AlreadyCompensated(StepPath),
    #[error(
        "`{0}` comes before it and is a saga of its own, which only the saga that it is part of can compensate"
    )]
    OwnsChild(StepPath),
}

impl CannotRestart {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEnded => "not_ended",
            Self::NoSuchStep(_) => "no_such_step",
            Self::WithinBlock(_) => "within_block",
            Self::NotConcluded(_) => "not_concluded",
            Self::AlreadyCompensated(_) => "step_compensated",
            Self::OwnsChild(_) => "child_not_inherited",
        }
    }
}

/// What a saga that begins at `from`, a step of the outermost sequence, takes over from the one in `state`.
pub fn carry(definition: &Definition, state: &State, from: &str) -> Result<Inherited, CannotRestart> {
    if state.ended.is_none() {
        return Err(CannotRestart::NotEnded);
    }
    let wanted = definition.index_of(from).ok_or_else(|| CannotRestart::NoSuchStep(from.to_owned()))?;
    let Block::Sequence(blocks) = &definition.body else {
        return Err(CannotRestart::WithinBlock(from.to_owned()));
    };
    let position = blocks
        .iter()
        .position(|block| begins_with(block, wanted))
        .ok_or_else(|| CannotRestart::WithinBlock(from.to_owned()))?;
    let mut carrying = Carrying { definition, state, items: Vec::new(), facts: Vec::new() };
    for block in &blocks[..position] {
        carrying.block(block)?;
    }
    Ok(Inherited { saga: state.id, from: from.to_owned(), facts: carrying.facts })
}

/// The steps that a restart from `from` would execute again although they completed and were not compensated. Their commands
/// get other message ids in the new saga, so that participants do not recognise the repetition.
pub fn repeated(definition: &Definition, state: &State, from: &str) -> Vec<StepPath> {
    let Block::Sequence(blocks) = &definition.body else { return Vec::new() };
    let Some(wanted) = definition.index_of(from) else { return Vec::new() };
    let mut again = Vec::new();
    for block in blocks.iter().skip_while(|block| !begins_with(block, wanted)) {
        collect(block, &mut again);
    }
    let mut repeated: Vec<StepPath> = Vec::new();
    for (path, step) in &state.steps {
        let Some(index) = definition.index_of(path.name()).filter(|index| again.contains(index)) else {
            continue;
        };
        let acts = matches!(
            definition.step_at(index).action,
            Action::Command(_) | Action::Child(_) | Action::Publish(_)
        );
        let was_compensated =
            step.compensation.as_ref().is_some_and(|compensation| compensation.pending.is_none());
        if acts && matches!(step.outcome, StepOutcome::Completed(_)) && !was_compensated {
            repeated.push(path.clone());
        }
    }
    repeated.sort_by_key(|path| (definition.index_of(path.name()), path.items().to_vec()));
    repeated
}

/// The steps of a block.
fn collect(block: &Block, steps: &mut Vec<StepIndex>) {
    match block {
        Block::Step(index) => steps.push(*index),
        Block::Sequence(blocks) | Block::Parallel(blocks) => {
            blocks.iter().for_each(|block| collect(block, steps));
        }
        Block::Choice(index, branches) => {
            steps.push(*index);
            branches.iter().for_each(|block| collect(block, steps));
        }
        Block::ForEach(index, body) => {
            steps.push(*index);
            collect(body, steps);
        }
    }
}

fn begins_with(block: &Block, step: StepIndex) -> bool {
    match block {
        Block::Step(index) | Block::Choice(index, _) | Block::ForEach(index, _) => *index == step,
        Block::Sequence(_) | Block::Parallel(_) => false,
    }
}

/// A walk over the executed steps of a saga.
struct Carrying<'a> {
    definition: &'a Definition,
    state: &'a State,
    /// The items around the walk, one for each `for_each`.
    items: Vec<u32>,
    facts: Vec<Fact>,
}

impl Carrying<'_> {
    fn block(&mut self, block: &Block) -> Result<(), CannotRestart> {
        match block {
            Block::Step(index) => self.step(*index),
            Block::Sequence(blocks) | Block::Parallel(blocks) => {
                blocks.iter().try_for_each(|block| self.block(block))
            }
            Block::Choice(index, branches) => {
                let path = self.path(*index);
                let Some(Entered::Branch(branch)) = self.state.entered.get(&path) else {
                    return self.step(*index);
                };
                self.facts.push(Fact::BranchSelected { step: path, branch: *branch });
                branches.get(*branch as usize).map_or(Ok(()), |branch| self.block(branch))
            }
            Block::ForEach(index, body) => {
                let path = self.path(*index);
                let Some(Entered::Items(items)) = self.state.entered.get(&path) else {
                    return self.step(*index);
                };
                self.facts.push(Fact::ItemsExpanded { step: path, items: items.clone() });
                for item in 0..u32::try_from(items.len()).unwrap_or(u32::MAX) {
                    self.items.push(item);
                    let inherited = self.block(body);
                    self.items.pop();
                    inherited?;
                }
                self.step(*index)
            }
        }
    }

    fn step(&mut self, index: StepIndex) -> Result<(), CannotRestart> {
        let step = self.definition.step_at(index);
        let path = self.path(index);
        let Some(state) = self.state.step(&path) else { return Err(CannotRestart::NotConcluded(path)) };
        if step.optional && state.is_compensated() {
            let problem =
                Problem::new(ProblemCode::Timeout, "unknown, and compensated before the saga continued");
            self.facts.push(Fact::Failed { step: path, problem });
            return Ok(());
        }
        if state.compensation.is_some() {
            return Err(CannotRestart::AlreadyCompensated(path));
        }
        let happened = matches!(state.outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. });
        if happened && matches!(&step.action, Action::Child(child) if child.compensated) {
            return Err(CannotRestart::OwnsChild(path));
        }
        self.facts.push(concluded(step, state, path)?);
        if let StepOutcome::Unknown { late_output: Some(output) } = &state.outcome {
            self.facts.push(Fact::LateReply { step: self.path(index), output: output.clone() });
        }
        Ok(())
    }

    fn path(&self, index: StepIndex) -> StepPath {
        StepPath::at(self.definition.step_at(index).name.clone(), &self.items)
    }
}

/// The outcome of a step, if the saga could continue from there.
fn concluded(step: &Step, state: &StepState, path: StepPath) -> Result<Fact, CannotRestart> {
    Ok(match &state.outcome {
        StepOutcome::Completed(output) => Fact::Completed { step: path, output: output.clone() },
        StepOutcome::Skipped => {
            Fact::Skipped { step: path, direction: Direction::Forward, reason: SkipReason::Condition }
        }
        StepOutcome::Failed(problem) if step.may_miss() => {
            Fact::Failed { step: path, problem: problem.clone() }
        }
        StepOutcome::Unknown { .. } if state.skipped_by_operator => {
            Fact::Skipped { step: path, direction: Direction::Forward, reason: SkipReason::Operator }
        }
        StepOutcome::Unknown { .. } if step.may_miss() => {
            let problem = Problem::new(ProblemCode::Timeout, "the original saga did not know");
            Fact::Unknown { step: path, problem }
        }
        _ => return Err(CannotRestart::NotConcluded(path)),
    })
}
