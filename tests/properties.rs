//! Properties of the core, over random definitions, random inputs and a random network.
//!
//! Two worlds: one in which anything at all arrives in any order, and one with honest participants (idempotent by message
//! id, tolerant of an undo that comes before its action) behind a network that loses, repeats and reorders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use snorri::saga::definition::{
    Action, Block, Command, CommandStep, Kind, OnCompensationFailure, OnLateReply, OnTimeout, Step,
};
use snorri::saga::input::{Attempt, Intervention, Reply, ReplyResult, Resolution};
use snorri::saga::journal::{By, Fact, Problem, Started};
use snorri::saga::retry::Retry;
use snorri::saga::state::Outcome;
use snorri::saga::template::Template;
use snorri::saga::{
    Decision, Definition, Direction, Entry, Ignored, Input, MAX_STEP_EXECUTIONS, Message, SagaId, State,
    Status, StepPath, Time, transition,
};
use uuid::Uuid;

const STEPS: [&str; 5] = ["a", "b", "c", "d", "e"];

// ---------------------------------------------------------------------------------------------------------------------
// Definitions

fn command(name: &str, attempts: u32) -> Command {
    Command {
        exchange: "x".into(),
        name: name.into(),
        payload: Template::null(),
        timeout: Duration::from_secs(10),
        retry: Retry { attempts, first: Duration::from_millis(100), most: Duration::from_secs(1) },
        on: Vec::new(),
    }
}

#[derive(Debug, Clone)]
struct StepPlan {
    attempts: u32,
    optional: bool,
    on_timeout: OnTimeout,
    has_undo: bool,
}

fn step_plan() -> impl Strategy<Value = StepPlan> {
    let on_timeout = prop_oneof![Just(OnTimeout::Retry), Just(OnTimeout::Unknown), Just(OnTimeout::Hold)];
    (1..4_u32, prop::bool::weighted(0.2), on_timeout, prop::bool::weighted(0.8)).prop_map(
        |(attempts, optional, on_timeout, has_undo)| StepPlan { attempts, optional, on_timeout, has_undo },
    )
}

fn definition() -> impl Strategy<Value = Arc<Definition>> {
    let pivot = prop::option::of(0..STEPS.len());
    let timeout = prop::option::weighted(0.3, 1_000..40_000_u64);
    (vec(step_plan(), 1..=STEPS.len()), pivot, timeout, any::<bool>(), any::<bool>()).prop_map(
        |(plans, pivot, timeout, late_is_stuck, continues)| {
            let pivot = pivot.filter(|&pivot| pivot < plans.len());
            let step = |(index, plan): (usize, &StepPlan)| Step {
                name: STEPS[index].into(),
                kind: if pivot == Some(index) { Kind::Pivot } else { Kind::Plain },
                when: None,
                optional: plan.optional && pivot != Some(index),
                action: Action::Command(Box::new(CommandStep {
                    command: command(STEPS[index], plan.attempts),
                    compensation: (plan.has_undo && pivot.is_none_or(|pivot| index < pivot))
                        .then(|| command(&format!("undo-{}", STEPS[index]), 2)),
                    on_timeout: plan.on_timeout,
                    reply_schema: None,
                })),
                within: Vec::new(),
            };
            let mut definition = Definition::new(
                "random",
                1,
                plans.iter().enumerate().map(step).collect(),
                Block::in_order(plans.len()),
            );
            definition.timeout = timeout.map(Duration::from_millis);
            definition.on_late_reply = if late_is_stuck { OnLateReply::Stuck } else { OnLateReply::Record };
            definition.on_compensation_failure =
                if continues { OnCompensationFailure::Continue } else { OnCompensationFailure::Stop };
            Arc::new(definition)
        },
    )
}

fn started() -> Input {
    Input::Start(Box::new(Started {
        definition: "random".into(),
        version: 1,
        key: None,
        input: Arc::new(Value::Null),
        deadline: None,
        answer: None,
        trace_id: None,
        parent: None,
    }))
}

fn by() -> By {
    By { actor: "ann".to_owned(), reason: "because".to_owned() }
}

// ---------------------------------------------------------------------------------------------------------------------
// One saga, and what must be true of it after each input

struct Saga {
    definition: Arc<Definition>,
    state: State,
    journal: Vec<Entry>,
    now: Time,
}

impl Saga {
    fn new(definition: &Arc<Definition>) -> Self {
        let state = State::new(SagaId(Uuid::from_u128(1)));
        Self { definition: Arc::clone(definition), state, journal: Vec::new(), now: Time(0) }
    }

