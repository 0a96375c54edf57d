//! The exploration of the state space: breadth first, each state once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::model_check::abstraction::{Abstraction, Answers};
use crate::model_check::fingerprint::{self, Fingerprints};
use crate::model_check::operator::Act;
use crate::model_check::record::{Later, Layers, Migrated, Predecessor, Reached};
use crate::model_check::rules::{self, Broken, Rule};
use crate::model_check::stimulus::{self, Stimulus, StimulusKind, is_quiet};
use crate::model_check::system::System;
use crate::model_check::{Bounds, Held, ModelCheck, Operator, Surroundings};
use snorri_core::definition::Definition;
use snorri_core::id::StepPath;
use snorri_core::journal::Fact;
use snorri_core::state::{State, Status};
use snorri_core::transition::Decision;

/// The status in which sagas end, and the incidents that hold them.
type Ending = (&'static str, BTreeSet<Held>);

pub(super) struct Explorer<'a> {
    pub(super) system: System<'a>,
    pub(super) prints: Fingerprints,
    pub(super) bounds: &'a Bounds,
    pub(super) most_states: usize,
    /// The decision that first reached each state. The first state is the initial one, in which there is no saga yet.
    pub(super) predecessors: Vec<Predecessor>,
    pub(super) known: HashMap<u64, u32>,
    /// From state to state, one for each decision. Those without an operator come first.
    pub(super) edges: Vec<(u32, u32)>,
    pub(super) layers: Layers,
    /// All states, if they are kept.
    pub(super) kept: Option<Vec<(u32, State, Answers)>>,
    /// The states that are reached by a migration from another version.
    pub(super) migrated: BTreeMap<u32, Migrated>,
    todo: VecDeque<(u32, State, Answers)>,
    pub(super) ends: BTreeMap<Ending, (Status, Vec<u32>)>,
    pub(super) broken: BTreeMap<(Rule, Option<String>), Reached>,
    /// The repetitions that have been tried, by step, stimulus and situation of the saga.
    repeated: HashSet<(StepPath, StimulusKind, u64)>,
    pub(super) transitions: usize,
    pub(super) cut: bool,
}

