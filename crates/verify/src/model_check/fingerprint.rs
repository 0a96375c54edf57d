//! Fingerprints of states: states with the same fingerprint have the same future.
//!
//! A fingerprint leaves out everything without consequences: times, outputs, the number of attempts of a command that has its
//! outcome, and the outcome of a step that needs no further action. Parallel branches that are alike, and items that are
//! processed concurrently, are interchangeable: their fingerprints are sorted. This is symmetry reduction as in
//! C. N. Ip and D. L. Dill, "Better verification through symmetry", 1996.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::model_check::abstraction::{Abstraction, Answers};
use crate::model_check::{Bounds, rules};
use snorri_core::definition::{Action, Block, Definition, OnLateReply, StepIndex};
use snorri_core::id::{Direction, StepPath};
use snorri_core::state::{Entered, Pending, State, StepOutcome, StepState};

/// Computes the fingerprints of the states of one definition.
#[derive(Debug)]
pub(super) struct Fingerprints {
    body: FingerprintNode,
    pivots: Vec<StepPath>,
    /// Whether a late success raises an incident.
    late_calls: bool,
    /// Whether a step that an operator skipped differs from one that completed.
    skipped_differs: bool,
    /// For each step that others are alike to, all of their names, in the order of the definition.
    alike: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

/// A block, and which of its branches are alike.
#[derive(Debug)]
enum FingerprintNode {
    Step(Leaf),
    Sequence(Vec<FingerprintNode>),
    /// Each branch with the hash of its shape.
    Parallel(Vec<(u64, FingerprintNode)>),
    Choice(Leaf, Vec<FingerprintNode>),
    /// Whether its items are processed concurrently.
    ForEach(Leaf, bool, Box<FingerprintNode>),
}

/// A step, and its properties that matter.
#[derive(Debug)]
struct Leaf {
    name: Arc<str>,
    has_compensation: bool,
    may_miss: bool,
    is_pivot: bool,
}

/// The direction of a saga, as far as it matters for the outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Course {
    Forward,
    /// It stops, but may continue because of a pivot that is under way or has just succeeded.
    Halting,
    /// It rolls back, or will once nothing is under way.
    Back,
    /// It is past its pivot and cannot roll back.
    Onward,
}

impl Fingerprints {
    pub(super) fn of(abstraction: &Abstraction, bounds: &Bounds) -> Self {
        let definition = &abstraction.definition;
        let mut alike = BTreeMap::new();
        let body = node(abstraction, &definition.body, bounds.items, &mut alike);
        let pivots = definition.steps().iter().filter(|step| step.is_pivot());
        Self {
            body,
            pivots: pivots.map(|step| StepPath::new(Arc::clone(&step.name))).collect(),
            late_calls: definition.on_late_reply == OnLateReply::Stuck,
            skipped_differs: bounds.operator.is_everywhere(),
            alike,
        }
    }

    /// The names of the step and of those that are alike to it: `reserve`, or `reserve/charge`.
    pub(super) fn called(&self, step: &str) -> String {
        self.alike.get(step).map_or_else(|| step.to_owned(), |names| names.join("/"))
    }

    /// These names for all steps that others are alike to.
    pub(super) fn alike(&self) -> BTreeMap<String, String> {
        self.alike.iter().map(|(step, names)| (step.to_string(), names.join("/"))).collect()
    }

    /// The fingerprint of a state with these answers.
    pub(super) fn take(&self, state: &State, answers: &Answers) -> u64 {
        let mut hasher = DefaultHasher::new();
        let course = self.course(state);
        // Once the saga rolls back, its own timeout has no effect.
        let overdue = state.overdue && course != Course::Back;
        let flags = [
            state.stopping.is_some(),
            state.rolling_back,
            overdue,
            state.compensation_requested.is_some(),
            state.paused.is_some(),
        ];
        let loose = state.incidents.iter().filter(|incident| incident.direction.is_none());
        let loose: BTreeSet<_> =
            loose.map(|incident| incident.step.as_ref().map(|step| self.called(step.name()))).collect();
        (course, flags, loose, answers, state.ended.as_ref().map(|end| end.status)).hash(&mut hasher);
        self.node(&self.body, state, course, &mut Vec::new()).hash(&mut hasher);
        hasher.finish()
    }

