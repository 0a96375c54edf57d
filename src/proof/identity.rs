//! What must change nothing, and what an operator must be able to do, compared in each state.
//!
//! A pause and a resume after it, and a migration to the same definition, leave a saga as it is: compared field by field.
//! What happens during a pause leads to what it leads to without one; which interventions are accepted, and which are
//! offered, depends on a few things only: these are compared once for each situation.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::fingerprint::{self, Fingerprints};
use super::happening::{Happening, NOW};
use super::operator::{self, Act};
use super::rules::{Broken, Rule};
use super::skeleton::Answers;
use super::stage::Stage;
use crate::saga::definition::{Definition, Step};
use crate::saga::id::{Direction, StepPath};
use crate::saga::journal::Fact;
use crate::saga::message::{Message, OrderKind};
use crate::saga::outlook;
use crate::saga::state::{Incident, Outcome, Pending, State, StepState};
use crate::saga::transition::{Decision, Ignored, transition};

/// How long a pause lasts.
const PAUSE: Duration = Duration::from_hours(1);

/// A rule that is broken, and what shows it.
pub(super) struct Fault {
    pub(super) broken: Broken,
    pub(super) then: Vec<Happening>,
}

/// What is wrong with a state. `compared` are the situations that need not be compared again.
pub(super) fn faults(
    stage: &Stage<'_>,
    prints: &Fingerprints,
    (state, answers): (&State, &Answers),
    compared: &mut HashSet<u64>,
) -> Vec<Fault> {
    let compare = Compare { stage, prints, state, answers };
    let mut found = Vec::new();
    compare.interventions(compared, &mut found);
    if state.seq == 0 || state.ended.is_some() {
        return found;
    }
    compare.offers(compared, &mut found);
    if !stage.everywhere && !compare.is_new(compared) {
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
    stage: &'a Stage<'a>,
    prints: &'a Fingerprints,
    state: &'a State,
    answers: &'a Answers,
}

impl Compare<'_> {
    /// Whether some step is in a situation that has not been compared yet.
    fn is_new(&self, compared: &mut HashSet<u64>) -> bool {
        let saga = situation(&self.stage.skeleton.definition, self.state);
        let steps = self.state.steps.iter();
        let new = steps.filter(|(path, step)| {
            compared.insert(fingerprint::of(&(saga, path.name(), fingerprint::of_step(step))))
        });
        new.count() > 0
    }

    /// Each intervention is accepted if it must be, and refused otherwise. What decides that are the saga's situation and,
    /// for one that names a step, the step's.
    fn interventions(&self, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.stage.skeleton.definition, self.state);
        let steps = self.state.steps.iter().map(|(path, step)| (Some(path), fingerprint::of_step(step)));
        for (path, step) in std::iter::once((None, 0)).chain(steps) {
            let loose = self.state.incidents.iter().filter(|incident| incident.direction.is_none());
            let has_loose = loose.filter(|incident| incident.step.as_ref() == path).count() > 0;
            if !compared.insert(fingerprint::of(&("intervention", saga, step, path.is_some(), has_loose))) {
                continue;
            }
            let acts = if path.is_some() { &operator::OF_STEP[..] } else { &operator::OF_SAGA[..] };
            let wrong = acts.iter().filter(|act| {
                let must_be = act.is_allowed(&self.stage.skeleton.definition, self.state, path);
                self.decide(self.state, **act, path).is_ok() != must_be
            });
            found.extend(wrong.map(|act| fault(Rule::WrongIntervention, path, vec![act.on(path)])));
        }
    }

    /// Each incident offers what is accepted, unless that only leads to the same incident again.
    fn offers(&self, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.stage.skeleton.definition, self.state);
        for incident in &self.state.incidents {
            let step = incident.step.as_ref();
            let of_step = step.and_then(|step| self.state.step(step)).map(fingerprint::of_step);
            if !compared.insert(fingerprint::of(&("offer", saga, of_step, incident.direction.is_some()))) {
                continue;
            }
            let definition = &self.stage.skeleton.definition;
            let offered: BTreeSet<_> =
                outlook::possible(definition, self.state, incident).into_iter().collect();
            let mut acts = vec![Act::Retry, Act::Succeeded, Act::Skip, Act::Rollback, Act::Abandon];
            acts.extend(incident.problem.is_limit().then_some(Act::RaiseLimits));
            let helps = |act: &&Act| {
                let step = step.filter(|_| operator::OF_STEP.contains(act));
                act.is_allowed(definition, self.state, step)
                    && self.decide(self.state, **act, step).is_ok_and(|it| !raises_again(&it, incident))
            };
            let helpful: BTreeSet<_> = acts.iter().filter(helps).map(|act| act.name()).collect();
            if offered != helpful {
                found.push(fault(Rule::WrongIntervention, step, Vec::new()));
            }
        }
    }

    /// A migration to the same definition is accepted and changes nothing but the version.
    fn migration(&self) -> Option<Fault> {
        let wrong = || Some(fault(Rule::MigrationChanges, None, vec![Act::Migrate.on(None)]));
        let Ok(decision) = self.decide(self.state, Act::Migrate, None) else { return wrong() };
        let mut expected = self.after(&decision);
        expected.migrated = Some(self.stage.next.version);
        let is_same = decision.state == expected && decision.messages.is_empty();
        if is_same { None } else { wrong() }
    }

    /// The state with one more entry in its journal, and when it is woken after a decision.
    fn after(&self, decision: &Decision) -> State {
        let mut state = self.state.clone();
        state.seq += 1;
        state.wake = decision.state.wake;
        state
    }

    /// A pause, with a resume after a while, changes nothing but when things are due. Returns the paused state.
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
        let resume = Act::Resume.input(None, &self.stage.next).ok_or_else(|| wrong(2))?;
        let definition = &self.stage.skeleton.definition;
        let resumed =
            transition(definition, &paused.state, &resume, NOW.after(PAUSE)).map_err(|_| wrong(2))?;
        let mut expected = put_off(self.state);
        expected.seq += 2;
        expected.wake = expected.next_due();
        // Children that are wanted back are told once more.
        let is_silent = resumed.messages.iter().all(is_cancel);
        if resumed.state == expected && is_silent { Ok(paused.state) } else { Err(wrong(2)) }
    }

    /// What happens during a pause is kept: once the saga is resumed, all is as if it had not been paused.
    fn during_pause(&self, paused: &State, compared: &mut HashSet<u64>, found: &mut Vec<Fault>) {
        let saga = situation(&self.stage.skeleton.definition, self.state);
        let is_new_pause = compared.insert(fingerprint::of(&("paused", saga)));
        if is_new_pause {
            let Compare { stage, prints, answers, .. } = *self;
            Compare { stage, prints, answers, state: paused }.interventions(compared, found);
        }
        for happening in self.stage.happenings(self.state) {
            if happening.kind.is_timer() || happening.kind.is_repetition() {
                continue;
            }
            let step = happening.of.as_ref().and_then(|(path, _)| self.state.step(path));
            let situation = (happening.kind, &happening.of, step.map(fingerprint::of_step), saga);
            if !self.stage.everywhere && !compared.insert(fingerprint::of(&situation)) {
                continue;
            }
            let directly = self.results(self.state, std::slice::from_ref(&happening));
            let paused = self.results(paused, &[happening.clone(), Act::Resume.on(None)]);
            if directly != paused {
                let step = happening.of.as_ref().map(|(path, _)| path);
                let then = vec![Act::Pause.on(None), happening.clone(), Act::Resume.on(None)];
                found.push(fault(Rule::PauseChanges, step, then));
            }
        }
    }

    /// All that follows if these happen one after the other: states and what was sent. Children that were told to come back
    /// before are told once more after a pause.
    fn results(&self, state: &State, happenings: &[Happening]) -> BTreeSet<(u64, BTreeSet<Sent>)> {
        let is_stopping = state.stopping.is_some();
        let mut reached = vec![(state.clone(), self.answers.clone(), BTreeSet::new())];
        for happening in happenings {
            let mut next = Vec::new();
            for (state, answers, sent) in &reached {
                for (decision, answers) in self.stage.decisions(state, answers, happening) {
                    let news = decision.messages.iter().filter(|one| !(is_stopping && is_cancel(one)));
                    let sent = news.filter_map(sent_by).chain(sent.iter().cloned()).collect();
                    next.push((decision.state, answers, sent));
                }
            }
            reached = next;
        }
        let prints = reached.into_iter();
        prints.map(|(state, answers, sent)| (self.prints.take(&state, &answers), sent)).collect()
    }

    fn decide(&self, state: &State, act: Act, step: Option<&StepPath>) -> Result<Decision, Ignored> {
        let input = act.input(step, &self.stage.next).ok_or(Ignored::NoSuchIncident)?;
        transition(&self.stage.skeleton.definition, state, &input, NOW)
    }
}

