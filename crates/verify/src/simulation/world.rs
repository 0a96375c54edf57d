//! One run: a saga with its children, and simulated participants, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::chance::Chance;
use super::plan::Plan;
use super::tally::Tally;
use crate::virtual_time::{Due, VirtualTime};
use snorri_core::definition::Action;
use snorri_core::input::{Attempt, Reply, ReplyResult};
use snorri_core::journal::{By, Problem, ReceivedEvent, Started};
use snorri_core::message::child::{key_in_use, refusal};
use snorri_core::message::{ChildCommand, Message};
use snorri_core::{Direction, Input, Rejection, SagaId, StepPath, Time};
use snorri_definition::Compiled;

/// The time at which every run begins: 1 January 2026.
pub(super) const BEGINNING: Time = Time(1_767_225_600_000);
/// Most events of one run. The bound of the journal is reached long before.
const MOST_EVENTS: u32 = 50_000;
/// The code of a simulated refusal.
pub(super) const REFUSED: &str = "refused";

pub(super) fn run(plan: &Plan, number: u64, tally: &mut Tally) {
    let chance = Chance::of(plan.seed, number);
    let mut rng = chance.about("cancel");
    let is_cancelled = rng.f64() < plan.faults.cancel;
    let steps = u32::try_from(plan.compiled.definition.steps().len()).unwrap_or(u32::MAX);
    let cancelled_after = rng.u32(1..=steps.saturating_mul(2).max(1));
    let mut world = SimulatedWorld {
        plan,
        chance,
        time: VirtualTime::new(BEGINNING),
        sagas: Vec::new(),
        cancelled_after: is_cancelled.then_some(cancelled_after),
        tally,
        reason: None,
    };
    let first = world.add(&plan.compiled, SagaId(chance.id()));
    let started =
        Started { key: plan.key.clone(), ..plan.compiled.definition.start(Arc::clone(&plan.input)) };
    world.schedule(BEGINNING, first, Event::Input(Input::Start(Box::new(started))));
    for _ in 0..MOST_EVENTS {
        let Some((saga, due)) = world.time.advance() else { break };
        match due {
            // What changes nothing has no effect here, either.
            Due::Wake => drop(world.take(saga, &Input::wake())),
            Due::Event(Event::Input(input)) => drop(world.take(saga, &input)),
            Due::Event(Event::ChildCommand(command)) => world.carry_out(saga, &command),
        }
    }
    world.end();
}

pub(super) struct SimulatedWorld<'a> {
    plan: &'a Plan,
    chance: Chance,
    pub(super) time: VirtualTime<'a, Event>,
    /// The first is the saga that is simulated; the others are its children.
    pub(super) sagas: Vec<Simulated<'a>>,
    /// The number of entries after which it is cancelled, if it is.
    cancelled_after: Option<u32>,
    pub(super) tally: &'a mut Tally,
    /// The reason for its rollback.
    pub(super) reason: Option<(Option<String>, String)>,
}

pub(super) struct Simulated<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) begun: BTreeMap<(StepPath, Direction), Time>,
}

/// What is scheduled for a saga: an input, or the child command that it gives.
pub(super) enum Event {
    Input(Input),
    ChildCommand(ChildCommand),
}

impl<'a> SimulatedWorld<'a> {
    fn schedule(&mut self, at: Time, saga: usize, event: Event) {
        self.time.schedule(at, saga, event);
    }

    fn schedule_input(&mut self, at: Time, saga: usize, input: Input) {
        self.schedule(at, saga, Event::Input(input));
    }

    fn take(&mut self, saga: usize, input: &Input) -> Result<(), Rejection> {
        let applied = self.time.take(saga, input)?;
        let now = self.time.now();
        self.take_note(saga, &applied.entry);
        for message in applied.messages {
            match message {
                Message::Command(command) => self.reply(saga, command.attempt(), Some(command.deadline)),
                Message::ChildCommand(command) => self.schedule(now, saga, Event::ChildCommand(command)),
                Message::ChildResult(report) => {
                    if let Some(parent) = self.time.find(report.parent) {
                        self.schedule_input(now, parent, Input::Reply(report.reply()));
                    }
                }
                Message::Outcome(_) | Message::Event(_) | Message::Lifecycle(_) => {}
            }
        }
        if saga == 0 && self.cancelled_after == Some(self.time.state(0).seq) {
            let by = By { actor: "user".into(), reason: "simulated".into() };
            self.schedule_input(now, 0, Input::Cancel(by));
        }
        Ok(())
    }

