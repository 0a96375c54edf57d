//! The exploration itself: breadth first, each state once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::fingerprint::{self, Fingerprints};
use super::happening::{self, Happening, Kind, is_quiet};
use super::layers::{Later, Layers};
use super::migrate::Migrated;
use super::operator::Act;
use super::rules::{self, Broken, Rule};
use super::skeleton::{Answers, Skeleton};
use super::stage::Stage;
use super::{Bounds, Held, Operator, Proof, Surroundings};
use crate::saga::definition::Definition;
use crate::saga::id::StepPath;
use crate::saga::journal::Fact;
use crate::saga::state::{State, Status};
use crate::saga::transition::Decision;

/// One decision on the way to a state: what happened in the state before, and which of the answers that data gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) from: u32,
    pub(super) happening: u16,
    pub(super) answer: u16,
}

/// Where something was found: in a state, or a decision and perhaps what was tried after it.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) at: u32,
    pub(super) way: Option<Way>,
    pub(super) then: Vec<Happening>,
}

impl Reached {
    pub(super) fn state(at: u32) -> Self {
        Self { at, way: None, then: Vec::new() }
    }
}

/// How sagas end, and what they are held by.
type Ending = (&'static str, BTreeSet<Held>);

pub(super) struct Explorer<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) prints: Fingerprints,
    pub(super) bounds: &'a Bounds,
    pub(super) most_states: usize,
    /// How each state was first reached. The first is the beginning, in which there is no saga yet.
    pub(super) ways: Vec<Way>,
    pub(super) known: HashMap<u64, u32>,
    /// From state to state, once for each decision that leads there. First those without an operator.
    pub(super) edges: Vec<(u32, u32)>,
    pub(super) layers: Layers,
    /// All states, if they are kept.
    pub(super) kept: Option<Vec<(u32, State, Answers)>>,
    /// The states that a migration from another version led to.
    pub(super) migrated: BTreeMap<u32, Migrated>,
    todo: VecDeque<(u32, State, Answers)>,
    pub(super) ends: BTreeMap<Ending, (Status, Vec<u32>)>,
    pub(super) broken: BTreeMap<(Rule, Option<String>), Reached>,
    /// Repetitions that have been tried, by what was repeated and where the saga was.
    repeated: HashSet<(StepPath, Kind, u64)>,
    pub(super) transitions: usize,
    pub(super) cut: bool,
}

