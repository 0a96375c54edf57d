//! What a saga will do next, what it waits for, and the actions that an operator can take.

pub mod sent;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{Action, Awaited, Block, Definition, Step, StepIndex, StepKind};
use super::id::{Direction, StepPath, Time};
use super::input::{Input, Intervention, Resolution};
use super::journal::{By, Fact, InterventionKind};
use super::state::{Entered, Incident, Pending, State, Status, StepOutcome};
use super::transition::transition;

/// Most waits that are listed in a sentence.
const MAX_LISTED: usize = 3;

/// An upcoming step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpcomingStep {
    pub step: StepPath,
    pub action: UpcomingAction,
    /// The command, event, signal or saga that it names.
    pub name: Option<Arc<str>>,
    /// Whether it may be skipped.
    pub conditional: bool,
}

/// What an upcoming step does: its compensation, or what its kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpcomingAction {
    Compensation,
    #[serde(untagged)]
    Step(StepKind),
}

/// Something that will happen automatically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// `None`: it is about the whole saga.
    pub step: Option<StepPath>,
    pub kind: TimerKind,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The end of the wait for a reply, a signal or an event.
    Deadline,
    Retry,
    Sleep,
    /// The timeout of the saga.
    Timeout,
}

impl UpcomingAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compensation => "compensation",
            Self::Step(kind) => kind.as_str(),
        }
    }
}

impl TimerKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Retry => "retry",
            Self::Sleep => "sleep",
            Self::Timeout => "timeout",
        }
    }
}

/// The upcoming steps in the direction of the saga, in order. The body of a list that is not made yet is listed once.
pub fn upcoming_steps(definition: &Definition, state: &State) -> Vec<UpcomingStep> {
    let mut view = View { definition, state, items: Vec::new(), found: Vec::new() };
    match () {
        () if state.ended.is_some() || state.started.is_none() => {}
        () if state.rolling_back || state.stopping.is_some() => view.behind(&definition.body),
        () => view.ahead(&definition.body, false),
    }
    view.found
}

struct View<'a> {
    definition: &'a Definition,
    state: &'a State,
    items: Vec<u32>,
    found: Vec<UpcomingStep>,
}

impl View<'_> {
    fn ahead(&mut self, block: &Block, conditional: bool) {
        match block {
            Block::Step(index) => self.step_ahead(*index, conditional),
            Block::Sequence(blocks) | Block::Parallel(blocks) => {
                blocks.iter().for_each(|block| self.ahead(block, conditional));
            }
            Block::Choice(index, branches) => match self.state.entered.get(&self.path(*index)) {
                Some(Entered::Branch(taken)) => {
                    if let Some(branch) = branches.get(*taken as usize) {
                        self.ahead(branch, conditional);
                    }
                }
                _ if self.is_over(*index) => {}
                _ => {
                    self.step_ahead(*index, conditional);
                    branches.iter().for_each(|branch| self.ahead(branch, true));
                }
            },
            Block::ForEach(index, body) => match self.state.entered.get(&self.path(*index)) {
                Some(Entered::Items(items)) => {
                    for item in 0..u32::try_from(items.len()).unwrap_or(u32::MAX) {
                        self.items.push(item);
                        self.ahead(body, conditional);
                        self.items.pop();
                    }
                }
                _ if self.is_over(*index) => {}
                _ => {
                    self.step_ahead(*index, conditional);
                    self.ahead(body, true);
                }
            },
        }
    }

    /// Whether the block will not be entered any more.
    fn is_over(&self, index: StepIndex) -> bool {
        let state = self.state.step(&self.path(index));
        state.is_some_and(|state| state.pending(Direction::Forward).is_none())
    }

    fn step_ahead(&mut self, index: StepIndex, conditional: bool) {
        let (path, step) = (self.path(index), self.definition.step_at(index));
        if self.state.step(&path).is_none() {
            let (action, name) = (UpcomingAction::Step(step.action.kind()), name_of(&step.action));
            let conditional = conditional || step.when.is_some();
            self.found.push(UpcomingStep { step: path, action, name, conditional });
        }
    }

    /// As long as a pivot may succeed meanwhile, no compensation is certain.
    fn behind(&mut self, block: &Block) {
        match block {
            Block::Step(index) => self.step_behind(*index),
            Block::Sequence(blocks) => blocks.iter().rev().for_each(|block| self.behind(block)),
            Block::Parallel(branches) => branches.iter().for_each(|branch| self.behind(branch)),
            Block::Choice(index, branches) => {
                if let Some(Entered::Branch(taken)) = self.state.entered.get(&self.path(*index))
                    && let Some(branch) = branches.get(*taken as usize)
                {
                    self.behind(branch);
                }
            }
            Block::ForEach(index, body) => {
                if let Some(Entered::Items(items)) = self.state.entered.get(&self.path(*index)) {
                    for item in (0..u32::try_from(items.len()).unwrap_or(u32::MAX)).rev() {
                        self.items.push(item);
                        self.behind(body);
                        self.items.pop();
                    }
                }
            }
        }
    }

    fn step_behind(&mut self, index: StepIndex) {
        let (path, step) = (self.path(index), self.definition.step_at(index));
        let Some(state) = self.state.step(&path) else { return };
        let may_have_happened = !matches!(state.outcome, StepOutcome::Failed(_) | StepOutcome::Skipped);
        if may_have_happened && step.has_compensation() && state.compensation.is_none() && !step.is_pivot() {
            let is_certain = self.state.rolling_back && !matches!(state.outcome, StepOutcome::Pending(_));
            let name = match step.command(Direction::Compensate) {
                Some(command) => Some(Arc::clone(&command.name)),
                None => name_of(&step.action),
            };
            let conditional = !is_certain;
            self.found.push(UpcomingStep {
                step: path,
                action: UpcomingAction::Compensation,
                name,
                conditional,
            });
        }
    }

    fn path(&self, index: StepIndex) -> StepPath {
        StepPath::at(Arc::clone(&self.definition.step_at(index).name), &self.items)
    }
}

