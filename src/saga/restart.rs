//! What a new saga takes over from one that has ended, to run again from a chosen step.

use super::definition::{Action, Block, Definition, Step, StepIndex};
use super::id::{Direction, StepPath};
use super::journal::{Carried, Fact, Problem, Reason};
use super::state::{Entered, Outcome, State, StepState};

/// Why no saga can go on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRestart {
    #[error("the saga has not ended: it goes on by itself, or waits for an operator")]
    NotEnded,
    #[error("the saga has no step `{0}`")]
    NoSuchStep(String),
    #[error("`{0}` stands within a block: choose the block, or a step outside of it")]
    WithinBlock(String),
    #[error("`{0}` comes before it and did not succeed")]
    NotConcluded(StepPath),
    #[error("`{0}` comes before it and was undone")]
    Undone(StepPath),
    #[error(
        "`{0}` comes before it and is a saga of its own, which only the saga that it is part of can undo"
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
            Self::Undone(_) => "already_undone",
            Self::OwnsChild(_) => "child_not_carried",
        }
    }
}

/// What a saga that begins at `from`, a step of the outermost sequence, takes over from the one in `state`.
pub fn carry(definition: &Definition, state: &State, from: &str) -> Result<Carried, CannotRestart> {
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
    Ok(Carried { saga: state.id, from: from.to_owned(), facts: carrying.facts })
}

/// The steps that a restart from `from` would do again although they completed and were not undone. Their commands get other
/// message ids in the new saga, so that participants do not recognise the repetition.
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
        let was_undone = step.undo.as_ref().is_some_and(|undo| undo.pending.is_none());
        if acts && matches!(step.outcome, Outcome::Completed(_)) && !was_undone {
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

/// A walk over what a saga has done.
struct Carrying<'a> {
    definition: &'a Definition,
    state: &'a State,
    /// The items that the walk is in, one for each `for_each` around.
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
                self.facts.push(Fact::Chosen { step: path, branch: *branch });
                branches.get(*branch as usize).map_or(Ok(()), |branch| self.block(branch))
            }
            Block::ForEach(index, body) => {
                let path = self.path(*index);
                let Some(Entered::Items(items)) = self.state.entered.get(&path) else {
                    return self.step(*index);
                };
                self.facts.push(Fact::FannedOut { step: path, items: items.clone() });
                for item in 0..u32::try_from(items.len()).unwrap_or(u32::MAX) {
                    self.items.push(item);
                    let carried = self.block(body);
                    self.items.pop();
                    carried?;
                }
                self.step(*index)
            }
        }
    }

    fn step(&mut self, index: StepIndex) -> Result<(), CannotRestart> {
        let step = self.definition.step_at(index);
        let path = self.path(index);
        let Some(state) = self.state.step(&path) else { return Err(CannotRestart::NotConcluded(path)) };
        if step.optional && state.is_undone() {
            let problem =
                Problem::new(Reason::Timeout, "it was unknown, and compensated before the saga went on");
            self.facts.push(Fact::Failed { step: path, problem });
            return Ok(());
        }
        if state.undo.is_some() {
            return Err(CannotRestart::Undone(path));
        }
        let happened = matches!(state.outcome, Outcome::Completed(_) | Outcome::Unknown { .. });
        if happened && matches!(&step.action, Action::Child(child) if child.undone) {
            return Err(CannotRestart::OwnsChild(path));
        }
        self.facts.push(concluded(step, state, path)?);
        if let Outcome::Unknown { late_output: Some(output) } = &state.outcome {
            self.facts.push(Fact::LateReply { step: self.path(index), output: output.clone() });
        }
        Ok(())
    }

    fn path(&self, index: StepIndex) -> StepPath {
        StepPath::at(self.definition.step_at(index).name.clone(), &self.items)
    }
}

/// What became of a step, if the saga could go on from there.
fn concluded(step: &Step, state: &StepState, path: StepPath) -> Result<Fact, CannotRestart> {
    Ok(match &state.outcome {
        Outcome::Completed(output) => Fact::Completed { step: path, output: output.clone() },
        Outcome::Omitted => Fact::Omitted { step: path },
        Outcome::Failed(problem) if step.may_miss() => Fact::Failed { step: path, problem: problem.clone() },
        Outcome::Unknown { .. } if state.passed_over => {
            Fact::Skipped { step: path, direction: Direction::Forward }
        }
        Outcome::Unknown { .. } if step.may_miss() => {
            let problem = Problem::new(Reason::Timeout, "the original saga did not know");
            Fact::Unknown { step: path, problem }
        }
        _ => return Err(CannotRestart::NotConcluded(path)),
    })
}
