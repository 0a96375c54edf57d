//! The world of honest participants behind a bad network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use snorri_core::input::{Attempt, Intervention, Reply, ReplyResult};
use snorri_core::journal::{EventSource, Problem, ProblemCode, ReceivedEvent};
use snorri_core::message::{self, ChildCommand, ChildCommandKind};
use snorri_core::state::StepOutcome;
use snorri_core::{Definition, Direction, Input, Message, Status, StepPath};

use crate::definitions::{MOST_STEPS, definition, versions};
use crate::saga::{Saga, by, started};

/// How a participant takes a forward command for the first time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Succeeds,
    Refuses,
    /// Fails so many times without doing anything.
    FailsFirst(u32),
    /// Does it, but reports an error, so many times.
    LiesFirst(u32),
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        7 => Just(Manner::Succeeds),
        1 => Just(Manner::Refuses),
        1 => (1..6_u32).prop_map(Manner::FailsFirst),
        1 => (1..6_u32).prop_map(Manner::LiesFirst),
    ]
}

/// What one participant has done for one step, once for each message id.
#[derive(Debug, Default)]
struct Books {
    done: bool,
    compensated: bool,
    refused: bool,
    seen: u32,
}

impl Books {
    fn forward(&mut self, manner: Manner) -> ReplyResult {
        self.seen += 1;
        let busy = ReplyResult::Error(Problem::of_participant("busy", ""));
        match manner {
            _ if self.compensated || self.refused => {
                return ReplyResult::Failure(Problem::of_participant("too_late", ""));
            }
            _ if self.done => {}
            Manner::Refuses => {
                self.refused = true;
                return ReplyResult::Failure(Problem::of_participant("no", ""));
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

    fn compensate(&mut self) -> ReplyResult {
        self.compensated = true;
        ReplyResult::Success(Arc::new(Value::Null))
    }

    /// A child that is cancelled before its end is compensated, and reports that.
    fn cancel(&mut self) -> Option<ReplyResult> {
        (!self.done && !self.refused).then(|| {
            self.refused = true;
            ReplyResult::Failure(Problem::of_participant("cancelled", ""))
        })
    }
}

struct World {
    saga: Saga,
    versions: [Arc<Definition>; 2],
    commands: Vec<message::Command>,
    /// Not lost, but repeated and overtaken.
    child_commands: Vec<ChildCommand>,
    replies: Vec<Reply>,
    manners: Vec<Manner>,
    books: BTreeMap<StepPath, Books>,
}

impl World {
    fn take(&mut self, input: &Input) {
        let messages = self.saga.take(input).unwrap_or_default();
        self.send(messages);
    }

    /// An operator migrates the saga to the other version, if that is safe.
    fn migrate(&mut self) {
        let version = self.saga.definition.version;
        let other = self.versions.iter().find(|other| other.version != version);
        if let Some(other) = other.cloned() {
            let messages = self.saga.migrate(&other);
            self.send(messages);
        }
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::Command(command) => self.commands.push(command),
                Message::ChildCommand(command) => self.child_commands.push(command),
                _ => {}
            }
        }
    }

    fn books(&mut self, step: &StepPath) -> (&mut Books, Manner) {
        let index = self.saga.definition.index_of(step.name()).expect("a step");
        (self.books.entry(step.clone()).or_default(), self.manners[index.0])
    }

    /// A participant handles a command, and its reply is under way.
    fn handle(&mut self, command: &message::Command) {
        let (books, manner) = self.books(&command.step);
        let result = match command.direction {
            Direction::Forward => books.forward(manner),
            Direction::Compensate => books.compensate(),
        };
        self.replies.push(Reply { attempt: command.attempt(), result });
    }

    /// A child handles a command. It has no errors: it ends, or it does not.
    fn carry_out(&mut self, command: &ChildCommand) {
        let (books, manner) = self.books(&command.parent.step);
        let manner = if manner == Manner::Refuses { manner } else { Manner::Succeeds };
        let (result, direction, number) = match command.kind {
            ChildCommandKind::Start => {
                (Some(books.forward(manner)), Direction::Forward, command.parent.attempt)
            }
            ChildCommandKind::Cancel => (books.cancel(), Direction::Forward, command.parent.attempt),
            ChildCommandKind::Compensate { attempt } => {
                (Some(books.compensate()), Direction::Compensate, attempt)
            }
        };
        if let Some(result) = result {
            let attempt = Attempt { step: command.parent.step.clone(), direction, number };
            self.take(&Input::Reply(Reply { attempt, result }));
        }
    }

    /// Something happens: a message arrives, is lost, or is repeated, time passes, or an operator cancels.
    fn happen(&mut self, choice: u32) {
        let pick = (choice / 20) as usize;
        match choice % 20 {
            _ if choice.is_multiple_of(23) => self.pause(),
            _ if choice.is_multiple_of(11) => self.migrate(),
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
            15 | 16 if !self.child_commands.is_empty() => {
                let command = self.child_commands.swap_remove(pick % self.child_commands.len());
                self.carry_out(&command);
            }
            17 if !self.child_commands.is_empty() => {
                let command = self.child_commands[pick % self.child_commands.len()].clone();
                self.carry_out(&command);
            }
            18 => {
                let source = EventSource::Signal("go".into());
                self.take(&Input::Event(Arc::new(ReceivedEvent { source, id: None, body: Value::Null })));
            }
            _ => self.wake(),
        }
    }

    /// An operator pauses the saga, or resumes it; some time passes.
    fn pause(&mut self) {
        self.saga.now = self.saga.now.after(Duration::from_secs(7));
        let is_paused = self.saga.state.paused.is_some();
        self.take(&if is_paused { Input::Resume(by()) } else { Input::Pause(by()) });
    }

    fn wake(&mut self) {
        if let Some(at) = self.saga.state.wake {
            self.saga.now = self.saga.now.max(at);
            self.take(&Input::wake());
        }
    }

    /// From now on nothing is lost, and an operator tries again what is stuck.
    fn settle(&mut self) {
        if self.saga.state.paused.is_some() {
            self.pause();
        }
        for _ in 0..1_000 {
            while !self.commands.is_empty() || !self.replies.is_empty() || !self.child_commands.is_empty() {
                for command in std::mem::take(&mut self.commands) {
                    self.handle(&command);
                }
                for command in std::mem::take(&mut self.child_commands) {
                    self.carry_out(&command);
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
        panic!("the saga never ends: {:#?}\n{:#?}", self.saga.definition, self.saga.journal);
    }

    fn repair(&mut self) {
        let incident = self.saga.state.incidents[0].clone();
        let step = incident.step.clone();
        let is_refusal = ["no", "too_late", "cancelled", "timeout"].contains(&incident.problem.code.as_str());
        let is_wait = step.as_ref().is_some_and(|step| {
            self.saga.definition.step(step).is_some_and(|step| step.command(Direction::Forward).is_none())
        });
        let is_final = is_refusal && (is_wait || !incident.problem.is(ProblemCode::Timeout));
        let action = match (incident.direction, is_final) {
            // A refusal after the pivot stays one: the operator does without it.
            (None, _) | (Some(Direction::Forward), true) => Intervention::Skip { step },
            (Some(_), _) => Intervention::Retry { step },
        };
        self.take(&Input::Intervene { action, by: by() });
    }
}

fn play(versions: [Arc<Definition>; 2], manners: Vec<Manner>, choices: &[u32]) -> World {
    let saga = Saga::new(&versions[0]);
    let (commands, child_commands, replies, books) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
    let mut world = World { saga, versions, commands, child_commands, replies, manners, books };
    world.take(&started());
    for choice in choices {
        world.happen(*choice);
    }
    world.settle();
    world.saga.check_restart();
    world
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let status = world.saga.state.status();
    for (path, books) in &world.books {
        let step = world.saga.definition.step(path).expect("a step");
        let outcome = world.saga.state.step(path).map(|state| &state.outcome);
        match status {
            Status::Completed => {
                let is_unknown = matches!(outcome, Some(StepOutcome::Unknown { .. }));
                let is_cleared = is_unknown && step.optional;
                prop_assert!(!books.compensated || is_cleared, "{path} was compensated in a completed saga");
                let was_skipped = world.saga.state.step(path).is_some_and(|state| state.skipped_by_operator);
                if is_cleared && step.has_compensation() && !was_skipped {
                    prop_assert!(!books.done || books.compensated, "{path} is there, and its output is null");
                }
                if matches!(outcome, Some(StepOutcome::Completed(_))) {
                    prop_assert!(books.done, "{path} counts as completed and did not happen");
                }
            }
            Status::Compensated if step.has_compensation() => {
                let journal = &world.saga.journal;
                prop_assert!(
                    !books.done || books.compensated,
                    "{path} happened and was not compensated: {journal:#?}"
                );
            }
            Status::Compensated => prop_assert!(!(step.is_pivot() && books.done), "the pivot happened"),
            other => prop_assert!(false, "ended as {other:?}"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn honest_participants_leave_no_partial_saga(
        definition in definition(),
        manners in vec(manner(), MOST_STEPS),
        choices in vec(any::<u32>(), 0..120),
    ) {
        check(&play([Arc::clone(&definition), definition], manners, &choices))?;
    }

    #[test]
    fn migrated_sagas_leave_no_partial_saga(
        versions in versions(),
        manners in vec(manner(), MOST_STEPS),
        choices in vec(any::<u32>(), 0..120),
    ) {
        check(&play(versions, manners, &choices))?;
    }
}