    /// Decides an input, checks every invariant, and returns what is sent.
    fn take(&mut self, input: &Input) -> Result<Vec<Message>, Ignored> {
        let before = self.state.clone();
        let Decision { entry, state, messages, .. } =
            transition(&self.definition, &self.state, input, self.now)?;
        self.journal.push(entry);
        self.state = state;
        assert_eq!(self.state.seq, before.seq + 1, "one input, one entry");
        assert_eq!(State::replay(self.state.id, &self.journal), self.state, "replay gives the stored state");
        if before.status().is_final() {
            assert_eq!(before.status(), self.state.status(), "final is final");
            assert!(messages.is_empty(), "a final saga sends nothing");
        }
        self.check_wake();
        self.check_sent();
        self.check_end();
        Ok(messages)
    }

    /// Whatever is due, the store will wake the saga for it in time.
    fn check_wake(&self) {
        if let Some(due) = self.state.next_due() {
            let wake = self.state.wake.expect("something is due, so a wake-up is set");
            assert!(wake <= due.max(self.now), "woken at {wake:?} for {due:?}");
        }
    }

    /// The order of what was sent, over the whole journal.
    fn check_sent(&self) {
        let mut undone = BTreeSet::new();
        let mut passed_over = BTreeSet::new();
        let mut rolling_back = false;
        let mut sent = BTreeMap::<(String, Direction), u32>::new();
        let facts = self.journal.iter().flat_map(|entry| &entry.facts);
        for fact in facts {
            match fact {
                Fact::RollbackBegan => rolling_back = true,
                Fact::Undone { step } | Fact::Skipped { step, direction: Direction::Compensate } => {
                    undone.insert(step.to_string());
                }
                Fact::Held { step, direction: Direction::Compensate, .. } => {
                    passed_over.insert(step.to_string());
                }
                Fact::Sent { step, direction, attempt, .. } => {
                    let last = sent.entry((step.to_string(), *direction)).or_default();
                    *last += 1;
                    assert_eq!(*last, *attempt, "attempts are numbered without gaps");
                    match direction {
                        Direction::Forward => assert!(!rolling_back, "nothing goes forward after the turn"),
                        Direction::Compensate => self.check_undo(step, &undone, &passed_over),
                    }
                }
                _ => {}
            }
        }
        assert!(self.state.executions <= MAX_STEP_EXECUTIONS);
    }

    /// A step is undone only after all that came after it, and a pivot never.
    fn check_undo(&self, step: &StepPath, undone: &BTreeSet<String>, passed_over: &BTreeSet<String>) {
        let own = self.definition.step(step).expect("a step of the definition");
        assert!(!own.is_pivot(), "a pivot is never compensated");
        let goes_on = self.definition.on_compensation_failure == OnCompensationFailure::Continue;
        for later in self.definition.steps().iter().filter(|later| *later.name > *own.name) {
            let path = StepPath::new(Arc::clone(&later.name));
            let needs_undo = later.has_undo()
                && self.state.step(&path).is_some_and(|state| {
                    matches!(state.outcome, Outcome::Completed(_) | Outcome::Unknown { .. })
                });
            let is_left_behind = goes_on && passed_over.contains(&*later.name);
            assert!(
                !needs_undo || undone.contains(&*later.name) || is_left_behind,
                "{step} is undone before {}",
                later.name
            );
        }
    }

