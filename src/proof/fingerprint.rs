//! Which states are the same for what is to come.
//!
//! A fingerprint leaves out what nothing follows from: times, outputs, how many attempts a command took that has its
//! outcome. Parallel branches that are alike, and items that are under way together, may change places: their fingerprints are
//! sorted. This is symmetry reduction as in C. N. Ip and D. L. Dill, "Better verification through symmetry", 1996.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::skeleton::{Answers, Skeleton};
use crate::saga::definition::{Action, Block, Definition, StepIndex};
use crate::saga::id::{Direction, StepPath};
use crate::saga::state::{Entered, Outcome, Pending, State, StepState};

/// What takes fingerprints of the states of one definition.
#[derive(Debug)]
pub(super) struct Fingerprints {
    body: Node,
    /// For a step that others are alike to, all of their names, the first in reading order first.
    alike: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

/// A block, and which of its branches are alike.
#[derive(Debug)]
enum Node {
    Step(Arc<str>),
    Sequence(Vec<Node>),
    /// Each branch with what it looks like.
    Parallel(Vec<(u64, Node)>),
    Choice(Arc<str>, Vec<Node>),
    /// Whether its items are under way together.
    ForEach(Arc<str>, bool, Box<Node>),
}

impl Fingerprints {
    pub(super) fn of(skeleton: &Skeleton, most_items: u32) -> Self {
        let mut alike = BTreeMap::new();
        let body = node(skeleton, &skeleton.definition.body, most_items, &mut alike);
        Self { body, alike }
    }

    /// The step and those that are alike to it, in one word: `reserve`, or `reserve/charge`.
    pub(super) fn called(&self, step: &str) -> String {
        match self.alike.get(step) {
            Some(names) => names.join("/"),
            None => step.to_owned(),
        }
    }

    /// The fingerprint of a state with these answers.
    pub(super) fn take(&self, state: &State, answers: &Answers) -> u64 {
        let mut hasher = DefaultHasher::new();
        let has_loose = state.incidents.iter().any(|incident| incident.direction.is_none());
        let flags = [
            state.stopping.is_some(),
            state.rolling_back,
            state.overdue,
            state.undo_asked.is_some(),
            has_loose,
        ];
        (flags, answers, state.ended.as_ref().map(|end| end.status)).hash(&mut hasher);
        self.node(&self.body, state, &mut Vec::new()).hash(&mut hasher);
        hasher.finish()
    }

    fn node(&self, node: &Node, state: &State, items: &mut Vec<u32>) -> u64 {
        let mut hasher = DefaultHasher::new();
        match node {
            Node::Step(name) => step(state.step(&StepPath::at(Arc::clone(name), items))).hash(&mut hasher),
            Node::Sequence(nodes) => {
                nodes.iter().for_each(|node| self.node(node, state, items).hash(&mut hasher));
            }
            Node::Parallel(branches) => {
                let mut seen: Vec<(u64, u64)> =
                    branches.iter().map(|(looks, node)| (*looks, self.node(node, state, items))).collect();
                seen.sort_unstable();
                seen.hash(&mut hasher);
            }
            Node::Choice(name, branches) => {
                let path = StepPath::at(Arc::clone(name), items);
                step(state.step(&path)).hash(&mut hasher);
                if let Some(Entered::Branch(taken)) = state.entered.get(&path) {
                    taken.hash(&mut hasher);
                    let branch = branches.get(*taken as usize);
                    branch.map(|branch| self.node(branch, state, items)).hash(&mut hasher);
                }
            }
            Node::ForEach(name, together, body) => {
                let path = StepPath::at(Arc::clone(name), items);
                step(state.step(&path)).hash(&mut hasher);
                if let Some(Entered::Items(list)) = state.entered.get(&path) {
                    let mut seen = Vec::with_capacity(list.len());
                    for (number, item) in (0..).zip(list.iter()) {
                        items.push(number);
                        // What is true of an item counts only where it may differ from item to item.
                        let data =
                            item.as_object().filter(|fields| !fields.is_empty()).map(|_| item.to_string());
                        seen.push((data, self.node(body, state, items)));
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
}

/// The fingerprint of anything.
pub(super) fn of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What matters of a step's state.
pub(super) fn step(state: Option<&StepState>) -> Option<(u8, u32, Option<(u8, u32)>)> {
    let state = state?;
    let outcome = match &state.outcome {
        Outcome::Pending(pending) => waits(*pending),
        Outcome::Completed(_) => 10,
        Outcome::Failed(_) => 11,
        Outcome::Unknown { late_output: None } => 12,
        Outcome::Unknown { late_output: Some(_) } => 13,
        Outcome::Omitted => 14,
    };
    let tried = match &state.outcome {
        Outcome::Pending(_) => state.attempts(Direction::Forward).tried,
        _ => 0,
    };
    let undo = state.undo.as_ref().map(|undo| match undo.pending {
        Some(pending) => (waits(pending), undo.attempts.tried),
        None => (20, 0),
    });
    Some((outcome, tried, undo))
}

fn waits(pending: Pending) -> u8 {
    match pending {
        Pending::Reply { .. } => 1,
        Pending::Backoff { .. } => 2,
        Pending::Arrival { .. } => 3,
        Pending::Sleep { .. } => 4,
        Pending::Child => 5,
        Pending::Operator => 6,
    }
}

fn node(
    skeleton: &Skeleton,
    block: &Block,
    most_items: u32,
    alike: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>,
) -> Node {
    let name = |index: &StepIndex| Arc::clone(&skeleton.definition.step_at(*index).name);
    let mut all = |blocks: &[Block]| -> Vec<Node> {
        blocks.iter().map(|block| node(skeleton, block, most_items, alike)).collect()
    };
    match block {
        Block::Step(index) => Node::Step(name(index)),
        Block::Sequence(blocks) => Node::Sequence(all(blocks)),
        Block::Choice(index, branches) => Node::Choice(name(index), all(branches)),
        Block::ForEach(index, body) => {
            let Action::ForEach(each) = &skeleton.definition.step_at(*index).action else {
                return Node::Step(name(index));
            };
            let body = node(skeleton, body, most_items, alike);
            Node::ForEach(name(index), each.concurrency >= most_items, Box::new(body))
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
        Node::Step(name) => names.push(Arc::clone(name)),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| names_in(node, names)),
        Node::Parallel(branches) => branches.iter().for_each(|(_, node)| names_in(node, names)),
        Node::Choice(name, branches) => {
            names.push(Arc::clone(name));
            branches.iter().for_each(|node| names_in(node, names));
        }
        Node::ForEach(name, _, body) => {
            names.push(Arc::clone(name));
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