pub(super) fn explore(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> ModelCheck {
    let mut explorer = Explorer::new(definition, around, bounds);
    explorer.run();
    explorer.into_model_check(definition)
}

impl<'a> Explorer<'a> {
    pub(super) fn new(definition: &Definition, around: &'a Surroundings, bounds: &'a Bounds) -> Self {
        let abstraction = Abstraction::of(definition, bounds);
        let prints = Fingerprints::of(&abstraction, bounds);
        let mut next = Abstraction::of(definition, bounds).definition;
        next.version += 1;
        Self {
            system: System {
                abstraction,
                next: Arc::new(next),
                around,
                everywhere: bounds.operator.is_everywhere(),
            },
            prints,
            bounds,
            most_states: bounds.states.min(bounds.work / definition.steps().len().max(1)),
            predecessors: Vec::new(),
            known: HashMap::new(),
            edges: Vec::new(),
            layers: Layers::default(),
            kept: None,
            migrated: BTreeMap::new(),
            todo: VecDeque::new(),
            ends: BTreeMap::new(),
            broken: BTreeMap::new(),
            repeated: HashSet::new(),
            transitions: 0,
            cut: false,
        }
    }
}

impl Explorer<'_> {
    pub(super) fn run(&mut self) {
        let (state, answers) = self.system.beginning();
        self.add(state, answers);
        self.explore();
        self.layers.alone = Some((self.explored(), self.edges.len()));
        for layer in 1..=self.bounds.operator.interventions() {
            self.layers.current = layer;
            self.begin_layer();
            self.explore();
        }
        self.find_ways_out();
    }

    /// Adds an initial state.
    pub(super) fn add(&mut self, state: State, answers: Answers) -> u32 {
        let id = u32::try_from(self.predecessors.len()).unwrap_or(u32::MAX);
        self.predecessors.push(Predecessor { from: id, stimulus: 0, answer: 0 });
        self.todo.push_back((id, state, answers));
        id
    }

    /// Explores everything that follows from the states in `todo`, without another intervention.
    pub(super) fn explore(&mut self) {
        while let Some((from, state, answers)) = self.todo.pop_front() {
            let stimuli = self.system.stimuli(&state);
            let first = u16::try_from(stimuli.len()).unwrap_or(u16::MAX);
            self.follow(from, &state, &answers, (0..).zip(stimuli));
            if self.bounds.operator != Operator::Absent {
                self.compare(from, &state, &answers);
            }
            if self.layers.current < self.bounds.operator.interventions() {
                let choices = self.choices(&state);
                self.follow(
                    from,
                    &state,
                    &answers,
                    choices.into_iter().map(|(number, one)| (first + number, one)),
                );
            }
            if let Some(kept) = &mut self.kept {
                kept.push((from, state, answers));
            }
        }
    }

    fn follow(
        &mut self,
        from: u32,
        state: &State,
        answers: &Answers,
        stimuli: impl Iterator<Item = (u16, Stimulus)>,
    ) {
        for (number, stimulus) in stimuli {
            let decisions = self.system.decisions(state, answers, &stimulus);
            let is_intervention = stimulus.kind.is_intervention();
            let count = if is_intervention { &mut self.layers.transitions } else { &mut self.transitions };
            *count += decisions.len();
            for (answer, (decision, answers)) in (0..).zip(decisions) {
                let predecessor = Predecessor { from, stimulus: number, answer };
                self.reach(predecessor, state, &stimulus, decision, answers);
            }
        }
    }

    /// Repeats earlier replies. A repetition must change nothing, so it adds no state and is tried outside the exploration;
    /// what it could change depends on its step and on the situation of the saga, not on the other steps.
    fn repeat(&mut self, predecessor: Predecessor, state: &State, answers: &Answers) {
        let all = stimulus::all(&self.system.abstraction.definition, state, self.system.around);
        for stimulus in all.into_iter().filter(|one| one.kind.is_repetition()) {
            let Some((path, direction)) = &stimulus.of else { continue };
            let step = state.step(path).map(fingerprint::of_step);
            let ended = state.ended.as_ref().map(|end| end.status);
            let place = (step, direction, state.stopping.is_some(), state.rolling_back, ended);
            if !self.repeated.insert((path.clone(), stimulus.kind, fingerprint::of(&place))) {
                continue;
            }
            for (decision, _) in self.system.decisions(state, answers, &stimulus) {
                let facts = &decision.entry.facts;
                let definition = &self.system.abstraction.definition;
                if let Some(broken) = rules::of_decision(definition, state, &stimulus, facts, &decision.state)
                {
                    let end = Reached {
                        predecessor: Some(predecessor),
                        then: vec![stimulus.clone()],
                        at: predecessor.from,
                    };
                    self.report(&broken, end);
                }
            }
        }
    }

    fn reach(
        &mut self,
        predecessor: Predecessor,
        before: &State,
        stimulus: &Stimulus,
        decision: Decision,
        answers: Answers,
    ) {
        let definition = &self.system.abstraction.definition;
        let state = decision.state;
        let facts = &decision.entry.facts;
        let broken = rules::of_decision(definition, before, stimulus, facts, &state);
        let stranded = rules::stranded_by_child(definition, self.system.around, stimulus);
        if let Some(broken) = &broken {
            self.report(
                broken,
                Reached { predecessor: Some(predecessor), then: Vec::new(), at: predecessor.from },
            );
            return;
        }
        if facts.iter().any(concludes) {
            self.repeat(predecessor, &state, &answers);
        }
        let is_abandoned = state.ended.is_some() && stimulus.kind == StimulusKind::Operator(Act::Abandon);
        if is_abandoned {
            return;
        }
        let print = self.prints.take(&state, &answers);
        let is_intervention = stimulus.kind.is_intervention();
        if is_intervention && !self.known.contains_key(&print) {
            if self.layers.awaited.insert(print) {
                self.layers.later.push(Later { predecessor, state, answers, print });
            }
            return;
        }
        if let Some(id) = self.enter(predecessor, state, answers, print, is_intervention)
            && let Some(stranded) = &stranded
        {
            self.report(stranded, Reached::state(id));
        }
    }

    /// Adds the state that a decision leads to. Returns its number if it is new.
    pub(super) fn enter(
        &mut self,
        predecessor: Predecessor,
        state: State,
        answers: Answers,
        print: u64,
        is_intervention: bool,
    ) -> Option<u32> {
        let edges = if is_intervention { &mut self.layers.edges } else { &mut self.edges };
        let full = self.predecessors.len() >= self.most_states;
        let id = match self.known.entry(print) {
            Entry::Occupied(known) => {
                let to = *known.get();
                if to != predecessor.from {
                    edges.push((predecessor.from, to));
                }
                return None;
            }
            Entry::Vacant(_) if full => {
                let cut = if self.layers.current == 0 { &mut self.cut } else { &mut self.layers.is_cut };
                *cut = true;
                return None;
            }
            Entry::Vacant(new) => {
                let id = u32::try_from(self.predecessors.len()).unwrap_or(u32::MAX);
                *new.insert(id)
            }
        };
        self.predecessors.push(predecessor);
        edges.push((predecessor.from, id));
        if state.ended.is_some() {
            self.layers.ended.push(id);
        }
        if is_quiet(&state) && state.paused.is_none() {
            self.end(id, &state);
        }
        self.todo.push_back((id, state, answers));
        Some(id)
    }

    pub(super) fn end(&mut self, id: u32, state: &State) {
        if let Some(broken) = rules::of_end(&self.system.abstraction.definition, state) {
            self.report(&broken, Reached::state(id));
        }
        // Only the ends that sagas reach without an operator are counted.
        if self.layers.current > 0 {
            return;
        }
        let status = state.status();
        let held = if status == Status::Stuck { self.held(state) } else { BTreeSet::new() };
        self.ends.entry((status.as_str(), held)).or_insert_with(|| (status, Vec::new())).1.push(id);
    }

    fn held(&self, state: &State) -> BTreeSet<Held> {
        let incidents = state.incidents.iter().map(|incident| Held {
            step: incident.step.as_ref().map_or_else(String::new, |step| self.prints.called(step.name())),
            direction: incident.direction,
        });
        incidents.collect()
    }

    /// Records a broken rule. The exploration is breadth first, so the first counterexample is a shortest one.
    pub(super) fn report(&mut self, (rule, step): &Broken, reached: Reached) {
        let step = step.as_ref().map(|step| self.prints.called(step.name()));
        self.broken.entry((*rule, step)).or_insert(reached);
    }
}

/// Whether a fact makes a new repetition possible.
fn concludes(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Completed { .. }
            | Fact::Unknown { .. }
            | Fact::Compensated { .. }
            | Fact::Stopping { .. }
            | Fact::RollbackBegan
            | Fact::Ended { .. }
    )
}
