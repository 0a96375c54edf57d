//! Which states are the same for what is to come.
//!
//! A fingerprint leaves out what nothing follows from: times, outputs, how many attempts a command took that has its
//! outcome, and what became of a step that nothing is left to be done about. Parallel branches that are alike, and items
//! that are under way together, may change places: their fingerprints are sorted. This is symmetry reduction as in
//! C. N. Ip and D. L. Dill, "Better verification through symmetry", 1996.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::skeleton::{Answers, Skeleton};
use super::{Bounds, rules};
use crate::saga::definition::{Action, Block, Definition, OnLateReply, StepIndex};
use crate::saga::id::{Direction, StepPath};
use crate::saga::state::{Entered, Outcome, Pending, State, StepState};

/// What takes fingerprints of the states of one definition.
#[derive(Debug)]
pub(super) struct Fingerprints {
    body: Node,
    pivots: Vec<StepPath>,
    /// Whether a success that comes too late calls an operator.
    late_calls: bool,
    /// Whether a step that an operator skipped is another one than one that completed.
    tells_skipped: bool,
    /// For a step that others are alike to, all of their names, the first in reading order first.
    alike: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

/// A block, and which of its branches are alike.
#[derive(Debug)]
enum Node {
    Step(Leaf),
    Sequence(Vec<Node>),
    /// Each branch with what it looks like.
    Parallel(Vec<(u64, Node)>),
    Choice(Leaf, Vec<Node>),
    /// Whether its items are under way together.
    ForEach(Leaf, bool, Box<Node>),
}

/// A step, and what of it matters.
#[derive(Debug)]
struct Leaf {
    name: Arc<str>,
    has_undo: bool,
    may_miss: bool,
    is_pivot: bool,
}

/// Which way a saga goes, as far as it matters for what becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Course {
    Forward,
    /// It stops, and a pivot that is under way, or has just succeeded, may have it go on.
    Halting,
    /// It turns back, or will once nothing is under way.
    Back,
    /// There is no way back any more.
    Onward,
}

impl Fingerprints {
    pub(super) fn of(skeleton: &Skeleton, bounds: &Bounds) -> Self {
        let definition = &skeleton.definition;
        let mut alike = BTreeMap::new();
        let body = node(skeleton, &definition.body, bounds.items, &mut alike);
        let pivots = definition.steps().iter().filter(|step| step.is_pivot());
        Self {
            body,
            pivots: pivots.map(|step| StepPath::new(Arc::clone(&step.name))).collect(),
            late_calls: definition.on_late_reply == OnLateReply::Stuck,
            tells_skipped: bounds.operator.is_everywhere(),
            alike,
        }
    }

    /// The step and those that are alike to it, in one word: `reserve`, or `reserve/charge`.
    pub(super) fn called(&self, step: &str) -> String {
        self.alike.get(step).map_or_else(|| step.to_owned(), |names| names.join("/"))
    }

    /// The same for all steps that have others like them.
    pub(super) fn alike(&self) -> BTreeMap<String, String> {
        self.alike.iter().map(|(step, names)| (step.to_string(), names.join("/"))).collect()
    }

