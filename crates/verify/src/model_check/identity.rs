//! Checks in each state that pauses and migrations change nothing, and that the right interventions are accepted.
//!
//! A pause followed by a resume, and a migration to the same definition, leave a saga as it is: compared field by field.
//! A stimulus during a pause leads to the same states as without one. The interventions that are accepted, and those that are
//! offered, depend on the situation only: they are compared once for each situation.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::model_check::abstraction::Answers;
use crate::model_check::fingerprint::{self, Fingerprints};
use crate::model_check::operator::{self, Act};
use crate::model_check::rules::{Broken, Rule};
use crate::model_check::stimulus::{NOW, Stimulus};
use crate::model_check::system::System;
use snorri_core::definition::{Definition, Step};
use snorri_core::id::{Direction, StepPath};
use snorri_core::journal::Fact;
use snorri_core::message::{ChildCommandKind, Message};
use snorri_core::outlook;
use snorri_core::state::{Incident, Pending, State, StepOutcome, StepState};
use snorri_core::transition::{Decision, Rejection, transition};

/// The duration of a pause.
const PAUSE: Duration = Duration::from_hours(1);

/// A broken rule, and the stimuli that show it.
pub(super) struct Fault {
    pub(super) broken: Broken,
    pub(super) then: Vec<Stimulus>,
}

/// The faults of a state. `compared` are the situations that have been compared.
pub(super) fn faults(
    system: &System<'_>,
    prints: &Fingerprints,
    (state, answers): (&State, &Answers),
    compared: &mut HashSet<u64>,
) -> Vec<Fault> {
    let compare = Compare { system, prints, state, answers };
    let mut found = Vec::new();
    compare.interventions(compared, &mut found);
    if state.seq == 0 || state.ended.is_some() {
        return found;
    }
    compare.offers(compared, &mut found);
    if !system.everywhere && !compare.is_new(compared) {
        return found;
    }
    found.extend(compare.migration());
    if state.paused.is_none() {
        match compare.pause() {
            Ok(paused) => compare.during_pause(&paused, compared, &mut found),
            Err(fault) => found.push(fault),
        }
    }
    found
}

struct Compare<'a> {
    system: &'a System<'a>,
    prints: &'a Fingerprints,
    state: &'a State,
    answers: &'a Answers,
}