fn name_of(action: &Action) -> Option<Arc<str>> {
    match action {
        Action::Command(step) => Some(Arc::clone(&step.command.name)),
        Action::Wait(wait) => Some(Arc::clone(wait.awaited.name())),
        Action::Child(child) => Some(Arc::clone(&child.definition)),
        Action::Publish(publish) => Some(Arc::clone(&publish.event)),
        Action::Choice(_) | Action::ForEach(_) | Action::Sleep(_) | Action::Fail { .. } => None,
    }
}

/// What the saga waits for, in one sentence.
pub fn waits_for(definition: &Definition, state: &State) -> String {
    if state.started.is_none() {
        return "It has not been started.".to_owned();
    }
    if let Some(end) = &state.ended {
        return format!("Nothing: it ended as {} at {}.", end.status.as_str(), end.at.to_rfc3339());
    }
    if let Some(since) = state.paused {
        return format!("It is paused since {}, and waits for an operator to resume it.", since.to_rfc3339());
    }
    if state.status() == Status::Stuck {
        return format!(
            "It waits for an operator: {}.",
            join_words(state.incidents.iter().map(of_incident), "; ")
        );
    }
    let both = [Direction::Forward, Direction::Compensate];
    let pending = state.steps.iter().flat_map(|(path, step)| {
        both.into_iter().filter_map(move |direction| Some((path, direction, step.pending(direction)?)))
    });
    let waits = pending.map(|(path, direction, pending)| {
        let number = state.step(path).map_or(0, |step| step.attempts(direction).last);
        of_step(definition, path, direction, pending, number)
    });
    let turn = if state.stopping.is_some() && !state.rolling_back { ", before it turns back" } else { "" };
    format!("It waits for {}{turn}.", join_words(waits, ", and for "))
}

fn join_words(all: impl Iterator<Item = String>, and: &str) -> String {
    let all: Vec<_> = all.collect();
    match all.len() {
        0 => "nothing".to_owned(),
        len if len <= MAX_LISTED => all.join(and),
        len => format!("{}{and}{} more", all[..MAX_LISTED].join(and), len - MAX_LISTED),
    }
}

fn of_incident(incident: &Incident) -> String {
    let what = match (&incident.step, incident.direction) {
        (Some(step), Some(Direction::Forward)) => format!("`{step}` is held"),
        (Some(step), Some(Direction::Compensate)) => format!("the compensation of `{step}` is held"),
        (Some(step), None) => format!("`{step}` waits for an operator"),
        (None, _) => "the saga cannot continue".to_owned(),
    };
    match incident.problem.message.as_str() {
        "" => format!("{what} ({})", incident.problem.code),
        message => format!("{what} ({}: {message})", incident.problem.code),
    }
}

