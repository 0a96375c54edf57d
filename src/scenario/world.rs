//! The world of one scenario: a saga, participants that answer as they are told, and a clock that jumps to what comes next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::script::{Aim, Happening, Once, Scenario, What};
use crate::catalog::Compiled;
use crate::saga::input::{Attempt, Input, Reply};
use crate::saga::journal::{By, Entry, Fact, Parent, Started};
use crate::saga::state::Incident;
use crate::saga::{
    Definition, Direction, Ignored, SagaId, State, Status, StepPath, Time, outlook, transition,
};

/// Most inputs of one run. No saga takes as many, because its journal is bounded.
const MOST_INPUTS: usize = 100_000;

/// What happened in a scenario.
#[derive(Debug)]
pub struct Observed {
    pub entries: Vec<Entry>,
    pub status: Status,
    pub lasted: Duration,
    /// What did not go as the scenario says, beside what it expects.
    pub objections: Vec<String>,
    pub(super) commands: Vec<Sent>,
    pub(super) events: Vec<(Arc<str>, Value)>,
    pub(super) output: Option<Value>,
    pub(super) problem: Option<String>,
    pub(super) incidents: Vec<Incident>,
}

/// A command, or an order to a child saga.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) aim: Aim,
    pub(super) name: Arc<str>,
    pub(super) payload: Value,
}

/// Runs a scenario to its end: until the saga has ended or waits for somebody, and nothing more happens.
pub fn run(compiled: &Compiled, scenario: &Scenario) -> Observed {
    let definition = &compiled.definition;
    let id = match &scenario.key {
        Some(key) => SagaId::of_key(&definition.name, key),
        None => SagaId::of_message(&definition.name, &scenario.name),
    };
    let mut world = World {
        definition,
        scenario,
        state: State::new(id),
        now: scenario.starts_at,
        entries: Vec::new(),
        deliveries: BTreeMap::new(),
        delivered: 0,
        begun: Vec::new(),
        status_since: BTreeMap::new(),
        happened: 0,
        last_happened: scenario.starts_at,
        commands: Vec::new(),
        events: Vec::new(),
        objections: Vec::new(),
    };
    world.play();
    world.observed()
}

pub(super) struct World<'a> {
    pub(super) definition: &'a Definition,
    pub(super) scenario: &'a Scenario,
    pub(super) state: State,
    pub(super) now: Time,
    pub(super) entries: Vec<Entry>,
    /// The answers that are under way, by when they come and in which order they were given.
    pub(super) deliveries: BTreeMap<(Time, u64), Input>,
    pub(super) delivered: u64,
    /// When which attempt was sent, or which step began.
    pub(super) begun: Vec<(StepPath, Direction, u32, Time)>,
    pub(super) status_since: BTreeMap<&'static str, Time>,
    /// How many of the happenings are over, and when the last was.
    pub(super) happened: usize,
    pub(super) last_happened: Time,
    pub(super) commands: Vec<Sent>,
    pub(super) events: Vec<(Arc<str>, Value)>,
    pub(super) objections: Vec<String>,
}

/// What comes next.
enum Next {
    Happening,
    Delivery,
    Wake,
}

