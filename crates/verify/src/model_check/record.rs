//! The records that an exploration keeps.

use std::collections::HashSet;

use crate::model_check::Explored;
use crate::model_check::abstraction::Answers;
use crate::model_check::stimulus::Stimulus;
use snorri_core::state::State;

/// One decision on the path to a state: the stimulus in the previous state, and the answer that data gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Predecessor {
    pub(super) from: u32,
    pub(super) stimulus: u16,
    pub(super) answer: u16,
}

/// Where a violation was found: in a state, or after a decision and perhaps further stimuli.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) at: u32,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) then: Vec<Stimulus>,
}

impl Reached {
    pub(super) fn state(at: u32) -> Self {
        Self { at, predecessor: None, then: Vec::new() }
    }
}

/// The state of the exploration by layers.
#[derive(Default)]
pub(super) struct Layers {
    /// The number of interventions before the current layer.
    pub(super) current: u32,
    /// The figures before the first intervention, and the number of edges then.
    pub(super) alone: Option<(Explored, usize)>,
    /// The states of the next layer.
    pub(super) later: Vec<Later>,
    /// Their fingerprints.
    pub(super) awaited: HashSet<u64>,
    /// From state to state, one for each intervention.
    pub(super) edges: Vec<(u32, u32)>,
    /// The number of decisions on interventions.
    pub(super) transitions: usize,
    /// The states that have ended, except by being abandoned.
    pub(super) ended: Vec<u32>,
    /// The situations that have been compared or explored.
    pub(super) compared: HashSet<u64>,
    /// Whether the bound was reached after the first intervention.
    pub(super) is_cut: bool,
}

/// A state that an intervention leads to. It is entered once the current layer is explored, if it is still new then.
pub(super) struct Later {
    pub(super) predecessor: Predecessor,
    pub(super) state: State,
    pub(super) answers: Answers,
    pub(super) print: u64,
}

/// An initial state of the exploration of the new version.
#[derive(Debug)]
pub(super) struct Migrated {
    /// The state of the old version.
    pub(super) of: u32,
    pub(super) state: State,
    pub(super) answers: Answers,
}