    /// Carries out a child command: a child is started if its definition is known, else a participant replies for it.
    fn carry_out(&mut self, parent: usize, command: &ChildCommand) {
        let plan = self.plan;
        let Some(compiled) = plan.child(&command.definition, command.version) else {
            return self.answer_for_child(parent, command);
        };
        let reply = match self.start_child(compiled, command) {
            Err(problem) => Some(command.not_started(problem)),
            Ok(child) => command.input().and_then(|input| {
                let rejection = self.take(child, &input).err()?;
                command.rejected(self.time.state(child).id, &rejection)
            }),
        };
        if let Some(reply) = reply {
            self.schedule_input(self.time.now(), parent, Input::Reply(reply));
        }
    }

    fn start_child(&mut self, compiled: &'a Compiled, command: &ChildCommand) -> Result<usize, Problem> {
        let input: Value = serde_json::from_str(command.input.get()).unwrap_or_default();
        let invalid =
            |why: String| refusal("invalid_input", format!("the child saga was not started: {why}"));
        compiled
            .check_input(&input)
            .map_err(|_| invalid("its input does not match its schema".to_owned()))?;
        let key = compiled.key(&input).map_err(|error| invalid(error.to_string()))?;
        let message_id = command.start_message_id();
        let id = SagaId::of_start(&command.definition, key.as_deref(), Some(&message_id));
        let id = id.ok_or_else(|| invalid("it has neither a business key nor a message id".to_owned()))?;
        let started = Started {
            key,
            parent: Some(command.parent.clone()),
            ..compiled.definition.start(Arc::new(input))
        };
        let child = self.time.find(id).unwrap_or_else(|| self.add(compiled, id));
        match self.take(child, &Input::Start(Box::new(started))) {
            Err(Rejection::AlreadyStarted { same_parent: false, .. }) => Err(key_in_use(id)),
            _ => Ok(child),
        }
    }

    fn add(&mut self, compiled: &'a Compiled, id: SagaId) -> usize {
        self.sagas.push(Simulated { compiled, begun: BTreeMap::new() });
        self.time.add(&compiled.definition, id)
    }

    /// Sends a reply by the rates. `deadline` is that of the attempt, if it has one.
    fn reply(&mut self, saga: usize, attempt: Attempt, deadline: Option<Time>) {
        let (faults, name) = (&self.plan.faults, attempt.step.name());
        let now = self.time.now();
        let about = format!("{saga}/{}/{}/{}", attempt.step, attempt.direction, attempt.number);
        let mut rng = self.chance.about(&about);
        let mut drawn = rng.f64();
        let mut falls_in = |share: f64| {
            drawn -= share;
            drawn < 0.0
        };
        let refused = match attempt.direction {
            Direction::Forward => faults.failure.of(name),
            Direction::Compensate => faults.compensation_failure.of(name),
        };
        let problem = |what: &str| Problem::of_participant(what, "simulated");
        let takes = self.plan.latency.get(&[name]).draw(&mut rng);
        let mut at = takes.map(|takes| now.after(takes));
        let result = match () {
            () if falls_in(refused) => ReplyResult::Failure(problem(REFUSED)),
            () if falls_in(faults.error.of(name)) => ReplyResult::Error(problem("error")),
            () if falls_in(faults.timeout.of(name)) => return,
            () => {
                if falls_in(faults.late.of(name)) {
                    at = at.map(|at| deadline.unwrap_or(now).after(at.since(now)));
                }
                let output = match attempt.direction {
                    Direction::Forward => self.plan.outputs.get(name).cloned().unwrap_or_default(),
                    Direction::Compensate => Arc::default(),
                };
                ReplyResult::Success(output)
            }
        };
        if let Some(at) = at {
            self.schedule_input(at, saga, Input::Reply(Reply { attempt, result }));
        }
    }

    fn answer_for_child(&mut self, parent: usize, command: &ChildCommand) {
        let note =
            format!("{} v{} is unknown: a participant replies for it", command.definition, command.version);
        self.tally.notes.insert(note);
        if let Some(attempt) = command.attempt() {
            self.reply(parent, attempt, None);
        }
    }

    /// Schedules the signal or event that a step waits for.
    pub(super) fn schedule_arrival(&mut self, saga: usize, path: &StepPath) {
        let compiled = self.sagas[saga].compiled;
        let Some(Action::Wait(wait)) = compiled.definition.step(path).map(|step| &step.action) else {
            return;
        };
        let mut rng = self.chance.about(&format!("{saga}/{path}/arrival"));
        let body = self.plan.outputs.get(path.name()).map(|body| body.as_ref().clone()).unwrap_or_default();
        let awaited = &wait.awaited;
        if let Some(after) = self.plan.arrival.get(&[path.name(), awaited.name()]).draw(&mut rng) {
            let arrival = ReceivedEvent::new(awaited.source(), Some(path.to_string()), body);
            self.schedule_input(self.time.now().after(after), saga, Input::Event(Arc::new(arrival)));
        }
    }
}