impl World<'_> {
    fn play(&mut self) {
        // It is a saga's own word who is part of whom, so that any can be started as part of another.
        let is_part = self.scenario.when.iter().any(|happening| matches!(happening.what, What::Undo));
        let parent = Parent {
            saga: SagaId::of_message("scenario", "parent"),
            step: StepPath::new("part"),
            attempt: 1,
        };
        let started = Started {
            key: self.scenario.key.clone(),
            parent: is_part.then_some(parent),
            attributes: self.scenario.attributes.clone(),
            ..self.definition.start(Arc::clone(&self.scenario.input))
        };
        let _ = self.take(&Input::Start(Box::new(started)));
        for _ in 0..MOST_INPUTS {
            let Some((at, next)) = self.next() else { break };
            self.now = at.max(self.now);
            match next {
                Next::Happening => {
                    if self.happen() {
                        return;
                    }
                }
                Next::Delivery => {
                    if let Some((_, input)) = self.deliveries.pop_first() {
                        self.deliver(&input);
                    }
                }
                Next::Wake => {
                    let _ = self.take(&Input::wake());
                }
            }
        }
        for happening in self.scenario.when.iter().skip(self.happened) {
            self.objections.push(format!("`{}` never happened{}", happening.told, why_never(happening)));
        }
        for aim in &self.scenario.answered {
            if !self.begun.iter().any(|(path, direction, ..)| aim.matches(path, *direction)) {
                self.objections.push(format!("`{aim}` was never begun: nobody asked for its answer"));
            }
        }
    }

    /// Whoever acts comes before an answer, and an answer before its deadline.
    fn next(&self) -> Option<(Time, Next)> {
        let happening = self.scenario.when.get(self.happened).and_then(|happening| self.due(happening));
        let delivery = self.deliveries.keys().next().map(|(at, _)| *at);
        let mut wake = self.state.wake.filter(|_| self.state.ended.is_none());
        let waits_for_somebody = || outlook::timers(&self.state).iter().all(|timer| timer.step.is_none());
        if happening.is_none()
            && delivery.is_none()
            && self.state.status() == Status::Stuck
            && waits_for_somebody()
        {
            wake = None;
        }
        let all = [(happening, Next::Happening), (delivery, Next::Delivery), (wake, Next::Wake)];
        all.into_iter().filter_map(|(at, next)| Some((at?, next))).min_by_key(|(at, _)| *at)
    }

    /// When the next happening happens, as far as that is known.
    fn due(&self, happening: &Happening) -> Option<Time> {
        let from = match &happening.once {
            None => self.last_happened,
            Some(Once::Status(status)) if self.state.status() == *status => {
                *self.status_since.get(status.as_str())?
            }
            Some(Once::Status(_)) => return None,
            Some(Once::Begun(aim, attempt)) => {
                let begun = self
                    .begun
                    .iter()
                    .find(|(path, direction, number, _)| aim.matches(path, *direction) && number == attempt);
                begun?.3
            }
        };
        let at = happening.at.map(|at| self.scenario.starts_at.after(at)).unwrap_or_default();
        Some(from.max(at).after(happening.after).max(self.now))
    }

    /// Does what happens next. `true`: the run ends here.
    fn happen(&mut self) -> bool {
        let Some(happening) = self.scenario.when.get(self.happened) else { return false };
        self.happened += 1;
        self.last_happened = self.now;
        let by = |reason: &str| By { actor: "scenario".to_owned(), reason: reason.to_owned() };
        let input = match &happening.what {
            What::Stop => return true,
            What::Cancel { reason } => Input::Cancel(by(reason)),
            What::Pause => Input::Pause(by("pause")),
            What::Resume => Input::Resume(by("resume")),
            What::Undo => Input::Undo { attempt: 1 },
            What::Arrival(arrival) => {
                self.check_correlation(arrival);
                Input::Arrival(Arc::clone(arrival))
            }
            What::Reply { aim, attempt, result } => {
                let path = self.resolve(aim);
                let latest = self.state.step(&path).map_or(1, |step| step.attempts(aim.direction).last);
                let number = attempt.unwrap_or(latest);
                let attempt = Attempt { step: path, direction: aim.direction, number };
                Input::Reply(Reply { attempt, result: result.clone() })
            }
            What::Intervene(action) => Input::Intervene { action: action.clone(), by: by(&happening.told) },
        };
        let is_reply = matches!(happening.what, What::Reply { .. });
        match (self.take(&input), &happening.refused) {
            (Ok(()), None) => {}
            (Err(ignored), Some(code)) if code.as_ref().is_none_or(|code| code == ignored.code()) => {}
            (Err(_), None) if is_reply => {}
            (Ok(()), Some(_)) => {
                self.objections.push(format!("`{}` was not refused", happening.told));
            }
            (Err(ignored), _) => {
                self.objections.push(format!(
                    "`{}` was refused ({}): {ignored}",
                    happening.told,
                    ignored.code()
                ));
            }
        }
        false
    }

    /// The first item, if none is named.
    fn resolve(&self, aim: &Aim) -> StepPath {
        let begun = self.begun.iter().find(|(path, direction, ..)| aim.matches(path, *direction));
        begun.map_or_else(|| aim.path.clone(), |(path, ..)| path.clone())
    }

    pub(super) fn take(&mut self, input: &Input) -> Result<(), Ignored> {
        let decision = transition(self.definition, &self.state, input, self.now)?;
        self.state = decision.state;
        for fact in &decision.entry.facts {
            self.note(fact);
        }
        self.entries.push(decision.entry);
        decision.messages.into_iter().for_each(|message| self.send(message));
        let now = self.now;
        let status = self.state.status().as_str();
        self.status_since.retain(|known, _| *known == status);
        self.status_since.entry(status).or_insert(now);
        Ok(())
    }

    fn note(&mut self, fact: &Fact) {
        let (path, direction, attempt) = match fact {
            Fact::Sent { step, direction, attempt, .. } | Fact::ChildSent { step, direction, attempt } => {
                (step, *direction, *attempt)
            }
            Fact::Waiting { step, .. }
            | Fact::Sleeping { step, .. }
            | Fact::Published { step }
            | Fact::FannedOut { step, .. } => (step, Direction::Forward, 1),
            _ => return,
        };
        self.begun.push((path.clone(), direction, attempt, self.now));
    }

    fn observed(self) -> Observed {
        let ended = self.state.ended.as_ref();
        let end = ended.map_or(self.now, |end| end.at);
        Observed {
            status: self.state.status(),
            lasted: end.since(self.scenario.starts_at),
            objections: self.objections,
            commands: self.commands,
            events: self.events,
            output: ended.and_then(|end| end.output.as_deref().cloned()),
            problem: self.state.stopping.as_ref().map(|stop| stop.problem.code.to_string()),
            incidents: self.state.incidents,
            entries: self.entries,
        }
    }
}

fn why_never(happening: &Happening) -> String {
    match &happening.once {
        Some(Once::Begun(aim, 1)) => format!(": `{aim}` was never begun"),
        Some(Once::Begun(aim, attempt)) => format!(": `{aim}` had no attempt {attempt}"),
        Some(Once::Status(status)) => format!(": the saga was never {}", status.as_str()),
        None => String::new(),
    }
}