impl Compare<'_> {
    /// Whether some step is in a situation that has not been compared yet.
    fn is_new(&self, compared: &mut HashSet<u64>) -> bool {
        let saga = situation(&self.system.abstraction.definition, self.state);
        let steps = self.state.steps.iter();
        let new = steps.filter(|(path, step)| {
            compared.insert(fingerprint::of(&(saga, path.name(), fingerprint::of_step(step))))
        });
        new.count() > 0
    }

    /// Checks that each intervention is accepted if it must be, and refused otherwise. That depends on the situation of the saga
    /// and, for an intervention that names a step, on the state of the step.
    fn interventions(&self, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.system.abstraction.definition, self.state);
        let steps = self.state.steps.iter().map(|(path, step)| (Some(path), fingerprint::of_step(step)));
        for (path, step) in std::iter::once((None, 0)).chain(steps) {
            let loose = self.state.incidents.iter().filter(|incident| incident.direction.is_none());
            let has_loose = loose.filter(|incident| incident.step.as_ref() == path).count() > 0;
            if !compared.insert(fingerprint::of(&("intervention", saga, step, path.is_some(), has_loose))) {
                continue;
            }
            let acts = if path.is_some() { &operator::OF_STEP[..] } else { &operator::OF_SAGA[..] };
            let wrong = acts.iter().filter(|act| {
                let must_be = act.is_allowed(&self.system.abstraction.definition, self.state, path);
                self.decide(self.state, **act, path).is_ok() != must_be
            });
            found.extend(wrong.map(|act| fault(Rule::WrongIntervention, path, vec![act.on(path)])));
        }
    }

    /// Checks that each incident offers the accepted interventions, except those that only raise the same incident again.
    fn offers(&self, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.system.abstraction.definition, self.state);
        for incident in &self.state.incidents {
            let step = incident.step.as_ref();
            let of_step = step.and_then(|step| self.state.step(step)).map(fingerprint::of_step);
            if !compared.insert(fingerprint::of(&("offer", saga, of_step, incident.direction.is_some()))) {
                continue;
            }
            let definition = &self.system.abstraction.definition;
            let offered: BTreeSet<_> =
                outlook::allowed_actions(definition, self.state, incident).into_iter().collect();
            let mut acts = vec![Act::Retry, Act::Succeeded, Act::Skip, Act::Rollback, Act::Abandon];
            acts.extend(incident.problem.is_limit().then_some(Act::RaiseLimits));
            let helps = |act: &&Act| {
                let step = step.filter(|_| operator::OF_STEP.contains(act));
                act.is_allowed(definition, self.state, step)
                    && self.decide(self.state, **act, step).is_ok_and(|it| !raises_again(&it, incident))
            };
            let helpful: BTreeSet<_> = acts.iter().filter(helps).filter_map(|act| act.kind()).collect();
            if offered != helpful {
                found.push(fault(Rule::WrongIntervention, step, Vec::new()));
            }
        }
    }

    /// Checks that a migration to the same definition is accepted and changes nothing but the version.
    fn migration(&self) -> Option<Fault> {
        let wrong = || Some(fault(Rule::MigrationChanges, None, vec![Act::Migrate.on(None)]));
        let Ok(decision) = self.decide(self.state, Act::Migrate, None) else { return wrong() };
        let mut expected = self.after(&decision);
        expected.migrated = Some(self.system.next.version);
        let is_same = decision.state == expected && decision.messages.is_empty();
        if is_same { None } else { wrong() }
    }

    /// The state with one more entry in its journal, and the wake-up time of a decision.
    fn after(&self, decision: &Decision) -> State {
        let mut state = self.state.clone();
        state.seq += 1;
        state.wake = decision.state.wake;
        state
    }

    /// Checks that a pause, with a later resume, changes nothing but the times of timers. Returns the paused state.
    fn pause(&self) -> Result<State, Fault> {
        let acts = [Act::Pause, Act::Resume];
        let wrong =
            |count| fault(Rule::PauseChanges, None, acts[..count].iter().map(|act| act.on(None)).collect());
        let paused = self.decide(self.state, Act::Pause, None).map_err(|_| wrong(1))?;
        let mut expected = self.after(&paused);
        (expected.paused, expected.wake) = (Some(NOW), None);
        if paused.state != expected || !paused.messages.is_empty() || paused.state.next_due().is_some() {
            return Err(wrong(1));
        }
        let resume = Act::Resume.input(None, &self.system.next).ok_or_else(|| wrong(2))?;
        let definition = &self.system.abstraction.definition;
        let resumed =
            transition(definition, &paused.state, &resume, NOW.after(PAUSE)).map_err(|_| wrong(2))?;
        let mut expected = postpone(self.state);
        expected.seq += 2;
        expected.wake = expected.next_due();
        // Children that have been asked to roll back are sent the same child command again.
        let is_silent = resumed.messages.iter().all(is_cancel);
        if resumed.state == expected && is_silent { Ok(paused.state) } else { Err(wrong(2)) }
    }

    /// Checks that inputs during a pause are kept: once the saga is resumed, its state is the same as without the pause.
    fn during_pause(&self, paused: &State, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.system.abstraction.definition, self.state);
        let is_new_pause = compared.insert(fingerprint::of(&("paused", saga)));
        if is_new_pause {
            let Compare { system, prints, answers, .. } = *self;
            Compare { system, prints, answers, state: paused }.interventions(compared, found);
        }
        for stimulus in self.system.stimuli(self.state) {
            if stimulus.kind.is_timer() || stimulus.kind.is_repetition() {
                continue;
            }
            let step = stimulus.of.as_ref().and_then(|(path, _)| self.state.step(path));
            let situation = (stimulus.kind, &stimulus.of, step.map(fingerprint::of_step), saga);
            if !self.system.everywhere && !compared.insert(fingerprint::of(&situation)) {
                continue;
            }
            let directly = self.results(self.state, std::slice::from_ref(&stimulus));
            let paused = self.results(paused, &[stimulus.clone(), Act::Resume.on(None)]);
            if directly != paused {
                let step = stimulus.of.as_ref().map(|(path, _)| path);
                let then = vec![Act::Pause.on(None), stimulus.clone(), Act::Resume.on(None)];
                found.push(fault(Rule::PauseChanges, step, then));
            }
        }
    }

    /// The states and messages that a sequence of stimuli leads to. Cancel commands to children are left out if the saga was
    /// already stopping: they are sent again after a pause.
    fn results(&self, state: &State, stimuli: &[Stimulus]) -> BTreeSet<(u64, BTreeSet<Sent>)> {
        let is_stopping = state.stopping.is_some();
        let mut reached = vec![(state.clone(), self.answers.clone(), BTreeSet::new())];
        for stimulus in stimuli {
            let mut next = Vec::new();
            for (state, answers, sent) in &reached {
                for (decision, answers) in self.system.decisions(state, answers, stimulus) {
                    let news = decision.messages.iter().filter(|one| !(is_stopping && is_cancel(one)));
                    let sent = news.filter_map(summarize_message).chain(sent.iter().cloned()).collect();
                    next.push((decision.state, answers, sent));
                }
            }
            reached = next;
        }
        let prints = reached.into_iter();
        prints.map(|(state, answers, sent)| (self.prints.take(&state, &answers), sent)).collect()
    }

    fn decide(&self, state: &State, act: Act, step: Option<&StepPath>) -> Result<Decision, Rejection> {
        let input = act.input(step, &self.system.next).ok_or(Rejection::NoSuchIncident)?;
        transition(&self.system.abstraction.definition, state, &input, NOW)
    }
}

