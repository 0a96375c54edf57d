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
use snorri_core::journal::{By, Parent, Problem, ProblemCode, ReceivedEvent, Started};
use snorri_core::message::{ChildCommand, ChildCommandKind, Message, idempotency_key};
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
    world.begin(&plan.compiled, SagaId(chance.id()), None, Arc::clone(&plan.input), plan.key.clone());
    for _ in 0..MOST_EVENTS {
        let Some(Reverse(event)) = world.queue.pop() else { break };
        world.now = event.at;
        world.happen(event.saga, &event.input);
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
    saga: usize,
    input: Input,
}

impl<'a> SimulatedWorld<'a> {
    fn begin(
        &mut self,
        compiled: &'a Compiled,
        id: SagaId,
        parent: Option<Parent>,
        input: Arc<Value>,
        key: Option<String>,
    ) -> usize {
        let started = Started { key, parent, ..compiled.definition.start(input) };
        let saga = self.sagas.len();
        self.sagas.push(Running { compiled, state: State::new(id), begun: BTreeMap::new() });
        self.put(self.now, saga, Input::Start(Box::new(started)));
        saga
    }

    fn put(&mut self, at: Time, saga: usize, input: Input) {
        self.order += 1;
        self.queue.push(Reverse(Event { at: at.max(self.now), order: self.order, saga, input }));
    }

    fn happen(&mut self, saga: usize, input: &Input) {
        let running = &self.sagas[saga];
        let decision = match transition(&running.compiled.definition, &running.state, input, self.now) {
            Ok(decision) => decision,
            Err(ignored) => return self.ignored(saga, input, &ignored),
        };
        self.take_note(saga, &decision.entry);
        self.sagas[saga].state = decision.state;
        if let Wake::At(at) = decision.wake {
            self.put(at, saga, Input::wake());
        }
        for message in decision.messages {
            match message {
                Message::Command(command) => self.reply(saga, command.attempt(), Some(command.deadline)),
                Message::ChildCommand(command) => self.carry_out(saga, &command),
                Message::ChildResult(report) => {
                    if let Some(parent) = self.find(report.parent) {
                        let reply = Reply { attempt: report.attempt, result: report.result };
                        self.put(self.now, parent, Input::Reply(reply));
                    }
                }
                Message::Outcome(_) | Message::Event(_) | Message::Lifecycle(_) => {}
            }
        }
        if saga == 0 && self.cancelled_after == Some(self.sagas[0].state.seq) {
            let by = By { actor: "user".into(), reason: "simulated".into() };
            self.put(self.now, 0, Input::Cancel(by));
        }
    }

    /// Reports the rejected command of a parent to it, like the engine.
    fn ignored(&mut self, saga: usize, input: &Input, ignored: &Rejection) {
        let Input::Compensate { attempt } = input else { return };
        let result = match ignored {
            Rejection::Duplicate => return,
            Rejection::AlreadyCompensated => ReplyResult::Success(Arc::default()),
            ignored => ReplyResult::Failure(Problem::new(ProblemCode::ChildRefused, ignored.to_string())),
        };
        let started = self.sagas[saga].state.started.clone();
        if let Some(parent) = started.as_ref().and_then(|started| started.parent.as_ref())
            && let Some(above) = self.find(parent.saga)
        {
            let attempt =
                Attempt { step: parent.step.clone(), direction: Direction::Compensate, number: *attempt };
            self.put(self.now, above, Input::Reply(Reply { attempt, result }));
        }
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
            self.put(at, saga, Input::Reply(Reply { attempt, result }));
        }
    }

    /// Carries out a child command: a child is started if its definition is known, else a participant replies for it.
    fn carry_out(&mut self, parent: usize, command: &ChildCommand) {
        let plan = self.plan;
        let Some(compiled) = plan.child(&command.definition, command.version) else {
            return self.answer_for_child(parent, command);
        };
        let key = idempotency_key(command.parent.saga, &command.parent.step, Direction::Forward);
        let id = SagaId(uuid::Uuid::new_v5(&key, &command.parent.attempt.to_be_bytes()));
        let child = match self.find(id) {
            Some(child) => child,
            None => {
                let input: Value = serde_json::from_str(command.input.get()).unwrap_or_default();
                if compiled.check_input(&input).is_err() {
                    return self.refuse_child(parent, command);
                }
                let key = compiled.key(&input).ok().flatten();
                self.begin(compiled, id, Some(command.parent.clone()), Arc::new(input), key)
            }
        };
        let input = match command.kind {
            ChildCommandKind::Start => return,
            ChildCommandKind::Cancel => {
                Input::Cancel(By { actor: "snorri".into(), reason: "its parent is rolled back".into() })
            }
            ChildCommandKind::Compensate { attempt } => Input::Compensate { attempt },
        };
        self.put(self.now, child, input);
    }

    fn answer_for_child(&mut self, parent: usize, command: &ChildCommand) {
        let note =
            format!("{} v{} is unknown: a participant replies for it", command.definition, command.version);
        self.tally.notes.insert(note);
        if let Some(attempt) = command.attempt() {
            self.reply(parent, attempt, None);
        }
    }

    fn refuse_child(&mut self, parent: usize, command: &ChildCommand) {
        if let Some(attempt) = command.attempt() {
            let result = match attempt.direction {
                Direction::Forward => {
                    ReplyResult::Failure(Problem::of_participant("invalid_input", "the child's input"))
                }
                Direction::Compensate => ReplyResult::Success(Arc::default()),
            };
            self.put(self.now, parent, Input::Reply(Reply { attempt, result }));
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
            self.put(self.now.after(after), saga, Input::Event(Arc::new(arrival)));
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
