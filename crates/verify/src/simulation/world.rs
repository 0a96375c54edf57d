//! One run: a saga with its children, simulated participants, and a queue of events in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use serde_json::Value;

use super::chance::Chance;
use super::plan::Plan;
use super::tally::Tally;
use snorri_core::definition::Action;
use snorri_core::input::{Attempt, Reply, ReplyResult};
use snorri_core::journal::{By, Problem, ReceivedEvent, Started};
use snorri_core::message::child::{key_in_use, refusal};
use snorri_core::message::{ChildCommand, Message};
use snorri_core::transition::Wake;
use snorri_core::{Direction, Input, Rejection, SagaId, State, StepPath, Time, transition};
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
        sagas: Vec::new(),
        queue: BinaryHeap::new(),
        order: 0,
        now: BEGINNING,
        cancelled_after: is_cancelled.then_some(cancelled_after),
        tally,
        reason: None,
    };
    let first = world.add(&plan.compiled, SagaId(chance.id()));
    let started =
        Started { key: plan.key.clone(), ..plan.compiled.definition.start(Arc::clone(&plan.input)) };
    world.put_input(BEGINNING, first, Input::Start(Box::new(started)));
    for _ in 0..MOST_EVENTS {
        let Some(Reverse(event)) = world.queue.pop() else { break };
        world.now = event.at;
        world.happen(event.saga, &event.kind);
    }
    world.end();
}

pub(super) struct SimulatedWorld<'a> {
    plan: &'a Plan,
    chance: Chance,
    /// The first is the saga that is simulated; the others are its children.
    pub(super) sagas: Vec<Running<'a>>,
    queue: BinaryHeap<Reverse<Event>>,
    order: u64,
    pub(super) now: Time,
    /// The number of entries after which it is cancelled, if it is.
    cancelled_after: Option<u32>,
    pub(super) tally: &'a mut Tally,
    /// The reason for its rollback.
    pub(super) reason: Option<(Option<String>, String)>,
}

pub(super) struct Running<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) state: State,
    pub(super) begun: BTreeMap<(StepPath, Direction), Time>,
}

struct Event {
    at: Time,
    order: u64,
    /// The saga that gets the input, or gives the command.
    saga: usize,
    kind: EventKind,
}

enum EventKind {
    Input(Input),
    ChildCommand(ChildCommand),
}

impl<'a> SimulatedWorld<'a> {
    fn put(&mut self, at: Time, saga: usize, kind: EventKind) {
        self.order += 1;
        self.queue.push(Reverse(Event { at: at.max(self.now), order: self.order, saga, kind }));
    }

    fn put_input(&mut self, at: Time, saga: usize, input: Input) {
        self.put(at, saga, EventKind::Input(input));
    }

    fn happen(&mut self, saga: usize, kind: &EventKind) {
        match kind {
            // What changes nothing has no effect here, either.
            EventKind::Input(input) => drop(self.take(saga, input)),
            EventKind::ChildCommand(command) => self.carry_out(saga, command),
        }
    }

    fn take(&mut self, saga: usize, input: &Input) -> Result<(), Rejection> {
        let running = &self.sagas[saga];
        let decision = transition(&running.compiled.definition, &running.state, input, self.now)?;
        self.take_note(saga, &decision.entry);
        self.sagas[saga].state = decision.state;
        if let Wake::At(at) = decision.wake {
            self.put_input(at, saga, Input::wake());
        }
        for message in decision.messages {
            match message {
                Message::Command(command) => self.reply(saga, command.attempt(), Some(command.deadline)),
                Message::ChildCommand(command) => self.put(self.now, saga, EventKind::ChildCommand(command)),
                Message::ChildResult(report) => {
                    if let Some(parent) = self.find(report.parent) {
                        self.put_input(self.now, parent, Input::Reply(report.reply()));
                    }
                }
                Message::Outcome(_) | Message::Event(_) | Message::Lifecycle(_) => {}
            }
        }
        if saga == 0 && self.cancelled_after == Some(self.sagas[0].state.seq) {
            let by = By { actor: "user".into(), reason: "simulated".into() };
            self.put_input(self.now, 0, Input::Cancel(by));
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
                command.rejected(self.sagas[child].state.id, &rejection)
            }),
        };
        if let Some(reply) = reply {
            self.put_input(self.now, parent, Input::Reply(reply));
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
        let child = self.find(id).unwrap_or_else(|| self.add(compiled, id));
        match self.take(child, &Input::Start(Box::new(started))) {
            Err(Rejection::AlreadyStarted { same_parent: false, .. }) => Err(key_in_use(id)),
            _ => Ok(child),
        }
    }

    fn add(&mut self, compiled: &'a Compiled, id: SagaId) -> usize {
        self.sagas.push(Running { compiled, state: State::new(id), begun: BTreeMap::new() });
        self.sagas.len() - 1
    }

    fn find(&self, id: SagaId) -> Option<usize> {
        self.sagas.iter().position(|running| running.state.id == id)
    }

    /// Sends a reply by the rates. `deadline` is that of the attempt, if it has one.
    fn reply(&mut self, saga: usize, attempt: Attempt, deadline: Option<Time>) {
        let (faults, name) = (&self.plan.faults, attempt.step.name());
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
        let mut at = takes.map(|takes| self.now.after(takes));
        let result = match () {
            () if falls_in(refused) => ReplyResult::Failure(problem(REFUSED)),
            () if falls_in(faults.error.of(name)) => ReplyResult::Error(problem("error")),
            () if falls_in(faults.timeout.of(name)) => return,
            () => {
                if falls_in(faults.late.of(name)) {
                    at = at.map(|at| deadline.unwrap_or(self.now).after(at.since(self.now)));
                }
                let output = match attempt.direction {
                    Direction::Forward => self.plan.outputs.get(name).cloned().unwrap_or_default(),
                    Direction::Compensate => Arc::default(),
                };
                ReplyResult::Success(output)
            }
        };
        if let Some(at) = at {
            self.put_input(at, saga, Input::Reply(Reply { attempt, result }));
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
            self.put_input(self.now.after(after), saga, Input::Event(Arc::new(arrival)));
        }
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}