/// The situation of a saga: the part of its state, apart from single steps, that decides which interventions are accepted.
pub(super) fn situation(definition: &Definition, state: &State) -> u64 {
    let is_pivot_awaited = state.steps.iter().any(|(path, step)| {
        step.pending(Direction::Forward).is_some() && definition.step(path).is_some_and(Step::is_pivot)
    });
    let flags = [
        state.seq == 0,
        state.paused.is_some(),
        state.stopping.is_some(),
        state.rolling_back,
        state.overdue,
        state.compensation_requested.is_some(),
        state.is_past_pivot(definition),
        is_pivot_awaited,
        operator::is_pivot_held(definition, state),
    ];
    let mut incidents: Vec<_> = state.incidents.iter().map(|incident| incident.direction).collect();
    incidents.sort();
    incidents.dedup();
    fingerprint::of(&(flags, incidents, state.ended.as_ref().map(|end| end.status)))
}

fn fault(rule: Rule, step: Option<&StepPath>, then: Vec<Stimulus>) -> Fault {
    Fault { broken: (rule, step.cloned()), then }
}

fn raises_again(decision: &Decision, incident: &Incident) -> bool {
    decision.entry.facts.iter().any(|fact| match fact {
        Fact::Held { step, .. } => incident.step.as_ref() == Some(step),
        Fact::IncidentRaised { step, .. } => incident.step == *step,
        _ => false,
    })
}

/// A message: its step and direction, and whether it cancels a child.
type Sent = (String, Option<Direction>, bool);

/// `None` for messages that are not about a step.
fn summarize_message(message: &Message) -> Option<Sent> {
    let sent = |step: &StepPath, direction| (step.to_string(), direction, is_cancel(message));
    match message {
        Message::Command(command) => Some(sent(&command.step, Some(command.direction))),
        Message::Event(event) => Some(sent(&event.step, None)),
        Message::ChildCommand(command) => {
            let direction = match command.kind {
                ChildCommandKind::Compensate { .. } => Direction::Compensate,
                _ => Direction::Forward,
            };
            Some(sent(&command.parent.step, Some(direction)))
        }
        _ => None,
    }
}

fn is_cancel(message: &Message) -> bool {
    matches!(message, Message::ChildCommand(command) if matches!(command.kind, ChildCommandKind::Cancel))
}

/// The state with all timers postponed.
fn postpone(state: &State) -> State {
    let mut state = state.clone();
    state.deadline = state.deadline.map(|deadline| deadline.after(PAUSE));
    for step in state.steps.values_mut() {
        postpone_step(step);
    }
    state
}

fn postpone_step(step: &mut StepState) {
    if let StepOutcome::Pending(pending) = &mut step.outcome {
        postpone_pending(pending);
    }
    if let Some(pending) = step.compensation.as_mut().and_then(|compensation| compensation.pending.as_mut()) {
        postpone_pending(pending);
    }
    let attempts =
        [Some(&mut step.forward), step.compensation.as_mut().map(|compensation| &mut compensation.attempts)];
    for no_route in attempts.into_iter().flatten().filter_map(|attempts| attempts.no_route.as_mut()) {
        no_route.since = no_route.since.after(PAUSE);
    }
}

fn postpone_pending(pending: &mut Pending) {
    match pending {
        Pending::Reply { deadline: at }
        | Pending::Retry { until: at }
        | Pending::Route { until: at }
        | Pending::ReceivedEvent { deadline: at }
        | Pending::Sleep { until: at } => *at = at.after(PAUSE),
        Pending::Child | Pending::Operator => {}
    }
}
