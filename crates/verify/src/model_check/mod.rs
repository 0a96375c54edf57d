//! The model check: an exhaustive exploration of the state space of a definition.
//!
//! It applies the real [`transition`](snorri_core::transition()) to every stimulus in every state, until there are no new
//! states: an explicit-state exploration, breadth first, so the first path to a state is a shortest one (G. J. Holzmann, "The
//! SPIN Model Checker", 2003). States with the same future are one (`fingerprint`). The `abstraction` replaces data by questions,
//! and every answer is tried. Timers become due in every order. `rules` has the rules that must hold, and `counterexample` renders
//! the paths that break one.
//!
//! It is pure, and bounded by the number of states, not by time: the same definition has the same result.

mod abstraction;
mod counterexample;
mod explore;
mod fingerprint;
mod identity;
mod layers;
mod migrate;
mod operator;
mod path_count;
mod record;
mod report;
mod rules;
mod stimulus;
mod system;

use std::collections::{BTreeMap, BTreeSet};

use snorri_core::Definition;
use snorri_core::definition::Child;
use snorri_core::id::Direction;
use snorri_core::state::Status;

pub use migrate::{Migrations, check_migrations};
pub use rules::Rule;

/// The bounds of the exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most states.
    pub states: usize,
    /// Most states times steps of the definition: a state takes longer, the more steps there are.
    pub work: usize,
    /// Most attempts of one command: further attempts behave like the last.
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
    /// Once in each situation: each intervention for each combination of the states of a step and of the saga as a whole. A
    /// skipped step counts as a completed one.
    BySituation,
    /// In every state, with at most this many interventions on the path to it. Pauses are explored like other interventions,
    /// with several stimuli during one, and skipped steps differ from completed ones.
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

/// The facts about other definitions that the model check needs.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The definitions, by name and version, whose sagas may pass a pivot: after it they cannot be compensated with their parent.
    pub committed: BTreeSet<(String, u32)>,
    /// The definitions that are known. Whether sagas of other definitions can be compensated is unknown.
    pub known: BTreeSet<(String, u32)>,
    /// Whether its sagas may be children, and be compensated with their parent.
    pub is_child: bool,
}

impl Surroundings {
    /// Whether a completed child may have passed its own pivot, so that it cannot be compensated.
    pub fn is_committed(&self, child: &Child) -> bool {
        self.committed.contains(&(child.definition.to_string(), child.version))
    }

    /// Whether the definition of a child is known.
    pub fn is_known(&self, child: &Child) -> bool {
        self.known.contains(&(child.definition.to_string(), child.version))
    }
}

/// The result of the model check.
#[derive(Debug, Clone, Default)]
pub struct ModelCheck {
    /// The number of states, and the number of decisions.
    pub states: usize,
    pub transitions: usize,
    /// The same figures for the states after an operator has intervened.
    pub with_operator: Explored,
    /// The ends of sagas, the stuck ones last, otherwise those with the highest path count first.
    pub ends: Vec<End>,
    /// The violations, each with a shortest counterexample.
    pub violations: Vec<Violation>,
    /// Descriptions of the parts that were not explored. Empty: everything was.
    pub left_out: Vec<String>,
    /// Whether the bound on states was reached: there may be more ends than were found.
    pub is_cut: bool,
    /// The steps that others are alike to, each with the names of all of these.
    alike: BTreeMap<String, String>,
}

/// The figures of an exploration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
}

impl ModelCheck {
    /// The name of a step, with the names of all that are alike to it: `reserve/charge`.
    pub fn called<'a>(&'a self, step: &'a str) -> &'a str {
        self.alike.get(step).map_or(step, String::as_str)
    }
}

/// One end of sagas.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub status: Status,
    /// The incidents, if the saga is stuck.
    pub held: BTreeSet<Held>,
    /// The path count. Paths that differ only in steps that are alike count once.
    pub paths: f64,
    /// A shortest path, line by line.
    pub trace: Vec<String>,
}

/// A step or saga that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The step, without items, and all that are alike to it: `reserve/charge`.
    pub step: String,
    /// `None`: no command is held, but an operator must acknowledge the incident.
    pub direction: Option<Direction>,
}

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub rule: Rule,
    /// The step that it is about.
    pub step: Option<String>,
    /// The counterexample, line by line.
    pub trace: Vec<String>,
}

/// Explores the state space of `definition`.
pub fn check_model(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> ModelCheck {
    explore::explore(definition, around, bounds)
}