    fn course(&self, state: &State) -> Course {
        let any_pivot = |is: &dyn Fn(&StepOutcome) -> bool| {
            self.pivots.iter().any(|pivot| state.step(pivot).is_some_and(|step| is(&step.outcome)))
        };
        let is_past = || {
            any_pivot(&|outcome| matches!(outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. }))
        };
        let is_awaited = || any_pivot(&|outcome| matches!(outcome, StepOutcome::Pending(_)));
        match state.stopping {
            None if is_past() => Course::Onward,
            None => Course::Forward,
            Some(_) if is_past() || is_awaited() => Course::Halting,
            Some(_) => Course::Back,
        }
    }

    fn node(&self, node: &FingerprintNode, state: &State, course: Course, items: &mut Vec<u32>) -> u64 {
        let mut hasher = DefaultHasher::new();
        match node {
            FingerprintNode::Step(leaf) => self.leaf(leaf, state, course, items).1.hash(&mut hasher),
            FingerprintNode::Sequence(nodes) => {
                nodes.iter().for_each(|node| self.node(node, state, course, items).hash(&mut hasher));
            }
            FingerprintNode::Parallel(branches) => {
                let print =
                    |(looks, node): &(u64, FingerprintNode)| (*looks, self.node(node, state, course, items));
                let mut seen: Vec<(u64, u64)> = branches.iter().map(print).collect();
                seen.sort_unstable();
                seen.hash(&mut hasher);
            }
            FingerprintNode::Choice(leaf, branches) => {
                let (path, own) = self.leaf(leaf, state, course, items);
                own.hash(&mut hasher);
                if let Some(Entered::Branch(taken)) = state.entered.get(&path) {
                    let branch = branches.get(*taken as usize);
                    (taken, branch.map(|branch| self.node(branch, state, course, items))).hash(&mut hasher);
                }
            }
            FingerprintNode::ForEach(leaf, together, body) => {
                let (path, own) = self.leaf(leaf, state, course, items);
                own.hash(&mut hasher);
                if let Some(Entered::Items(list)) = state.entered.get(&path) {
                    let mut seen = Vec::with_capacity(list.len());
                    for (number, item) in (0..).zip(list.iter()) {
                        items.push(number);
                        // The answers of an item count only if they may differ from item to item.
                        let data =
                            item.as_object().filter(|fields| !fields.is_empty()).map(|_| item.to_string());
                        seen.push((data, self.node(body, state, course, items)));
                        items.pop();
                    }
                    if *together {
                        seen.sort_unstable();
                    }
                    seen.hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }

    fn leaf(&self, leaf: &Leaf, state: &State, course: Course, items: &[u32]) -> (StepPath, Option<Step>) {
        let path = StepPath::at(Arc::clone(&leaf.name), items);
        let step = state.step(&path).map(|step| match state.paused {
            None => self.step(leaf, step, course),
            Some(_) => whole(step),
        });
        (path, step)
    }

    fn step(&self, leaf: &Leaf, state: &StepState, course: Course) -> Step {
        const NOTHING_LEFT: u8 = 10;
        const COMPLETED: u8 = 11;
        let is_left = leaf.has_compensation && !state.is_compensated() && course != Course::Onward;
        let must_succeed = course == Course::Halting && !leaf.may_miss;
        let gave_up = matches!(state.outcome, StepOutcome::Unknown { late_output: None });
        let may_come_late = self.late_calls && gave_up && !state.succeeded_late;
        let outcome = match &state.outcome {
            StepOutcome::Pending(pending) => waits(*pending),
            StepOutcome::Completed(_) if is_left => COMPLETED,
            StepOutcome::Unknown { .. } if must_succeed && !state.skipped_by_operator => 12,
            StepOutcome::Unknown { .. } if is_left && state.skipped_by_operator && self.skipped_differs => 15,
            StepOutcome::Unknown { .. } if is_left && state.skipped_by_operator => COMPLETED,
            StepOutcome::Unknown { .. } if is_left => 13,
            StepOutcome::Failed(_) if must_succeed => 14,
            StepOutcome::Completed(_)
            | StepOutcome::Unknown { .. }
            | StepOutcome::Failed(_)
            | StepOutcome::Skipped => NOTHING_LEFT,
        };
        let tried = match &state.outcome {
            // A step of a stopping saga gets no further attempt, unless it is the pivot.
            StepOutcome::Pending(_) if course != Course::Back || leaf.is_pivot => {
                state.attempts(Direction::Forward).tried
            }
            _ => 0,
        };
        let compensation = state
            .compensation
            .as_ref()
            .and_then(|compensation| Some((waits(compensation.pending?), compensation.attempts.tried)));
        (outcome, tried, compensation, may_come_late)
    }
}

/// The part of a step's state that matters.
type Step = (u8, u32, Option<(u8, u32)>, bool);

/// The whole state of a step, for paused sagas: the consequences of its outcome may still be outstanding.
fn whole(state: &StepState) -> Step {
    let outcome = match &state.outcome {
        StepOutcome::Pending(pending) => waits(*pending),
        StepOutcome::Completed(_) => 21,
        StepOutcome::Unknown { .. } if state.skipped_by_operator => 22,
        StepOutcome::Unknown { .. } => 23,
        StepOutcome::Failed(_) if rules::is_decided(state) => 24,
        StepOutcome::Failed(_) => 25,
        StepOutcome::Skipped => 26,
    };
    const COMPENSATED: u8 = 30;
    let compensation = state
        .compensation
        .as_ref()
        .map(|compensation| (compensation.pending.map_or(COMPENSATED, waits), compensation.attempts.tried));
    (outcome, state.forward.tried, compensation, state.succeeded_late)
}

/// The hash of a value.
pub(super) fn of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The hash of the part of a step's state that a repetition of its messages may depend on.
pub(super) fn of_step(state: &StepState) -> u64 {
    let compensation = state.compensation.as_ref().map(|compensation| compensation.pending.map(waits));
    of(&(std::mem::discriminant(&state.outcome), state.skipped_by_operator, compensation))
}

fn waits(pending: Pending) -> u8 {
    match pending {
        Pending::Reply { .. } => 1,
        Pending::Retry { .. } => 2,
        Pending::ReceivedEvent { .. } => 3,
        Pending::Sleep { .. } => 4,
        Pending::Child => 5,
        Pending::Operator => 6,
        Pending::Route { .. } => 7,
    }
}

fn node(
    abstraction: &Abstraction,
    block: &Block,
    most_items: u32,
    alike: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>,
) -> FingerprintNode {
    let leaf = |index: &StepIndex| {
        let step = abstraction.definition.step_at(*index);
        let (has_compensation, may_miss, is_pivot) =
            (step.has_compensation(), step.may_miss(), step.is_pivot());
        Leaf { name: Arc::clone(&step.name), has_compensation, may_miss, is_pivot }
    };
    let mut all = |blocks: &[Block]| -> Vec<FingerprintNode> {
        blocks.iter().map(|block| node(abstraction, block, most_items, alike)).collect()
    };
    match block {
        Block::Step(index) => FingerprintNode::Step(leaf(index)),
        Block::Sequence(blocks) => FingerprintNode::Sequence(all(blocks)),
        Block::Choice(index, branches) => FingerprintNode::Choice(leaf(index), all(branches)),
        Block::ForEach(index, body) => {
            let Action::ForEach(each) = &abstraction.definition.step_at(*index).action else {
                return FingerprintNode::Step(leaf(index));
            };
            let body = node(abstraction, body, most_items, alike);
            FingerprintNode::ForEach(leaf(index), each.concurrency >= most_items, Box::new(body))
        }
        Block::Parallel(branches) => {
            let nodes = all(branches);
            let looks: Vec<u64> = branches.iter().map(|branch| looks(abstraction, branch)).collect();
            for (at, one) in looks.iter().enumerate() {
                let first = looks.iter().position(|other| other == one).unwrap_or(at);
                if first != at {
                    pair(&nodes[first], &nodes[at], alike);
                }
            }
            FingerprintNode::Parallel(looks.into_iter().zip(nodes).collect())
        }
    }
}

/// Gives the steps of two nodes of the same shape a common name.
fn pair(first: &FingerprintNode, other: &FingerprintNode, alike: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>) {
    let mut names = (Vec::new(), Vec::new());
    names_in(first, &mut names.0);
    names_in(other, &mut names.1);
    for (first, other) in names.0.into_iter().zip(names.1) {
        let mut all = alike.get(&first).cloned().unwrap_or_else(|| vec![Arc::clone(&first)]);
        let others = alike.get(&other).cloned().unwrap_or_else(|| vec![other]);
        all.extend(others.into_iter().filter(|other| !all.contains(other)).collect::<Vec<_>>());
        for name in all.clone() {
            alike.insert(name, all.clone());
        }
    }
}

fn names_in(node: &FingerprintNode, names: &mut Vec<Arc<str>>) {
    match node {
        FingerprintNode::Step(leaf) => names.push(Arc::clone(&leaf.name)),
        FingerprintNode::Sequence(nodes) => nodes.iter().for_each(|node| names_in(node, names)),
        FingerprintNode::Parallel(branches) => branches.iter().for_each(|(_, node)| names_in(node, names)),
        FingerprintNode::Choice(leaf, branches) => {
            names.push(Arc::clone(&leaf.name));
            branches.iter().for_each(|node| names_in(node, names));
        }
        FingerprintNode::ForEach(leaf, _, body) => {
            names.push(Arc::clone(&leaf.name));
            names_in(body, names);
        }
    }
}

/// The hash of the shape of a block: blocks that differ only in names have the same one.
fn looks(abstraction: &Abstraction, block: &Block) -> u64 {
    let mut hasher = DefaultHasher::new();
    match block {
        Block::Step(index) => own_looks(abstraction, *index).hash(&mut hasher),
        Block::Sequence(blocks) => {
            0_u8.hash(&mut hasher);
            blocks.iter().for_each(|block| looks(abstraction, block).hash(&mut hasher));
        }
        Block::Parallel(branches) => {
            let all: Vec<_> = branches.iter().map(|branch| looks(abstraction, branch)).collect();
            (1_u8, all).hash(&mut hasher);
        }
        Block::Choice(index, branches) => {
            let all: Vec<_> = branches.iter().map(|branch| looks(abstraction, branch)).collect();
            (2_u8, own_looks(abstraction, *index), all).hash(&mut hasher);
        }
        // Each `for_each` has a list of its own, which is a separate question.
        Block::ForEach(index, _) => (3_u8, index.0).hash(&mut hasher),
    }
    hasher.finish()
}

fn own_looks(abstraction: &Abstraction, index: StepIndex) -> u64 {
    let mut hasher = DefaultHasher::new();
    let definition: &Definition = &abstraction.definition;
    let step = definition.step_at(index);
    let conditions: Vec<_> = abstraction.conditions_of(index).collect();
    (step.is_pivot(), step.optional, step.has_compensation(), step.action.kind(), &conditions)
        .hash(&mut hasher);
    match &step.action {
        Action::Command(command) => {
            let attempts = |direction| step.command(direction).map(|command| command.retry.attempts);
            (attempts(Direction::Forward), attempts(Direction::Compensate)).hash(&mut hasher);
            std::mem::discriminant(&command.on_timeout).hash(&mut hasher);
        }
        // An event is received by the first step that waits for it: two waits are never alike.
        Action::Wait(_) => index.0.hash(&mut hasher),
        Action::Child(child) => (&child.definition, child.version).hash(&mut hasher),
        Action::Choice(_)
        | Action::ForEach(_)
        | Action::Sleep(_)
        | Action::Publish(_)
        | Action::Fail { .. } => {}
    }
    // A condition on an item is no question of its own, so its text counts.
    if let Some(when) = step.when.as_ref().filter(|_| !step.within.is_empty()) {
        when.source().hash(&mut hasher);
    }
    if let Action::Choice(conditions) = &step.action {
        conditions.iter().for_each(|condition| condition.source().hash(&mut hasher));
    }
    hasher.finish()
}
