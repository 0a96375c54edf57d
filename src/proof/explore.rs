//! The exploration itself: breadth first, each state once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::fingerprint::{self, Fingerprints};
use super::happening::{self, Happening, Kind, NOW};
use super::rules::{self, Broken, Rule};
use super::skeleton::{Answers, Skeleton};
use super::{Bounds, Decide, End, Held, Proof, Surroundings, Violation, story};
use crate::saga::definition::{Definition, Step};
use crate::saga::id::{Direction, SagaId, StepPath};
use crate::saga::journal::{Parent, Started};
use crate::saga::state::{Pending, State, Status};
use crate::saga::transition::Decision;
use crate::saga::{Input, definition};

/// One decision on the way to a state: what happened in the state before, and which of the answers that data gives.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: u32,
    happening: u16,
    answer: u16,
}

/// How sagas end, and what they are held by.
type Ending = (&'static str, BTreeSet<Held>);

struct Explorer<'a> {
    decide: Decide<'a>,
    skeleton: Skeleton,
    prints: Fingerprints,
    around: &'a Surroundings,
    bounds: &'a Bounds,
    /// How each state was first reached. The first is the beginning, in which there is no saga yet.
    ways: Vec<Way>,
    known: HashMap<u64, u32>,
    /// From state to state, once for each decision that leads there.
    edges: Vec<(u32, u32)>,
    todo: VecDeque<(u32, State, Answers)>,
    ends: BTreeMap<Ending, (Status, Vec<u32>)>,
    broken: BTreeMap<(Rule, Option<String>), (Option<Way>, u32)>,
    /// Repetitions that have been tried, by what was repeated and where the saga was.
    repeated: HashSet<(StepPath, Kind, u64)>,
    transitions: usize,
    cut: bool,
}

