//! The exploration with an operator, in layers: the states without an intervention, after one, after two.
//!
//! A layer has only states that no earlier layer has, so the first one is the state space without an operator.

use crate::model_check::Explored;
use crate::model_check::abstraction::Answers;
use crate::model_check::explore::Explorer;
use crate::model_check::fingerprint;
use crate::model_check::identity::{self, Fault};
use crate::model_check::path_count;
use crate::model_check::record::{Later, Reached};
use crate::model_check::rules::Rule;
use crate::model_check::stimulus::Stimulus;
use snorri_core::state::State;

impl Explorer<'_> {
    /// The interventions to try in a state, by their number: each in every state, or once for each situation.
    pub(super) fn choices(&mut self, state: &State) -> Vec<(u16, Stimulus)> {
        let mut choices: Vec<_> = (0..).zip(self.system.choices(state)).collect();
        if !self.system.everywhere && !choices.is_empty() {
            let saga = identity::situation(&self.system.abstraction.definition, state);
            choices.retain(|(_, choice)| {
                let path = choice.of.as_ref().map(|(path, _)| path);
                let step = path.and_then(|path| state.step(path)).map(fingerprint::of_step);
                self.layers.compared.insert(fingerprint::of(&(saga, choice.kind, path, step)))
            });
        }
        choices
    }

    /// Enters the states that need one more intervention.
    pub(super) fn begin_layer(&mut self) {
        self.layers.awaited.clear();
        for Later { predecessor, state, answers, print } in std::mem::take(&mut self.layers.later) {
            self.enter(predecessor, state, answers, print, true);
        }
    }

    /// Compares the interventions that are accepted in a state with those that must be.
    pub(super) fn compare(&mut self, at: u32, state: &State, answers: &Answers) {
        let faults =
            identity::faults(&self.system, &self.prints, (state, answers), &mut self.layers.compared);
        for Fault { broken, then } in faults {
            self.report(&broken, Reached { predecessor: None, then, at });
        }
    }

    /// Checks that interventions lead to an end from each state that sagas reach without an operator.
    pub(super) fn find_ways_out(&mut self) {
        let is_whole = !self.cut && !self.layers.is_cut && self.system.everywhere;
        let Some((alone, _)) = self.layers.alone.filter(|_| is_whole) else { return };
        let edges = self.edges.iter().chain(&self.layers.edges);
        let leads_out = path_count::lead_to(self.predecessors.len(), edges, &self.layers.ended);
        if let Some(at) = (0..alone.states).find(|at| !leads_out[*at]) {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            self.report(&(Rule::NoWayOut, None), Reached::state(at));
        }
    }

    pub(super) fn explored(&self) -> Explored {
        Explored { states: self.predecessors.len(), transitions: self.transitions }
    }

    /// The figures and the number of edges without an operator, and the figures after interventions.
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
