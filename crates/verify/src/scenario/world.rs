//! The world of one scenario: a saga, its participants, and a clock that jumps to the next event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::script::{After, Aim, Scenario, ScriptedAction, ScriptedEvent};
use crate::virtual_time::{Due, VirtualTime};
use snorri_core::input::{Attempt, Input, Reply};
use snorri_core::journal::{By, Entry, Fact, Parent, Started};
use snorri_core::state::Incident;
use snorri_core::{Definition, Direction, Rejection, SagaId, State, Status, StepPath, Time, outlook};
use snorri_definition::Compiled;

/// Most inputs of one run. The bound of the journal is reached before.
const MOST_INPUTS: usize = 100_000;

/// The observations of a run.
#[derive(Debug)]
pub struct Observed {
    pub entries: Vec<Entry>,
    pub status: Status,
    pub lasted: Duration,
    /// Problems of the run that are not differences from `expect`.
    pub objections: Vec<String>,
    pub(super) commands: Vec<SentMessage>,
    pub(super) events: Vec<(Arc<str>, Value)>,
    pub(super) output: Option<Value>,
    pub(super) problem: Option<String>,
    pub(super) incidents: Vec<Incident>,
}

/// A command to a participant or to a child saga.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentMessage {
    pub(super) aim: Aim,
    pub(super) name: Arc<str>,
    pub(super) payload: Value,
}

/// Runs a scenario to its end: until the saga has ended or waits for an input, and no events are left.
pub fn run(compiled: &Compiled, scenario: &Scenario) -> Observed {
    let definition = &compiled.definition;
    let id = match &scenario.key {
        Some(key) => SagaId::of_key(&definition.name, key),
        None => SagaId::of_message(&definition.name, &scenario.name),
    };
    let mut world = World {
        definition,
        scenario,
        time: VirtualTime::new(scenario.starts_at),
        entries: Vec::new(),
        begun: Vec::new(),
        status_since: BTreeMap::new(),
        happened: 0,
        last_happened: scenario.starts_at,
        commands: Vec::new(),
        events: Vec::new(),
        objections: Vec::new(),
    };
    world.time.add(definition, id);
    world.play();
    world.observed()
}

pub(super) struct World<'a> {
    pub(super) definition: &'a Definition,
    pub(super) scenario: &'a Scenario,
    /// The saga, and the answers that are under way.
    pub(super) time: VirtualTime<'a, Input>,
    pub(super) entries: Vec<Entry>,
    /// The attempts that were sent and the steps that began, with their times.
    pub(super) begun: Vec<(StepPath, Direction, u32, Time)>,
    pub(super) status_since: BTreeMap<&'static str, Time>,
    /// The number of scripted events so far, and the time of the last one.
    pub(super) happened: usize,
    pub(super) last_happened: Time,
    pub(super) commands: Vec<SentMessage>,
    pub(super) events: Vec<(Arc<str>, Value)>,
    pub(super) objections: Vec<String>,
}

/// The only saga of the world.
pub(super) const SAGA: usize = 0;

