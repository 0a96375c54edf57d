//! The exploration itself: breadth first, each state once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::fingerprint::{self, Fingerprints};
use super::happening::{self, Happening, Kind, is_quiet};
use super::rules::{self, Broken, Rule};
use super::skeleton::{Answers, Skeleton};
use super::stage::Stage;
use super::{Bounds, Held, Proof, Surroundings};
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

/// Where something was found: in a state, or a decision and perhaps a repetition after it.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) at: u32,
    pub(super) way: Option<Way>,
    pub(super) repeated: Option<Happening>,
}

impl Reached {
    pub(super) fn state(at: u32) -> Self {
        Self { at, way: None, repeated: None }
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
    known: HashMap<u64, u32>,
    /// From state to state, once for each decision that leads there.
    pub(super) edges: Vec<(u32, u32)>,
    todo: VecDeque<(u32, State, Answers)>,
    pub(super) ends: BTreeMap<Ending, (Status, Vec<u32>)>,
    pub(super) broken: BTreeMap<(Rule, Option<String>), Reached>,
    /// Repetitions that have been tried, by what was repeated and where the saga was.
    repeated: HashSet<(StepPath, Kind, u64)>,
    pub(super) transitions: usize,
    pub(super) cut: bool,
}

pub(super) fn explore(definition: &Definition, around: &Surroundings, bounds: &Bounds) -> Proof {
    let skeleton = Skeleton::of(definition, bounds);
    let prints = Fingerprints::of(&skeleton, bounds.items);
    let mut explorer = Explorer {
        stage: Stage { skeleton, around },
        prints,
        bounds,
        most_states: bounds.states.min(bounds.work / definition.steps().len().max(1)),
        ways: Vec::new(),
        known: HashMap::new(),
        edges: Vec::new(),
        todo: VecDeque::new(),
        ends: BTreeMap::new(),
        broken: BTreeMap::new(),
        repeated: HashSet::new(),
        transitions: 0,
        cut: false,
    };
    explorer.run();
    explorer.into_proof(definition)
}

impl Explorer<'_> {
    fn run(&mut self) {
        let (state, answers) = self.stage.beginning();
        self.ways.push(Way { from: 0, happening: 0, answer: 0 });
        self.todo.push_back((0, state, answers));
        while let Some((from, state, answers)) = self.todo.pop_front() {
            for (number, happening) in (0..).zip(self.stage.happenings(&state)) {
                let decisions = self.stage.decisions(&state, &answers, &happening);
                self.transitions += decisions.len();
                for (answer, (decision, answers)) in (0..).zip(decisions) {
                    let way = Way { from, happening: number, answer };
                    self.reach(way, &state, &happening, decision, answers);
                }
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
                    let end = Reached { way: Some(way), repeated: Some(happening.clone()), at: way.from };
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
            self.report(broken, Reached { way: Some(way), repeated: None, at: way.from });
            return;
        }
        if facts.iter().any(concludes) {
            self.repeat(way, &state, &answers);
        }
        let print = self.prints.take(&state, &answers);
        let full = self.ways.len() >= self.most_states;
        let id = match self.known.entry(print) {
            Entry::Occupied(known) => {
                let to = *known.get();
                if to != way.from {
                    self.edges.push((way.from, to));
                }
                return;
            }
            Entry::Vacant(_) if full => {
                self.cut = true;
                return;
            }
            Entry::Vacant(new) => {
                let id = u32::try_from(self.ways.len()).unwrap_or(u32::MAX);
                *new.insert(id)
            }
        };
        self.ways.push(way);
        self.edges.push((way.from, id));
        if let Some(stranded) = &stranded {
            self.report(stranded, Reached::state(id));
        }
        if is_quiet(&state) {
            self.end(id, &state);
        }
        self.todo.push_back((id, state, answers));
    }

    fn end(&mut self, id: u32, state: &State) {
        if let Some(broken) = rules::of_end(&self.stage.skeleton.definition, state) {
            self.report(&broken, Reached::state(id));
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
    fn report(&mut self, (rule, step): &Broken, reached: Reached) {
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