    /// The fingerprint of a state with these answers.
    pub(super) fn take(&self, state: &State, answers: &Answers) -> u64 {
        let mut hasher = DefaultHasher::new();
        let course = self.course(state);
        // Once it turns back, its own timeout means nothing.
        let overdue = state.overdue && course != Course::Back;
        let flags = [
            state.stopping.is_some(),
            state.rolling_back,
            overdue,
            state.undo_asked.is_some(),
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
        let any_pivot = |is: &dyn Fn(&Outcome) -> bool| {
            self.pivots.iter().any(|pivot| state.step(pivot).is_some_and(|step| is(&step.outcome)))
        };
        let is_past =
            || any_pivot(&|outcome| matches!(outcome, Outcome::Completed(_) | Outcome::Unknown { .. }));
        let is_awaited = || any_pivot(&|outcome| matches!(outcome, Outcome::Pending(_)));
        match state.stopping {
            None if is_past() => Course::Onward,
            None => Course::Forward,
            Some(_) if is_past() || is_awaited() => Course::Halting,
            Some(_) => Course::Back,
        }
    }

    fn node(&self, node: &Node, state: &State, course: Course, items: &mut Vec<u32>) -> u64 {
        let mut hasher = DefaultHasher::new();
        match node {
            Node::Step(leaf) => self.leaf(leaf, state, course, items).1.hash(&mut hasher),
            Node::Sequence(nodes) => {
                nodes.iter().for_each(|node| self.node(node, state, course, items).hash(&mut hasher));
            }
            Node::Parallel(branches) => {
                let print = |(looks, node): &(u64, Node)| (*looks, self.node(node, state, course, items));
                let mut seen: Vec<(u64, u64)> = branches.iter().map(print).collect();
                seen.sort_unstable();
                seen.hash(&mut hasher);
            }
            Node::Choice(leaf, branches) => {
                let (path, own) = self.leaf(leaf, state, course, items);
                own.hash(&mut hasher);
                if let Some(Entered::Branch(taken)) = state.entered.get(&path) {
                    let branch = branches.get(*taken as usize);
                    (taken, branch.map(|branch| self.node(branch, state, course, items))).hash(&mut hasher);
                }
            }
            Node::ForEach(leaf, together, body) => {
                let (path, own) = self.leaf(leaf, state, course, items);
                own.hash(&mut hasher);
                if let Some(Entered::Items(list)) = state.entered.get(&path) {
                    let mut seen = Vec::with_capacity(list.len());
                    for (number, item) in (0..).zip(list.iter()) {
                        items.push(number);
                        // What is true of an item counts only where it may differ from item to item.
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
        let is_left = leaf.has_undo && !state.is_undone() && course != Course::Onward;
        let must_succeed = course == Course::Halting && !leaf.may_miss;
        let gave_up = matches!(state.outcome, Outcome::Unknown { late_output: None });
        let may_come_late = self.late_calls && gave_up && !state.succeeded_late;
        let outcome = match &state.outcome {
            Outcome::Pending(pending) => waits(*pending),
            Outcome::Completed(_) if is_left => COMPLETED,
            Outcome::Unknown { .. } if must_succeed && !state.passed_over => 12,
            Outcome::Unknown { .. } if is_left && state.passed_over && self.tells_skipped => 15,
            Outcome::Unknown { .. } if is_left && state.passed_over => COMPLETED,
            Outcome::Unknown { .. } if is_left => 13,
            Outcome::Failed(_) if must_succeed => 14,
            Outcome::Completed(_) | Outcome::Unknown { .. } | Outcome::Failed(_) | Outcome::Omitted => {
                NOTHING_LEFT
            }
        };
        let tried = match &state.outcome {
            // A step that is stopped gets no further attempt, unless it is the pivot.
            Outcome::Pending(_) if course != Course::Back || leaf.is_pivot => {
                state.attempts(Direction::Forward).tried
            }
            _ => 0,
        };
        let undo = state.undo.as_ref().and_then(|undo| Some((waits(undo.pending?), undo.attempts.tried)));
        (outcome, tried, undo, may_come_late)
    }
}

/// What matters of a step's state.
type Step = (u8, u32, Option<(u8, u32)>, bool);

/// All that may matter of a step: what follows from its outcome may not have been done yet.
fn whole(state: &StepState) -> Step {
    let outcome = match &state.outcome {
        Outcome::Pending(pending) => waits(*pending),
        Outcome::Completed(_) => 21,
        Outcome::Unknown { .. } if state.passed_over => 22,
        Outcome::Unknown { .. } => 23,
        Outcome::Failed(_) if rules::is_decided(state) => 24,
        Outcome::Failed(_) => 25,
        Outcome::Omitted => 26,
    };
    const UNDONE: u8 = 30;
    let undo = state.undo.as_ref().map(|undo| (undo.pending.map_or(UNDONE, waits), undo.attempts.tried));
    (outcome, state.forward.tried, undo, state.succeeded_late)
}

/// The fingerprint of anything.
pub(super) fn of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a repetition of one step's messages may depend on.
pub(super) fn of_step(state: &StepState) -> u64 {
    let undo = state.undo.as_ref().map(|undo| undo.pending.map(waits));
    of(&(std::mem::discriminant(&state.outcome), state.passed_over, undo))
}

fn waits(pending: Pending) -> u8 {
    match pending {
        Pending::Reply { .. } => 1,
        Pending::Backoff { .. } => 2,
        Pending::Arrival { .. } => 3,
        Pending::Sleep { .. } => 4,
        Pending::Child => 5,
        Pending::Operator => 6,
        Pending::Route { .. } => 7,
    }
}

fn node(
    skeleton: &Skeleton,
    block: &Block,
    most_items: u32,
    alike: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>,
) -> Node {
    let leaf = |index: &StepIndex| {
        let step = skeleton.definition.step_at(*index);
        let (has_undo, may_miss, is_pivot) = (step.has_undo(), step.may_miss(), step.is_pivot());
        Leaf { name: Arc::clone(&step.name), has_undo, may_miss, is_pivot }
    };
    let mut all = |blocks: &[Block]| -> Vec<Node> {
        blocks.iter().map(|block| node(skeleton, block, most_items, alike)).collect()
    };
    match block {
        Block::Step(index) => Node::Step(leaf(index)),
        Block::Sequence(blocks) => Node::Sequence(all(blocks)),
        Block::Choice(index, branches) => Node::Choice(leaf(index), all(branches)),
        Block::ForEach(index, body) => {
            let Action::ForEach(each) = &skeleton.definition.step_at(*index).action else {
                return Node::Step(leaf(index));
            };
            let body = node(skeleton, body, most_items, alike);
            Node::ForEach(leaf(index), each.concurrency >= most_items, Box::new(body))
        }
        Block::Parallel(branches) => {
            let nodes = all(branches);
            let looks: Vec<u64> = branches.iter().map(|branch| looks(skeleton, branch)).collect();
            for (at, one) in looks.iter().enumerate() {
                let first = looks.iter().position(|other| other == one).unwrap_or(at);
                if first != at {
                    pair(&nodes[first], &nodes[at], alike);
                }
            }
            Node::Parallel(looks.into_iter().zip(nodes).collect())
        }
    }
}

/// Has the steps of two nodes that look the same be called together.
fn pair(first: &Node, other: &Node, alike: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>) {
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

fn names_in(node: &Node, names: &mut Vec<Arc<str>>) {
    match node {
        Node::Step(leaf) => names.push(Arc::clone(&leaf.name)),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| names_in(node, names)),
        Node::Parallel(branches) => branches.iter().for_each(|(_, node)| names_in(node, names)),
        Node::Choice(leaf, branches) => {
            names.push(Arc::clone(&leaf.name));
            branches.iter().for_each(|node| names_in(node, names));
        }
        Node::ForEach(leaf, _, body) => {
            names.push(Arc::clone(&leaf.name));
            names_in(body, names);
        }
    }
}

/// The same for two blocks that differ in names alone.
fn looks(skeleton: &Skeleton, block: &Block) -> u64 {
    let mut hasher = DefaultHasher::new();
    match block {
        Block::Step(index) => own_looks(skeleton, *index).hash(&mut hasher),
        Block::Sequence(blocks) => {
            0_u8.hash(&mut hasher);
            blocks.iter().for_each(|block| looks(skeleton, block).hash(&mut hasher));
        }
        Block::Parallel(branches) => {
            let all: Vec<_> = branches.iter().map(|branch| looks(skeleton, branch)).collect();
            (1_u8, all).hash(&mut hasher);
        }
        Block::Choice(index, branches) => {
            let all: Vec<_> = branches.iter().map(|branch| looks(skeleton, branch)).collect();
            (2_u8, own_looks(skeleton, *index), all).hash(&mut hasher);
        }
        // Each has a list of its own, which is a question of its own.
        Block::ForEach(index, _) => (3_u8, index.0).hash(&mut hasher),
    }
    hasher.finish()
}

fn own_looks(skeleton: &Skeleton, index: StepIndex) -> u64 {
    let mut hasher = DefaultHasher::new();
    let definition: &Definition = &skeleton.definition;
    let step = definition.step_at(index);
    let conditions: Vec<_> = skeleton.conditions_of(index).collect();
    (step.is_pivot(), step.optional, step.has_undo(), step.action.kind(), &conditions).hash(&mut hasher);
    match &step.action {
        Action::Command(command) => {
            let attempts = |direction| step.command(direction).map(|command| command.retry.attempts);
            (attempts(Direction::Forward), attempts(Direction::Compensate)).hash(&mut hasher);
            std::mem::discriminant(&command.on_timeout).hash(&mut hasher);
        }
        // What arrives goes to the first that waits for it: two waits are never alike.
        Action::Wait(_) => index.0.hash(&mut hasher),
        Action::Child(child) => (&child.definition, child.version).hash(&mut hasher),
        Action::Choice(_)
        | Action::ForEach(_)
        | Action::Sleep(_)
        | Action::Publish(_)
        | Action::Fail { .. } => {}
    }
    // What an item decides is in the condition itself.
    if let Some(when) = step.when.as_ref().filter(|_| !step.within.is_empty()) {
        when.source().hash(&mut hasher);
    }
    if let Action::Choice(conditions) = &step.action {
        conditions.iter().for_each(|condition| condition.source().hash(&mut hasher));
    }
    hasher.finish()
}