impl World<'_> {
    fn play(&mut self) {
        // The parent is given in the start input, so any saga can be started as a child.
        let is_part = self.scenario.when.iter().any(|event| matches!(event.what, ScriptedAction::Compensate));
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
            if let Some(at) = self.next_scripted() {
                self.time.advance_to(at);
                if self.happen() {
                    return;
                }
            } else if self.waits_for_operator() {
                break;
            } else {
                match self.time.advance() {
                    Some((_, Due::Event(input))) => self.deliver(&input),
                    Some((_, Due::Wake)) => drop(self.take(&Input::wake())),
                    None => break,
                }
            }
        }
        for event in self.scenario.when.iter().skip(self.happened) {
            self.objections.push(format!("`{}` never happened{}", event.label, why_never(event)));
        }
        for aim in &self.scenario.answered {
            if !self.begun.iter().any(|(path, direction, ..)| aim.matches(path, *direction)) {
                self.objections.push(format!("`{aim}` never began: its stub was not used"));
            }
        }
    }

    /// The time of the next scripted event, if it comes next. At the same time, it comes before an answer.
    fn next_scripted(&self) -> Option<Time> {
        let at = self.due(self.scenario.when.get(self.happened)?)?;
        self.time.next_at().is_none_or(|next| at <= next).then_some(at)
    }

    /// Whether only an operator could change something before the saga's own timeout.
    fn waits_for_operator(&self) -> bool {
        let state = self.state();
        let is_scripted =
            self.scenario.when.get(self.happened).is_some_and(|event| self.due(event).is_some());
        !is_scripted
            && !self.time.has_events()
            && state.status() == Status::Stuck
            && outlook::timers(state).iter().all(|timer| timer.step.is_none())
    }

    pub(super) fn state(&self) -> &State {
        self.time.state(SAGA)
    }

    /// The time of the next scripted event, if it is known.
    fn due(&self, event: &ScriptedEvent) -> Option<Time> {
        let from = match &event.after {
            None => self.last_happened,
            Some(After::Status(status)) if self.state().status() == *status => {
                *self.status_since.get(status.as_str())?
            }
            Some(After::Status(_)) => return None,
            Some(After::Begun(aim, attempt)) => {
                let begun = self
                    .begun
                    .iter()
                    .find(|(path, direction, number, _)| aim.matches(path, *direction) && number == attempt);
                begun?.3
            }
        };
        let at = event.at.map(|at| self.scenario.starts_at.after(at)).unwrap_or_default();
        Some(from.max(at).after(event.delay).max(self.time.now()))
    }

    /// Applies the next scripted event. Returns `true` if the run ends here.
    fn happen(&mut self) -> bool {
        let Some(event) = self.scenario.when.get(self.happened) else { return false };
        self.happened += 1;
        self.last_happened = self.time.now();
        let by = |reason: &str| By { actor: "scenario".to_owned(), reason: reason.to_owned() };
        let input = match &event.what {
            ScriptedAction::Stop => return true,
            ScriptedAction::Cancel { reason } => Input::Cancel(by(reason)),
            ScriptedAction::Pause => Input::Pause(by("pause")),
            ScriptedAction::Resume => Input::Resume(by("resume")),
            ScriptedAction::Compensate => Input::Compensate { attempt: 1 },
            ScriptedAction::ReceivedEvent(arrival) => {
                self.check_correlation(arrival);
                Input::Event(Arc::clone(arrival))
            }
            ScriptedAction::Reply { aim, attempt, result } => {
                let path = self.resolve(aim);
                let latest = self.state().step(&path).map_or(1, |step| step.attempts(aim.direction).last);
                let number = attempt.unwrap_or(latest);
                let attempt = Attempt { step: path, direction: aim.direction, number };
                Input::Reply(Reply { attempt, result: result.clone() })
            }
            ScriptedAction::Intervene(action) => {
                Input::Intervene { action: action.clone(), by: by(&event.label) }
            }
        };
        let is_reply = matches!(event.what, ScriptedAction::Reply { .. });
        match (self.take(&input), &event.refused) {
            (Ok(()), None) => {}
            (Err(ignored), Some(code)) if code.as_ref().is_none_or(|code| code == ignored.code()) => {}
            (Err(_), None) if is_reply => {}
            (Ok(()), Some(_)) => {
                self.objections.push(format!("`{}` was not refused", event.label));
            }
            (Err(ignored), _) => {
                self.objections.push(format!(
                    "`{}` was refused ({}): {ignored}",
                    event.label,
                    ignored.code()
                ));
            }
        }
        false
    }

    /// The path of the aim, with the first item if none is named.
    fn resolve(&self, aim: &Aim) -> StepPath {
        let begun = self.begun.iter().find(|(path, direction, ..)| aim.matches(path, *direction));
        begun.map_or_else(|| aim.path.clone(), |(path, ..)| path.clone())
    }

    pub(super) fn take(&mut self, input: &Input) -> Result<(), Rejection> {
        let applied = self.time.take(SAGA, input)?;
        for fact in &applied.entry.facts {
            self.note(fact);
        }
        self.entries.push(applied.entry);
        applied.messages.into_iter().for_each(|message| self.send(message));
        let (now, status) = (self.time.now(), self.state().status().as_str());
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
            | Fact::ItemsExpanded { step, .. } => (step, Direction::Forward, 1),
            _ => return,
        };
        self.begun.push((path.clone(), direction, attempt, self.time.now()));
    }

    fn observed(self) -> Observed {
        let state = self.time.state(SAGA);
        let ended = state.ended.as_ref();
        let end = ended.map_or(self.time.now(), |end| end.at);
        Observed {
            status: state.status(),
            lasted: end.since(self.scenario.starts_at),
            objections: self.objections,
            commands: self.commands,
            events: self.events,
            output: ended.and_then(|end| end.output.as_deref().cloned()),
            problem: state.stopping.as_ref().map(|stop| stop.problem.code.to_string()),
            incidents: state.incidents.clone(),
            entries: self.entries,
        }
    }
}

fn why_never(event: &ScriptedEvent) -> String {
    match &event.after {
        Some(After::Begun(aim, 1)) => format!(": `{aim}` never began"),
        Some(After::Begun(aim, attempt)) => format!(": `{aim}` had no attempt {attempt}"),
        Some(After::Status(status)) => format!(": the saga was never {}", status.as_str()),
        None => String::new(),
    }
}
