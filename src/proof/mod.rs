//! Everything that can happen to the sagas of a definition, tried.
//!
//! The real [`transition`](crate::saga::transition()) is asked for what follows from every outcome of every step, at every
//! point, until there is nothing new: an explicit-state exploration, breadth first, so that the first way found to a
//! state is a shortest one (G. J. Holzmann, "The SPIN Model Checker", 2003). States that differ in nothing that matters are one
//! (`fingerprint`); what data decides is tried both ways (`skeleton`); time is whatever order things become due in. What
//! must hold is in `rules`, and how something came about is told by `story`.
//!
//! It is pure, and bounded by the number of states, not by time: the same definition, the same answer.

mod explore;
mod fingerprint;
mod happening;
mod rules;
mod skeleton;
mod story;

use std::collections::BTreeSet;

use crate::saga::id::{Direction, Time};
use crate::saga::state::Status;
use crate::saga::transition::{Decision, Ignored};
use crate::saga::{Definition, Input, State, transition};

pub use rules::Rule;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most states.
    pub states: usize,
    /// Most attempts of one command: one more is like the last.
    pub attempts: u32,
    /// Most items of a `for_each`.
    pub items: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { states: 200_000, attempts: 2, items: 2 }
    }
}

/// What a definition's sagas have around them.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The definitions, by name and version, whose sagas may pass a pivot: they cannot be undone with their parent then.
    pub committed: BTreeSet<(String, u32)>,
    /// Whether its sagas may be part of others, and be undone with them.
    pub is_child: bool,
}

/// What the exploration came to.
#[derive(Debug, Clone)]
pub struct Proof {
    /// How many states there are, and how many times it was decided what follows.
    pub states: usize,
    pub transitions: usize,
    /// The states in which nothing happens any more by itself, the most frequent first.
    pub ends: Vec<End>,
    /// What must not be and can be, each with a shortest way to it.
    pub violations: Vec<Violation>,
    /// What was not tried, in words. Empty: everything was.
    pub left_out: Vec<String>,
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

/// What decides what follows: [`transition`](crate::saga::transition()), unless somebody wants to know whether a mistake in it
/// would be found.
pub type Decide<'a> = &'a dyn Fn(&Definition, &State, &Input, Time) -> Result<Decision, Ignored>;

/// Tries everything that can happen to the sagas of `definition`.
pub fn prove(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> Proof {
    prove_with(&transition, definition, around, bounds)
}

/// The same for another way to decide.
pub fn prove_with(
    decide: Decide<'_>,
    definition: &Definition,
    around: &Surroundings,
    bounds: &Bounds,
) -> Proof {
    explore::explore(decide, definition, around, bounds)
}
