//! What a scenario file says, once it is known to make sense.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::listed::Item;
use crate::saga::input::{Intervention, ReplyResult};
use crate::saga::journal::{Arrival, Problem};
use crate::saga::{Direction, Status, StepPath, Time};

/// The scenarios of one file.
#[derive(Debug)]
pub struct Suite {
    pub scenarios: Vec<Scenario>,
}

#[derive(Debug)]
pub struct Scenario {
    pub name: String,
    /// Where it says what it expects.
    pub(super) place: Place,
    pub(super) starts_at: Time,
    pub(super) input: Arc<Value>,
    pub(super) key: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) given: Given,
    /// Whom it answers for itself, and not the file for all.
    pub(super) answered: Vec<Aim>,
    pub(super) when: Vec<Happening>,
    /// `None`: it expects nothing, and so shows nothing.
    pub(super) expected: Option<Expected>,
}

/// What of a scenario is needed to write into it, in bytes of the source.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Of the last key of the scenario.
    pub(super) last: Range<usize>,
    /// Whether it is written between braces.
    pub(super) in_braces: bool,
    /// `expect`, and what it has.
    pub(super) expect: Option<Spot>,
    pub(super) parts: Vec<(String, Spot)>,
    /// The items of those that are lists.
    pub(super) lists: Vec<(String, Vec<Item>)>,
}

/// An entry of a mapping: its key, and as much of its value as stands on the first line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spot {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// A step, or its undoing. Written `ship`, `undo ship` or `undo install[2]`. Without an item it means all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aim {
    pub(super) direction: Direction,
    pub(super) path: StepPath,
}

impl Aim {
    pub(super) fn new(path: &StepPath, direction: Direction) -> Self {
        Self { direction, path: path.clone() }
    }

    /// The same for all items.
    pub(super) fn of_all_items(&self) -> Self {
        Self { direction: self.direction, path: StepPath::new(self.path.name()) }
    }

    pub(super) fn matches(&self, path: &StepPath, direction: Direction) -> bool {
        let exact = self.path.items().is_empty() || self.path.items() == path.items();
        self.direction == direction && self.path.name() == path.name() && exact
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Forward => self.path.fmt(f),
            Direction::Compensate => write!(f, "undo {}", self.path),
        }
    }
}

/// What participants do: for each command the answers to its attempts, of which the last one holds for all that follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Given(pub(super) BTreeMap<Aim, Vec<Answer>>);

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) what: Response,
    /// How long it takes.
    pub(super) after: Duration,
}

#[derive(Debug, Clone)]
pub(super) enum Response {
    Reply(ReplyResult),
    /// A domain event that the command listens for.
    Event(Arc<Arrival>),
    /// The broker has no queue for the command.
    Unroutable,
    Nothing,
}

impl Given {
    /// What this says, and what it leaves open as `other` says.
    pub(super) fn or(mut self, other: &Self) -> Self {
        let open: Vec<_> =
            other.0.iter().filter(|(aim, _)| !self.0.contains_key(&aim.of_all_items())).collect();
        let open: Vec<_> = open.into_iter().map(|(aim, answers)| (aim.clone(), answers.clone())).collect();
        open.into_iter().for_each(|(aim, answers)| {
            self.0.entry(aim).or_insert(answers);
        });
        self
    }

    /// The answer to a command that is sent the `nth` time, from 1. Who is not spoken of succeeds at once, and returns nothing.
    pub(super) fn answer(&self, path: &StepPath, direction: Direction, nth: u32) -> Answer {
        let exact = Aim::new(path, direction);
        let answers = self.0.get(&exact).or_else(|| self.0.get(&exact.of_all_items()));
        let nth = nth.saturating_sub(1) as usize;
        let answer = answers.and_then(|answers| answers.get(nth).or_else(|| answers.last()));
        let obliging =
            || Answer { what: Response::Reply(ReplyResult::Success(Arc::default())), after: Duration::ZERO };
        answer.cloned().unwrap_or_else(obliging)
    }
}

/// Something that happens beside the answers of participants. Happenings come one after the other, as they are written.
#[derive(Debug, Clone)]
pub(super) struct Happening {
    pub(super) what: What,
    pub(super) at: Option<Duration>,
    pub(super) once: Option<Once>,
    /// After what `once` waits for, or after the happening before.
    pub(super) after: Duration,
    /// Whether it is expected that nothing follows from it, and perhaps the code that says why.
    pub(super) refused: Option<Option<String>>,
    /// As it is told.
    pub(super) told: String,
}

/// What a happening waits for.
#[derive(Debug, Clone)]
pub(super) enum Once {
    /// This attempt of the command is sent, or the step has begun.
    Begun(Aim, u32),
    Status(Status),
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Cancel {
        reason: String,
    },
    Pause,
    Resume,
    /// The saga is part of another, which is rolled back.
    Undo,
    Arrival(Arc<Arrival>),
    /// A reply that comes late, or once more. `None`: to the latest attempt.
    Reply {
        aim: Aim,
        attempt: Option<u32>,
        result: ReplyResult,
    },
    Intervene(Intervention),
    /// The run ends here.
    Stop,
}

/// What is checked. What is `None` is not.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) status: Option<Status>,
    pub(super) commands: Option<Vec<Line>>,
    pub(super) events: Option<Vec<Line>>,
    pub(super) output: Option<Value>,
    pub(super) problem: Option<String>,
    pub(super) incident: Option<Vec<ExpectedIncident>>,
    pub(super) lasts: Option<RangeInclusive<Duration>>,
}

/// A command or an event that is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// `ship`, `undo ship`, or the name of an event.
    pub(super) what: String,
    /// The command's own name, if that is to be compared.
    pub(super) name: Option<String>,
    pub(super) payload: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpectedIncident {
    pub(super) step: Option<String>,
    pub(super) code: Option<String>,
}

impl Scenario {
    /// Whether it says what it expects.
    pub fn expects_something(&self) -> bool {
        self.expected.is_some()
    }
}

/// A participant's problem.
pub(super) fn problem(code: &str, message: &str, details: Option<Value>) -> Problem {
    Problem { details, ..Problem::of_participant(code, message) }
}