/// All of a saga, apart from single steps, that decides what an operator can do.
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
        state.undo_asked.is_some(),
        state.is_past_pivot(definition),
        is_pivot_awaited,
        operator::is_pivot_held(definition, state),
    ];
    let mut incidents: Vec<_> = state.incidents.iter().map(|incident| incident.direction).collect();
    incidents.sort();
    incidents.dedup();
    fingerprint::of(&(flags, incidents, state.ended.as_ref().map(|end| end.status)))
}

fn fault(rule: Rule, step: Option<&StepPath>, then: Vec<Happening>) -> Fault {
    Fault { broken: (rule, step.cloned()), then }
}

fn raises_again(decision: &Decision, incident: &Incident) -> bool {
    decision.entry.facts.iter().any(|fact| match fact {
        Fact::Held { step, .. } => incident.step.as_ref() == Some(step),
        Fact::IncidentRaised { step, .. } => incident.step == *step,
        _ => false,
    })
}

/// What was sent: to which step, and whether a child was cancelled.
type Sent = (String, Option<Direction>, bool);

/// Nothing for what is not about a step.
fn sent_by(message: &Message) -> Option<Sent> {
    let sent = |step: &StepPath, direction| (step.to_string(), direction, is_cancel(message));
    match message {
        Message::Command(command) => Some(sent(&command.step, Some(command.direction))),
        Message::Event(event) => Some(sent(&event.step, None)),
        Message::Order(order) => {
            let direction = match order.kind {
                OrderKind::Undo { .. } => Direction::Compensate,
                _ => Direction::Forward,
            };
            Some(sent(&order.parent.step, Some(direction)))
        }
        _ => None,
    }
}