pub(super) fn explore(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> Proof {
    let mut explorer = Explorer::new(definition, around, bounds);
    explorer.run();
    explorer.into_proof(definition)
}

impl<'a> Explorer<'a> {
    pub(super) fn new(definition: &Definition, around: &'a Surroundings, bounds: &'a Bounds) -> Self {
        let skeleton = Skeleton::of(definition, bounds);
        let prints = Fingerprints::of(&skeleton, bounds);
        let mut next = Skeleton::of(definition, bounds).definition;
        next.version += 1;
        Self {
            stage: Stage {
                skeleton,
                next: Arc::new(next),
                around,
                everywhere: bounds.operator.is_everywhere(),
            },
            prints,
            bounds,
            most_states: bounds.states.min(bounds.work / definition.steps().len().max(1)),
            ways: Vec::new(),
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
        let (state, answers) = self.stage.beginning();
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

    /// Adds a state that no other one leads to.
    pub(super) fn add(&mut self, state: State, answers: Answers) -> u32 {
        let id = u32::try_from(self.ways.len()).unwrap_or(u32::MAX);
        self.ways.push(Way { from: id, happening: 0, answer: 0 });
        self.todo.push_back((id, state, answers));
        id
    }

    /// Explores all that follows from the states in `todo`, without another intervention.
    pub(super) fn explore(&mut self) {
        while let Some((from, state, answers)) = self.todo.pop_front() {
            let happenings = self.stage.happenings(&state);
            let first = u16::try_from(happenings.len()).unwrap_or(u16::MAX);
            self.follow(from, &state, &answers, (0..).zip(happenings));
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
        happenings: impl Iterator<Item = (u16, Happening)>,
    ) {
        for (number, happening) in happenings {
            let decisions = self.stage.decisions(state, answers, &happening);
            let is_intervention = happening.kind.is_intervention();
            let count = if is_intervention { &mut self.layers.transitions } else { &mut self.transitions };
            *count += decisions.len();
            for (answer, (decision, answers)) in (0..).zip(decisions) {
                let way = Way { from, happening: number, answer };
                self.reach(way, state, &happening, decision, answers);
            }
        }
    }

    /// Repeats what was answered before. That changes nothing, so that it is tried beside the exploration; and what it
    /// would change depends on its step and on where the saga is, not on the other steps.
    fn repeat(&mut self, way: Way, state: &State, answers: &Answers) {
        let all = happening::all(&self.stage.skeleton.definition, state, self.stage.around);
        for happening in all.into_iter().filter(|one| one.kind.is_repetition()) {
            let Some((path, direction)) = &happening.of else { continue };
            let step = state.step(path).map(fingerprint::of_step);
            let ended = state.ended.as_ref().map(|end| end.status);
            let place = (step, direction, state.stopping.is_some(), state.rolling_back, ended);
            if !self.repeated.insert((path.clone(), happening.kind, fingerprint::of(&place))) {
                continue;
            }
            for (decision, _) in self.stage.decisions(state, answers, &happening) {
                let facts = &decision.entry.facts;
                let definition = &self.stage.skeleton.definition;
                if let Some(broken) =
                    rules::of_decision(definition, state, &happening, facts, &decision.state)
                {
                    let end = Reached { way: Some(way), then: vec![happening.clone()], at: way.from };
                    self.report(&broken, end);
                }
            }
        }
    }

    fn reach(
        &mut self,
        way: Way,
        before: &State,
        happening: &Happening,
        decision: Decision,
        answers: Answers,
    ) {
        let definition = &self.stage.skeleton.definition;
        let state = decision.state;
        let facts = &decision.entry.facts;
        let broken = rules::of_decision(definition, before, happening, facts, &state);
        let stranded = rules::stranded_by_child(definition, self.stage.around, happening);
        if let Some(broken) = &broken {
            self.report(broken, Reached { way: Some(way), then: Vec::new(), at: way.from });
            return;
        }
        if facts.iter().any(concludes) {
            self.repeat(way, &state, &answers);
        }
        let is_abandoned = state.ended.is_some() && happening.kind == Kind::Operator(Act::Abandon);
        if is_abandoned {
            return;
        }
        let print = self.prints.take(&state, &answers);
        let is_intervention = happening.kind.is_intervention();
        if is_intervention && !self.known.contains_key(&print) {
            if self.layers.awaited.insert(print) {
                self.layers.later.push(Later { way, state, answers, print });
            }
            return;
        }
        if let Some(id) = self.enter(way, state, answers, print, is_intervention)
            && let Some(stranded) = &stranded
        {
            self.report(stranded, Reached::state(id));
        }
    }

    /// Takes in what a decision leads to. Returns the number of a state that is new.
    pub(super) fn enter(
        &mut self,
        way: Way,
        state: State,
        answers: Answers,
        print: u64,
        is_intervention: bool,
    ) -> Option<u32> {
        let edges = if is_intervention { &mut self.layers.edges } else { &mut self.edges };
        let full = self.ways.len() >= self.most_states;
        let id = match self.known.entry(print) {
            Entry::Occupied(known) => {
                let to = *known.get();
                if to != way.from {
                    edges.push((way.from, to));
                }
                return None;
            }
            Entry::Vacant(_) if full => {
                let cut = if self.layers.current == 0 { &mut self.cut } else { &mut self.layers.is_cut };
                *cut = true;
                return None;
            }
            Entry::Vacant(new) => {
                let id = u32::try_from(self.ways.len()).unwrap_or(u32::MAX);
                *new.insert(id)
            }
        };
        self.ways.push(way);
        edges.push((way.from, id));
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
        if let Some(broken) = rules::of_end(&self.stage.skeleton.definition, state) {
            self.report(&broken, Reached::state(id));
        }
        // The ends are those that sagas come to without an operator.
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

    /// Breadth first: the first way to break a rule is a shortest one.
    pub(super) fn report(&mut self, (rule, step): &Broken, reached: Reached) {
        let step = step.as_ref().map(|step| self.prints.called(step.name()));
        self.broken.entry((*rule, step)).or_insert(reached);
    }
}

/// Whether there is something new to be repeated.
fn concludes(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Completed { .. }
            | Fact::Unknown { .. }
            | Fact::Undone { .. }
            | Fact::Stopping { .. }
            | Fact::RollbackBegan
            | Fact::Ended { .. }
    )
}
