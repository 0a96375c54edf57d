//! Everything that can happen to the sagas of a definition, tried.
//!
//! The real [`transition`](crate::saga::transition()) is asked for what follows from every outcome of every step, at every
//! point, until there is nothing new: an explicit-state exploration, breadth first, so that the first way found to a
//! state is a shortest one (G. J. Holzmann, "The SPIN Model Checker", 2003). States that differ in nothing that matters are one
//! (`fingerprint`); what data decides is tried both ways (`skeleton`); time is whatever order things become due in. What
//! must hold is in `rules`, and how something came about is told by `story`.
//!
//! It is pure, and bounded by the number of states, not by time: the same definition, the same answer.

mod condition;
mod explore;
mod fingerprint;
mod happening;
mod identity;
mod items;
mod layers;
mod migrate;
mod names;
mod operator;
mod report;
mod rules;
mod skeleton;
mod stage;
mod story;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use crate::saga::Definition;
use crate::saga::definition::Child;
use crate::saga::id::Direction;
use crate::saga::state::Status;

pub use migrate::{Migrations, prove_migrations};
pub use rules::Rule;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most states.
    pub states: usize,
    /// Most states times the definition's steps: each state takes the longer, the more steps there are.
    pub work: usize,
    /// Most attempts of one command: one more is like the last.
    pub attempts: u32,
    /// Most items of a `for_each`.
    pub items: u32,
    /// Where an operator intervenes.
    pub operator: Operator,
}

/// Where an operator intervenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Nowhere.
    Absent,
    /// Once in each situation: each intervention for each way in which a step and the saga as a whole may stand. A step that
    /// was skipped is taken for one that completed.
    BySituation,
    /// In every state, with so many interventions on the way to it at most. Pauses are explored like other interventions,
    /// so that several things happen during one, and steps that were skipped are told apart from others.
    Everywhere(u32),
}

impl Operator {
    fn interventions(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::BySituation => 1,
            Self::Everywhere(interventions) => interventions,
        }
    }

    fn is_everywhere(self) -> bool {
        matches!(self, Self::Everywhere(_))
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { states: 200_000, work: 4_000_000, attempts: 2, items: 2, operator: Operator::BySituation }
    }
}

/// What a definition's sagas have around them.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The definitions, by name and version, whose sagas may pass a pivot: they cannot be undone with their parent then.
    pub committed: BTreeSet<(String, u32)>,
    /// The definitions that are known at all. Of others it is not known whether their sagas can be undone.
    pub known: BTreeSet<(String, u32)>,
    /// Whether its sagas may be part of others, and be undone with them.
    pub is_child: bool,
}

impl Surroundings {
    /// Whether a child that has completed may have passed its own pivot: it cannot be undone then.
    pub fn is_committed(&self, child: &Child) -> bool {
        self.committed.contains(&(child.definition.to_string(), child.version))
    }

    /// Whether anything is known of a child.
    pub fn is_known(&self, child: &Child) -> bool {
        self.known.contains(&(child.definition.to_string(), child.version))
    }
}

/// What the exploration came to.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// How many states there are, and how many times it was decided what follows.
    pub states: usize,
    pub transitions: usize,
    /// The same for what sagas come to after an operator has intervened.
    pub with_operator: Explored,
    /// The states in which nothing happens any more by itself, the most frequent first.
    pub ends: Vec<End>,
    /// What must not be and can be, each with a shortest way to it.
    pub violations: Vec<Violation>,
    /// What was not tried, in words. Empty: everything was.
    pub left_out: Vec<String>,
    /// Whether the bound on states was reached: there may be more ends than were found.
    pub is_cut: bool,
    /// The steps that have others like them, each with how all of these are called.
    alike: BTreeMap<String, String>,
}

/// How much was explored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
}

impl Proof {
    /// How a step is called here: by its name, or with all that are alike to it, `reserve/charge`.
    pub fn called<'a>(&'a self, step: &'a str) -> &'a str {
        self.alike.get(step).map_or(step, String::as_str)
    }
}

/// A way to end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub status: Status,
    /// What waits for an operator, if the saga is stuck.
    pub held: BTreeSet<Held>,
    /// How many ways lead there. Ways that only differ in what is alike count once.
    pub paths: f64,
    /// A shortest one, line by line.
    pub story: Vec<String>,
}

/// Something that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The step, without items, and all that are alike to it: `reserve/charge`.
    pub step: String,
    /// `None`: no command is held, but an operator must take note.
    pub direction: Option<Direction>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub rule: Rule,
    /// The step that it is about.
    pub step: Option<String>,
    /// What happened, line by line.
    pub story: Vec<String>,
}

/// Tries everything that can happen to the sagas of `definition`.
pub fn prove(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> Proof {
    explore::explore(definition, around, bounds)
}