fn of_step(
    definition: &Definition,
    path: &StepPath,
    direction: Direction,
    pending: Pending,
    number: u32,
) -> String {
    let step = definition.step(path);
    let command = step.and_then(|step| step.command(direction)).map_or("", |command| &command.name);
    let action = step.map(|step: &Step| &step.action);
    match pending {
        Pending::Reply { deadline } => {
            let again = if number > 1 { format!(", attempt {number}") } else { String::new() };
            format!("the reply to `{command}` of `{path}` until {}{again}", deadline.to_rfc3339())
        }
        Pending::Retry { until } => {
            format!("attempt {} of `{command}` of `{path}` at {}", number + 1, until.to_rfc3339())
        }
        Pending::Route { until } => {
            format!("a queue for `{command}` of `{path}`: it is sent again at {}", until.to_rfc3339())
        }
        Pending::ReceivedEvent { deadline } => {
            let what = match action {
                Some(Action::Wait(wait)) => match &wait.awaited {
                    Awaited::Signal(name) => format!("the signal `{name}`"),
                    Awaited::Event(event) => format!("the event `{}`", event.event),
                },
                _ => "what it needs".to_owned(),
            };
            format!("{what} of `{path}` until {}", deadline.to_rfc3339())
        }
        Pending::Sleep { until } => format!("the end of `{path}` at {}", until.to_rfc3339()),
        Pending::Child => {
            let child = action.and_then(name_of).unwrap_or_default();
            match direction {
                Direction::Forward => format!("the saga `{child}` of `{path}` to end"),
                Direction::Compensate => format!("the saga `{child}` of `{path}` to be compensated"),
            }
        }
        Pending::Operator => format!("an operator to see to `{path}`"),
    }
}

/// The timers of a saga, the soonest first.
pub fn timers(state: &State) -> Vec<Timer> {
    if state.ended.is_some() || state.paused.is_some() {
        return Vec::new();
    }
    let both = [Direction::Forward, Direction::Compensate];
    let is_stopping = state.stopping.is_some();
    let of_steps = state.steps.iter().flat_map(|(path, step)| {
        both.into_iter().filter_map(move |direction| {
            let (kind, at) = match step.pending(direction)? {
                Pending::Reply { deadline } => (TimerKind::Deadline, deadline),
                Pending::Retry { until } | Pending::Route { until } => (TimerKind::Retry, until),
                Pending::ReceivedEvent { deadline } if !is_stopping => (TimerKind::Deadline, deadline),
                Pending::Sleep { until } if !is_stopping => (TimerKind::Sleep, until),
                _ => return None,
            };
            Some(Timer { step: Some(path.clone()), kind, at })
        })
    });
    let own = state.overdue_at().map(|at| Timer { step: None, kind: TimerKind::Timeout, at });
    let mut timers: Vec<_> = of_steps.chain(own).collect();
    timers.sort_by_key(|timer| timer.at);
    timers
}

/// The interventions that would be accepted now and do not just lead to the same incident again. Each is tried.
pub fn allowed_actions(definition: &Definition, state: &State, incident: &Incident) -> Vec<InterventionKind> {
    let step = incident.step.clone();
    let resolve = step
        .clone()
        .map(|step| Intervention::Resolve { step, outcome: Resolution::Succeeded(Arc::new(Value::Null)) });
    let asked = [
        Some(Intervention::Retry { step: step.clone() }),
        resolve,
        Some(Intervention::Skip { step }),
        Some(Intervention::Rollback),
        incident.problem.is_limit().then_some(Intervention::RaiseLimits),
        Some(Intervention::Abandon),
    ];
    let helps = |action: &Intervention| {
        let by = By { actor: String::new(), reason: String::new() };
        let input = Input::Intervene { action: action.clone(), by };
        let decision = transition(definition, state, &input, incident.at);
        decision.is_ok_and(|decision| !decision.entry.facts.iter().any(|fact| raises_again(fact, incident)))
    };
    asked.into_iter().flatten().filter(helps).map(|action| action.kind()).collect()
}

fn raises_again(fact: &Fact, incident: &Incident) -> bool {
    match fact {
        Fact::Held { step, problem, .. } => {
            incident.step.as_ref() == Some(step) && problem.code == incident.problem.code
        }
        Fact::IncidentRaised { step, problem } => {
            *step == incident.step && problem.code == incident.problem.code
        }
        _ => false,
    }
}