pub(super) fn explore(
    decide: Decide<'_>,
    definition: &Definition,
    around: &Surroundings,
    bounds: &Bounds,
) -> Proof {
    let skeleton = Skeleton::of(definition, bounds);
    let prints = Fingerprints::of(&skeleton, bounds.items);
    let mut explorer = Explorer {
        decide,
        skeleton,
        prints,
        around,
        bounds,
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
        let (state, answers) = self.beginning();
        self.ways.push(Way { from: 0, happening: 0, answer: 0 });
        self.todo.push_back((0, state, answers));
        while let Some((from, state, answers)) = self.todo.pop_front() {
            for (number, happening) in (0..).zip(self.happenings(&state)) {
                if self.is_known_repetition(&state, &happening) {
                    continue;
                }
                for (answer, (decision, answers)) in (0..).zip(self.decisions(&state, &answers, &happening)) {
                    let way = Way { from, happening: number, answer };
                    self.reach(way, &state, &happening, decision, answers);
                }
            }
        }
    }

    fn beginning(&self) -> (State, Answers) {
        (State::new(SagaId(Uuid::from_u128(1))), self.skeleton.no_answers())
    }

    /// What can happen. Once a saga turns back, what is under way comes to its end in one order only, because each end
    /// leads to the same whatever the others come to: partial-order reduction (P. Godefroid, 1996).
    fn happenings(&self, state: &State) -> Vec<Happening> {
        if state.seq == 0 {
            return vec![Happening { kind: Kind::Started, of: None }];
        }
        let mut all = happening::all(&self.skeleton.definition, state, self.around);
        if state.stopping.is_some() && state.ended.is_none() && !self.awaits_pivot(state) {
            let first = all.iter().find(|one| !one.kind.is_repetition() && one.of.is_some());
            if let Some(first) = first.and_then(|one| one.of.clone()) {
                all.retain(|one| one.kind.is_repetition() || one.of.as_ref().is_none_or(|of| *of == first));
            }
        }
        all
    }

    fn awaits_pivot(&self, state: &State) -> bool {
        state.steps.iter().any(|(path, step)| {
            step.pending(Direction::Forward).is_some()
                && self.skeleton.definition.step(path).is_some_and(Step::is_pivot)
        })
    }

    /// What a repetition means depends on its step and on where the saga is, not on the other steps.
    fn is_known_repetition(&mut self, state: &State, happening: &Happening) -> bool {
        let Some((path, direction)) = happening.of.as_ref().filter(|_| happening.kind == Kind::Duplicate)
        else {
            return false;
        };
        let step = fingerprint::step(state.step(path));
        let place =
            (state.stopping.is_some(), state.rolling_back, state.ended.as_ref().map(|end| end.status));
        let key = fingerprint::of(&(step, place, direction));
        !self.repeated.insert((path.clone(), happening.kind, key))
    }

    /// What follows from something, for each answer that data may give to the questions that it asks.
    fn decisions(
        &mut self,
        state: &State,
        answers: &Answers,
        happening: &Happening,
    ) -> Vec<(Decision, Answers)> {
        let mut decisions = Vec::new();
        let mut todo = vec![answers.clone()];
        while let Some(answers) = todo.pop() {
            let Some((mut state, input)) = self.come_true(state, &answers, happening) else { break };
            if let Some(started) = state.started.take() {
                state.started = Some(self.with_answers(started, &answers));
            }
            self.transitions += 1;
            let Ok(decision) = (self.decide)(&self.skeleton.definition, &state, &input, NOW) else { break };
            match self.skeleton.branch(&decision.entry.facts, &answers) {
                // The first answer is tried first.
                Some(branches) => todo.extend(branches.into_iter().rev()),
                None => decisions.push((decision, answers)),
            }
        }
        decisions
    }

    fn come_true(&self, state: &State, answers: &Answers, happening: &Happening) -> Option<(State, Input)> {
        if happening.kind != Kind::Started {
            return happening.come_true(&self.skeleton.definition, state);
        }
        let parent = self.around.is_child.then(|| Parent {
            saga: SagaId(Uuid::from_u128(2)),
            step: StepPath::new("part"),
            attempt: 1,
        });
        let started = Started {
            definition: Arc::clone(&self.skeleton.definition.name),
            version: self.skeleton.definition.version,
            key: None,
            input: Arc::new(self.skeleton.input(answers)),
            deadline: None,
            answer: None,
            trace_id: None,
            parent,
            attributes: BTreeMap::new(),
            carried: None,
        };
        Some((state.clone(), Input::Start(Box::new(started))))
    }

    fn with_answers(&self, started: Arc<Started>, answers: &Answers) -> Arc<Started> {
        if answers.is_empty() {
            return started;
        }
        Arc::new(Started { input: Arc::new(self.skeleton.input(answers)), ..(*started).clone() })
    }

    fn reach(
        &mut self,
        way: Way,
        before: &State,
        happening: &Happening,
        decision: Decision,
        answers: Answers,
    ) {
        let definition = &self.skeleton.definition;
        let state = decision.state;
        let broken = rules::of_decision(definition, before, happening, &decision.entry.facts, &state);
        let stranded = rules::stranded_by_child(definition, happening);
        if let Some(broken) = &broken {
            self.report(broken, Some(way), way.from);
            return;
        }
        let print = self.prints.take(&state, &answers);
        let full = self.ways.len() >= self.bounds.states;
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
            self.report(stranded, None, id);
        }
        if is_quiet(&state) {
            self.end(id, &state);
        }
        self.todo.push_back((id, state, answers));
    }

    fn end(&mut self, id: u32, state: &State) {
        if let Some(broken) = rules::of_end(&self.skeleton.definition, state) {
            self.report(&broken, None, id);
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
    fn report(&mut self, (rule, step): &Broken, way: Option<Way>, at: u32) {
        let step = step.as_ref().map(|step| self.prints.called(step.name()));
        self.broken.entry((*rule, step)).or_insert((way, at));
    }

    fn into_proof(mut self, definition: &Definition) -> Proof {
        let paths = paths(self.ways.len(), &self.edges);
        let ends = std::mem::take(&mut self.ends);
        let mut ends: Vec<End> = ends
            .into_iter()
            .map(|((_, held), (status, ids))| End {
                status,
                held,
                paths: ids.iter().map(|id| paths[*id as usize]).sum(),
                story: ids.first().map(|id| self.story(None, *id)).unwrap_or_default(),
            })
            .collect();
        ends.sort_by(|one, other| {
            (one.status == Status::Stuck, other.paths)
                .partial_cmp(&(other.status == Status::Stuck, one.paths))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let broken = std::mem::take(&mut self.broken);
        let violations = broken.into_iter().map(|((rule, step), (way, at))| Violation {
            rule,
            step,
            story: self.story(way, at),
        });
        let violations = violations.collect();
        let left_out = self.left_out(definition);
        Proof { states: self.ways.len(), transitions: self.transitions, ends, violations, left_out }
    }

    /// The shortest way to a state, and one decision further if there is one, told.
    fn story(&mut self, last: Option<Way>, at: u32) -> Vec<String> {
        let mut ways: Vec<Way> = last.into_iter().collect();
        let mut at = at;
        while at != 0 {
            let way = self.ways[at as usize];
            ways.push(way);
            at = way.from;
        }
        let (mut state, mut answers) = self.beginning();
        let mut lines = Vec::new();
        while let Some(way) = ways.pop() {
            let Some(happening) = self.happenings(&state).into_iter().nth(usize::from(way.happening)) else {
                break;
            };
            let mut decisions = self.decisions(&state, &answers, &happening);
            if usize::from(way.answer) >= decisions.len() {
                break;
            }
            let (decision, given) = decisions.swap_remove(usize::from(way.answer));
            story::tell(&self.skeleton.definition, &happening, &decision.entry.facts, &mut lines);
            (state, answers) = (decision.state, given);
        }
        story::tell_end(&state, &mut lines);
        lines
    }

    fn left_out(&self, definition: &Definition) -> Vec<String> {
        let mut told = self.skeleton.left_out.clone();
        let Bounds { states, attempts, items } = *self.bounds;
        if self.cut {
            told.push(format!("more than {states} states"));
        }
        let most = definition.commands().map(|command| command.retry.attempts).max().unwrap_or_default();
        if most > attempts {
            told.push(format!("more than {attempts} attempts of a command (there are up to {most})"));
        }
        let has_lists =
            definition.steps().iter().any(|step| matches!(step.action, definition::Action::ForEach(_)));
        if has_lists {
            told.push(format!("lists of more than {items} items"));
        }
        told
    }
}

/// Whether nothing will happen any more by itself.
fn is_quiet(state: &State) -> bool {
    let goes_on = |pending| match pending {
        Pending::Reply { .. } | Pending::Backoff { .. } | Pending::Child => true,
        Pending::Arrival { .. } | Pending::Sleep { .. } => state.stopping.is_none(),
        Pending::Operator => false,
    };
    let both = [Direction::Forward, Direction::Compensate];
    let under_way = state
        .steps
        .values()
        .any(|step| both.iter().any(|direction| step.pending(*direction).is_some_and(goes_on)));
    state.ended.is_some() || !(under_way || state.incidents.is_empty() && state.overdue_at().is_some())
}

/// How many ways there are from the first state to each. What is on a circle is not counted; there are none.
fn paths(states: usize, edges: &[(u32, u32)]) -> Vec<f64> {
    let mut to_come = vec![0_u32; states];
    let mut first = vec![0_usize; states + 1];
    for (from, to) in edges {
        to_come[*to as usize] += 1;
        first[*from as usize + 1] += 1;
    }
    for index in 1..=states {
        first[index] += first[index - 1];
    }
    let mut next = first.clone();
    let mut targets = vec![0_u32; edges.len()];
    for (from, to) in edges {
        let place = &mut next[*from as usize];
        targets[*place] = *to;
        *place += 1;
    }
    let mut paths = vec![0.0; states];
    let mut ready = vec![0_usize];
    paths[0] = 1.0;
    while let Some(from) = ready.pop() {
        for to in &targets[first[from]..first[from + 1]] {
            let to = *to as usize;
            paths[to] += paths[from];
            to_come[to] -= 1;
            if to_come[to] == 0 {
                ready.push(to);
            }
        }
    }
    paths
}
