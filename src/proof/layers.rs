//! The exploration with an operator, in layers: what sagas come to without an intervention, after one, after two.
//!
//! A layer has the states that no layer before it has, so that the first one is what it is without an operator.

use std::collections::HashSet;

use super::Explored;
use super::explore::{Explorer, Reached, Way};
use super::fingerprint;
use super::happening::Happening;
use super::identity::{self, Fault};
use super::rules::Rule;
use super::skeleton::Answers;
use super::ways;
use crate::saga::state::State;

/// What is known of the layers.
#[derive(Default)]
pub(super) struct Layers {
    /// How many interventions led to what is explored now.
    pub(super) current: u32,
    /// What was explored before the first intervention, and how many of the edges.
    pub(super) alone: Option<(Explored, usize)>,
    /// The states of the next layer.
    pub(super) later: Vec<Later>,
    /// Their fingerprints.
    pub(super) awaited: HashSet<u64>,
    /// From state to state, once for each intervention that leads there.
    pub(super) edges: Vec<(u32, u32)>,
    /// How many decisions there were about interventions.
    pub(super) transitions: usize,
    /// States that have ended, by other means than an operator who abandons them.
    pub(super) ended: Vec<u32>,
    /// The situations that have been compared or tried.
    compared: HashSet<u64>,
    /// Whether the bound was reached after the first intervention.
    pub(super) is_cut: bool,
}

/// A state that an intervention leads to, until it is certain that none leads there without one.
pub(super) struct Later {
    pub(super) way: Way,
    pub(super) state: State,
    pub(super) answers: Answers,
    pub(super) print: u64,
}

impl Explorer<'_> {
    /// The interventions to try in a state, by their number: each in every state, or once for each situation.
    pub(super) fn choices(&mut self, state: &State) -> Vec<(u16, Happening)> {
        let mut choices: Vec<_> = (0..).zip(self.stage.choices(state)).collect();
        if !self.stage.everywhere && !choices.is_empty() {
            let saga = identity::situation(&self.stage.skeleton.definition, state);
            choices.retain(|(_, choice)| {
                let path = choice.of.as_ref().map(|(path, _)| path);
                let step = path.and_then(|path| state.step(path)).map(fingerprint::of_step);
                self.layers.compared.insert(fingerprint::of(&(saga, choice.kind, path, step)))
            });
        }
        choices
    }

    /// What interventions lead to, and no saga reaches without as many.
    pub(super) fn begin_layer(&mut self) {
        self.layers.awaited.clear();
        for Later { way, state, answers, print } in std::mem::take(&mut self.layers.later) {
            self.enter(way, state, answers, print, true);
        }
    }

    /// Compares what an operator can do in a state with what must be possible.
    pub(super) fn compare(&mut self, at: u32, state: &State, answers: &Answers) {
        let faults = identity::faults(&self.stage, &self.prints, (state, answers), &mut self.layers.compared);
        for Fault { broken, then } in faults {
            self.report(&broken, Reached { way: None, then, at });
        }
    }

    /// From each state that sagas reach without an operator, an intervention must lead to an end.
    pub(super) fn find_ways_out(&mut self) {
        let is_whole = !self.cut && !self.layers.is_cut && self.stage.everywhere;
        let Some((alone, _)) = self.layers.alone.filter(|_| is_whole) else { return };
        let edges = self.edges.iter().chain(&self.layers.edges);
        let leads_out = ways::lead_to(self.ways.len(), edges, &self.layers.ended);
        if let Some(at) = (0..alone.states).find(|at| !leads_out[*at]) {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            self.report(&(Rule::NoWayOut, None), Reached::state(at));
        }
    }

    pub(super) fn explored(&self) -> Explored {
        Explored { states: self.ways.len(), transitions: self.transitions }
    }

    /// What was explored without an operator, and how many of the edges; and what was explored after an intervention.
    pub(super) fn parts(&self) -> (Explored, usize, Explored) {
        let all = self.explored();
        let (alone, edges) = self.layers.alone.unwrap_or((all, self.edges.len()));
        let with_operator = Explored {
            states: all.states - alone.states,
            transitions: all.transitions - alone.transitions + self.layers.transitions,
        };
        (alone, edges, with_operator)
    }
}