fn is_cancel(message: &Message) -> bool {
    matches!(message, Message::Order(order) if matches!(order.kind, OrderKind::Cancel))
}

/// The state in which all that is due is due later.
fn put_off(state: &State) -> State {
    let mut state = state.clone();
    state.deadline = state.deadline.map(|deadline| deadline.after(PAUSE));
    for step in state.steps.values_mut() {
        put_off_step(step);
    }
    state
}

fn put_off_step(step: &mut StepState) {
    if let Outcome::Pending(pending) = &mut step.outcome {
        put_off_pending(pending);
    }
    if let Some(pending) = step.undo.as_mut().and_then(|undo| undo.pending.as_mut()) {
        put_off_pending(pending);
    }
    let attempts = [Some(&mut step.forward), step.undo.as_mut().map(|undo| &mut undo.attempts)];
    for no_route in attempts.into_iter().flatten().filter_map(|attempts| attempts.no_route.as_mut()) {
        no_route.since = no_route.since.after(PAUSE);
    }
}

fn put_off_pending(pending: &mut Pending) {
    match pending {
        Pending::Reply { deadline: at }
        | Pending::Backoff { until: at }
        | Pending::Route { until: at }
        | Pending::Arrival { deadline: at }
        | Pending::Sleep { until: at } => *at = at.after(PAUSE),
        Pending::Child | Pending::Operator => {}
    }
}
