//! The decoded content of a scenario file.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use snorri_core::input::{Intervention, ReplyResult};
use snorri_core::journal::{Problem, ReceivedEvent};
use snorri_core::{Direction, Status, StepPath, Time};

/// The scenarios of one file.
#[derive(Debug)]
pub struct Suite {
    pub scenarios: Vec<Scenario>,
}

#[derive(Debug)]
pub struct Scenario {
    pub name: String,
    pub(super) starts_at: Time,
    pub(super) input: Arc<Value>,
    pub(super) key: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) stubs: Stubs,
    /// The commands with stubs in the scenario itself, without those shared by the file.
    pub(super) answered: Vec<Aim>,
    pub(super) when: Vec<ScriptedEvent>,
    /// `None`: it has no expectations.
    pub(super) expected: Option<Expected>,
}

/// A step, or its compensation: `ship`, `compensate ship` or `compensate install[2]`. Without an index it means all items.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aim {
    pub(super) direction: Direction,
    pub(super) path: StepPath,
}

impl Aim {
    pub(super) fn new(path: &StepPath, direction: Direction) -> Self {
        Self { direction, path: path.clone() }
    }

    /// This aim for all items.
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
            Direction::Compensate => write!(f, "compensate {}", self.path),
        }
    }
}

/// The stubs: for each command the answers to its attempts. The last answer also applies to all further attempts.
#[derive(Debug, Clone, Default)]
pub(super) struct Stubs(pub(super) BTreeMap<Aim, Vec<Answer>>);

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) what: Response,
    /// The time until it arrives.
    pub(super) delay: Duration,
}

#[derive(Debug, Clone)]
pub(super) enum Response {
    Reply(ReplyResult),
    /// A domain event that the command listens for.
    Event(Arc<ReceivedEvent>),
    /// The broker has no queue for the command.
    Unroutable,
    NoReply,
}

impl Stubs {
    /// These stubs, completed by those of `other`.
    pub(super) fn or(mut self, other: &Self) -> Self {
        let open: Vec<_> =
            other.0.iter().filter(|(aim, _)| !self.0.contains_key(&aim.of_all_items())).collect();
        let open: Vec<_> = open.into_iter().map(|(aim, answers)| (aim.clone(), answers.clone())).collect();
        open.into_iter().for_each(|(aim, answers)| {
            self.0.entry(aim).or_insert(answers);
        });
        self
    }

    /// The answer to a command that is sent the `nth` time, from 1. Without a stub it succeeds at once, without output.
    pub(super) fn answer(&self, path: &StepPath, direction: Direction, nth: u32) -> Answer {
        let exact = Aim::new(path, direction);
        let answers = self.0.get(&exact).or_else(|| self.0.get(&exact.of_all_items()));
        let nth = nth.saturating_sub(1) as usize;
        let answer = answers.and_then(|answers| answers.get(nth).or_else(|| answers.last()));
        let default_answer =
            || Answer { what: Response::Reply(ReplyResult::Success(Arc::default())), delay: Duration::ZERO };
        answer.cloned().unwrap_or_else(default_answer)
    }
}

/// An event of a scenario besides the answers of participants. Events happen in the order in which they are written.
#[derive(Debug, Clone)]
pub(super) struct ScriptedEvent {
    pub(super) what: ScriptedAction,
    pub(super) at: Option<Duration>,
    pub(super) after: Option<After>,
    /// Counted from the end of `after`, or from the previous event.
    pub(super) delay: Duration,
    /// Whether the input must be rejected, and perhaps with which code.
    pub(super) refused: Option<Option<String>>,
    /// Its name in messages.
    pub(super) label: String,
}

/// The condition that an event waits for.
#[derive(Debug, Clone)]
pub(super) enum After {
    /// This attempt of the command has been sent, or the step has begun.
    Begun(Aim, u32),
    Status(Status),
}

#[derive(Debug, Clone)]
pub(super) enum ScriptedAction {
    Cancel {
        reason: String,
    },
    Pause,
    Resume,
    /// The parent saga is rolled back.
    Compensate,
    ReceivedEvent(Arc<ReceivedEvent>),
    /// A late or repeated reply. `None`: to the latest attempt.
    Reply {
        aim: Aim,
        attempt: Option<u32>,
        result: ReplyResult,
    },
    Intervene(Intervention),
    /// The run ends here.
    Stop,
}

/// The expectations. Fields that are `None` are not checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) status: Option<Status>,
    pub(super) commands: Option<Vec<Line>>,
    pub(super) events: Option<Vec<Line>>,
    pub(super) output: Option<Value>,
    pub(super) problem: Option<String>,
    pub(super) incident: Option<Vec<ExpectedIncident>>,
    pub(super) duration: Option<RangeInclusive<Duration>>,
}

/// A command or an event that is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// `ship`, `compensate ship`, or the name of an event.
    pub(super) what: String,
    /// The name of the command, if it is compared.
    pub(super) name: Option<String>,
    pub(super) payload: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpectedIncident {
    pub(super) step: Option<String>,
    pub(super) code: Option<String>,
}

impl Scenario {
    /// Whether it has expectations.
    pub fn expects_something(&self) -> bool {
        self.expected.is_some()
    }
}

/// A participant's problem.
pub(super) fn problem(code: &str, message: &str, details: Option<Value>) -> Problem {
    Problem { details, ..Problem::of_participant(code, message) }
}