    fn check_end(&self) {
        let steps = &self.state.steps;
        match self.state.status() {
            Status::Completed => {
                for (path, step) in steps {
                    assert!(
                        !matches!(step.outcome, Outcome::Pending(_)),
                        "{path} is pending in a completed saga"
                    );
                    assert!(step.undo.is_none(), "{path} was undone in a completed saga");
                }
                assert_eq!(steps.len(), self.definition.steps().len());
            }
            Status::Compensated => {
                for (path, step) in steps {
                    let own = self.definition.step(path).expect("a step of the definition");
                    assert!(
                        !matches!(step.outcome, Outcome::Pending(_)),
                        "{path} is pending in a compensated saga"
                    );
                    let happened = matches!(step.outcome, Outcome::Completed(_) | Outcome::Unknown { .. });
                    assert!(!happened || !own.has_undo() || step.is_undone(), "{path} is not undone");
                    assert!(!(happened && own.is_pivot()), "a saga is compensated in spite of its pivot");
                }
            }
            Status::Running | Status::Compensating => {
                assert!(self.state.next_due().is_some(), "nothing waits silently");
            }
            Status::Stuck => assert!(!self.state.incidents.is_empty(), "a stuck saga says why"),
            Status::Abandoned => {}
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The world in which anything arrives

fn any_attempt() -> impl Strategy<Value = Attempt> {
    (0..STEPS.len(), any::<bool>(), 0..5_u32).prop_map(|(step, undo, number)| Attempt {
        step: StepPath::new(STEPS[step]),
        direction: if undo { Direction::Compensate } else { Direction::Forward },
        number,
    })
}

fn any_intervention() -> impl Strategy<Value = Intervention> {
    let step = || (0..STEPS.len()).prop_map(|step| StepPath::new(STEPS[step]));
    prop_oneof![
        prop::option::of(step()).prop_map(|step| Intervention::Retry { step }),
        prop::option::of(step()).prop_map(|step| Intervention::Skip { step }),
        step().prop_map(|step| Intervention::Resolve { step, outcome: Resolution::NotDone }),
        step().prop_map(|step| Intervention::Resolve {
            step,
            outcome: Resolution::Done(Arc::new(Value::Null))
        }),
        Just(Intervention::RollBack),
        Just(Intervention::Abandon),
    ]
}

#[derive(Debug, Clone)]
enum Happening {
    Input(Input),
    Time(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let result = prop_oneof![
        5 => Just(ReplyResult::Success(Arc::new(Value::Null))),
        2 => Just(ReplyResult::Failure(Problem::new("no", ""))),
        2 => Just(ReplyResult::Error(Problem::new("busy", ""))),
    ];
    let reply = (any_attempt(), result).prop_map(|(attempt, result)| Input::Reply(Reply { attempt, result }));
    let intervene = any_intervention().prop_map(|action| Input::Intervene { action, by: by() });
    prop_oneof![
        12 => reply.prop_map(Happening::Input),
        3 => any_attempt().prop_map(|attempt| Happening::Input(Input::Unroutable(attempt))),
        3 => Just(Happening::Input(Input::Wake)),
        1 => Just(Happening::Input(Input::Cancel(by()))),
        3 => intervene.prop_map(Happening::Input),
        1 => Just(Happening::Input(started())),
        4 => (0..15_000_u64).prop_map(Happening::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_arrives_leaves_the_invariants_whole(definition in definition(), happenings in vec(happening(), 0..80)) {
        let mut saga = Saga::new(&definition);
        saga.take(&started()).expect("the first start");
        for happening in &happenings {
            match happening {
                // What is ignored changes nothing; why it was is told by the scripts.
                Happening::Input(input) => drop(saga.take(input)),
                Happening::Time(millis) => saga.now = saga.now.after(Duration::from_millis(*millis)),
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The world of honest participants behind a bad network

/// How a participant takes a forward command for the first time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Succeeds,
    Refuses,
    /// Fails so many times without doing anything.
    FailsFirst(u32),
    /// Does it, but says that it did not work, so many times.
    LiesFirst(u32),
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        5 => Just(Manner::Succeeds),
        2 => Just(Manner::Refuses),
        1 => (1..6_u32).prop_map(Manner::FailsFirst),
        1 => (1..6_u32).prop_map(Manner::LiesFirst),
    ]
}

/// What one participant has done for the saga, once for each message id.
#[derive(Debug, Default)]
struct Books {
    done: bool,
    undone: bool,
    refused: bool,
    seen: u32,
}

impl Books {
    fn forward(&mut self, manner: Manner) -> ReplyResult {
        self.seen += 1;
        let busy = ReplyResult::Error(Problem::new("busy", ""));
        match manner {
            _ if self.undone || self.refused => return ReplyResult::Failure(Problem::new("too_late", "")),
            _ if self.done => {}
            Manner::Refuses => {
                self.refused = true;
                return ReplyResult::Failure(Problem::new("no", ""));
            }
            Manner::FailsFirst(times) if self.seen <= times => return busy,
            Manner::LiesFirst(times) if self.seen <= times => {
                self.done = true;
                return busy;
            }
            _ => self.done = true,
        }
        match manner {
            Manner::LiesFirst(times) if self.seen <= times => busy,
            _ => ReplyResult::Success(Arc::new(Value::Null)),
        }
    }

    fn undo(&mut self) -> ReplyResult {
        self.undone = true;
        ReplyResult::Success(Arc::new(Value::Null))
    }
}

struct World {
    saga: Saga,
    commands: Vec<snorri::saga::message::Command>,
    replies: Vec<Reply>,
    manners: Vec<Manner>,
    books: BTreeMap<String, Books>,
}

impl World {
    fn take(&mut self, input: &Input) {
        if let Ok(messages) = self.saga.take(input) {
            for message in messages {
                if let Message::Command(command) = message {
                    self.commands.push(command);
                }
            }
        }
    }

    /// A participant handles a command, and its reply is under way.
    fn handle(&mut self, command: &snorri::saga::message::Command) {
        let step = command.step.to_string();
        let manner = self.manners[STEPS.iter().position(|name| *name == step).expect("a step")];
        let books = self.books.entry(step).or_default();
        let result = match command.direction {
            Direction::Forward => books.forward(manner),
            Direction::Compensate => books.undo(),
        };
        self.replies.push(Reply { attempt: command.attempt(), result });
    }

    /// Something happens: a message arrives, is lost, or is repeated, time passes, or somebody cancels.
    fn happen(&mut self, choice: u32) {
        let pick = (choice / 16) as usize;
        match choice % 16 {
            0..=4 if !self.commands.is_empty() => {
                let command = self.commands.swap_remove(pick % self.commands.len());
                self.handle(&command);
            }
            5 if !self.commands.is_empty() => {
                let command = self.commands[pick % self.commands.len()].clone();
                self.handle(&command);
            }
            6 if !self.commands.is_empty() => drop(self.commands.swap_remove(pick % self.commands.len())),
            7 if !self.commands.is_empty() => {
                let command = self.commands.swap_remove(pick % self.commands.len());
                self.take(&Input::Unroutable(command.attempt()));
            }
            8..=11 if !self.replies.is_empty() => {
                let reply = self.replies.swap_remove(pick % self.replies.len());
                self.take(&Input::Reply(reply));
            }
            12 if !self.replies.is_empty() => {
                let reply = self.replies[pick % self.replies.len()].clone();
                self.take(&Input::Reply(reply));
            }
            13 if !self.replies.is_empty() => drop(self.replies.swap_remove(pick % self.replies.len())),
            14 if choice.is_multiple_of(7) => self.take(&Input::Cancel(by())),
            _ => self.wake(),
        }
    }

    fn wake(&mut self) {
        if let Some(at) = self.saga.state.wake {
            self.saga.now = self.saga.now.max(at);
            self.take(&Input::Wake);
        }
    }

    /// From now on nothing is lost, and an operator tries again what is stuck.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            while !self.commands.is_empty() || !self.replies.is_empty() {
                for command in std::mem::take(&mut self.commands) {
                    self.handle(&command);
                }
                for reply in std::mem::take(&mut self.replies) {
                    self.take(&Input::Reply(reply));
                }
            }
            match self.saga.state.status() {
                status if status.is_final() => return,
                Status::Stuck => self.repair(),
                _ => self.wake(),
            }
        }
        panic!("the saga never ends: {:#?}", self.saga.journal);
    }

    fn repair(&mut self) {
        let incident = self.saga.state.incidents[0].clone();
        let step = incident.step.clone();
        let refused = incident.problem.code == "no" || incident.problem.code == "too_late";
        let action = match (incident.direction, refused) {
            // A refusal after the pivot stays one: the operator does without it.
            (None, _) | (Some(Direction::Forward), true) => Intervention::Skip { step },
            (Some(_), _) => Intervention::Retry { step },
        };
        self.take(&Input::Intervene { action, by: by() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn honest_participants_end_whole(
        definition in definition(),
        manners in vec(manner(), STEPS.len()),
        choices in vec(any::<u32>(), 0..120),
    ) {
        let saga = Saga::new(&definition);
        let (commands, replies) = (Vec::new(), Vec::new());
        let mut world = World { saga, commands, replies, manners, books: BTreeMap::new() };
        world.take(&started());
        for choice in choices {
            world.happen(choice);
        }
        world.settle();

        let status = world.saga.state.status();
        for step in definition.steps() {
            let Some(books) = world.books.get(&*step.name) else { continue };
            let path = StepPath::new(Arc::clone(&step.name));
            let outcome = world.saga.state.step(&path).map(|state| &state.outcome);
            match status {
                Status::Completed => {
                    prop_assert!(!books.undone, "{} was undone in a completed saga", step.name);
                    if matches!(outcome, Some(Outcome::Completed(_))) {
                        prop_assert!(books.done, "{} counts as completed and did not happen", step.name);
                    }
                }
                Status::Compensated if step.has_undo() => {
                    prop_assert!(!books.done || books.undone, "{} happened and was not undone: {:#?}", step.name, world.saga.journal);
                }
                Status::Compensated => prop_assert!(!(step.is_pivot() && books.done), "the pivot happened"),
                other => prop_assert!(false, "ended as {other:?}"),
            }
        }
    }
}
