//! The keys of the language: which of them a mapping takes, and where another key belongs.

use crate::decode::foreign;
use crate::language::{CompensationDefaults, Defaults, EventStart, File, Policy, Retry, ScheduleStart, step};
use crate::suggest;
use snorri_core::definition::StepKind;

/// A kind of mapping.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, as in "a step has no ...".
    pub(super) name: &'static str,
    /// Where it is, as in "write it ...".
    pub(super) place: &'static str,
    /// The keys of each variant that it may be.
    pub(super) keys: &'static [&'static [&'static str]],
}

pub(super) const SAGA: Shape =
    Shape { name: "a definition", place: "at the top of the file", keys: &[File::KEYS] };

pub(super) const EVENT_START: Shape =
    Shape { name: "a start by an event", place: "in a start by an event", keys: &[EventStart::KEYS] };

pub(super) const SCHEDULE_START: Shape =
    Shape { name: "a schedule", place: "in a schedule", keys: &[ScheduleStart::KEYS] };

pub(super) const POLICY: Shape = Shape { name: "a policy", place: "in a policy", keys: &[Policy::KEYS] };

pub(super) const DEFAULTS: Shape =
    Shape { name: "`defaults`", place: "under `defaults`", keys: &[Defaults::KEYS] };

pub(super) const DEFAULT_COMPENSATION: Shape = Shape {
    name: "`defaults.compensation`",
    place: "under `defaults.compensation`",
    keys: &[CompensationDefaults::KEYS],
};

/// An item of `steps` without a key that defines its kind.
pub(super) const STEP: Shape = Shape { name: "a step", place: "in a step", keys: &[&KINDS] };

pub(super) const COMMAND: Shape =
    Shape { name: "a command step", place: "in a command step", keys: &[step::Command::KEYS] };

pub(super) const COMPENSATION: Shape =
    Shape { name: "a compensation", place: "under `compensate`", keys: &[step::Compensation::KEYS] };

pub(super) const RETRY: Shape = Shape { name: "`retry`", place: "under `retry`", keys: &[Retry::KEYS] };

pub(super) const REPLY_EVENT: Shape = Shape {
    name: "an event under `reply_events`",
    place: "under `reply_events`",
    keys: &[step::EventReply::KEYS],
};

pub(super) const PARALLEL: Shape =
    Shape { name: "`parallel`", place: "in a `parallel`", keys: &[step::Parallel::KEYS] };

pub(super) const CHOICE: Shape =
    Shape { name: "`choice`", place: "in a `choice`", keys: &[step::Choice::KEYS] };

pub(super) const BRANCH: Shape = Shape {
    name: "a branch of `choice`",
    place: "in a branch of `choice`",
    keys: &[step::When::KEYS, step::DefaultBranch::KEYS],
};

pub(super) const FOR_EACH: Shape =
    Shape { name: "`for_each`", place: "in a `for_each`", keys: &[step::ForEach::KEYS] };

pub(super) const WAIT: Shape = Shape { name: "a wait", place: "in a wait", keys: &[step::Wait::KEYS] };

pub(super) const AWAITED: Shape =
    Shape { name: "`wait`", place: "under `wait`", keys: &[step::Signal::KEYS, step::Pattern::KEYS] };

pub(super) const SLEEP: Shape = Shape { name: "a sleep", place: "in a sleep", keys: &[step::Sleep::KEYS] };

pub(super) const UNTIL: Shape = Shape { name: "`sleep`", place: "under `sleep`", keys: &[step::Until::KEYS] };

pub(super) const CHILD: Shape =
    Shape { name: "a child saga", place: "in a child saga", keys: &[step::Child::KEYS] };

pub(super) const PUBLISH: Shape =
    Shape { name: "a publish", place: "in a publish", keys: &[step::Publish::KEYS] };

pub(super) const FAIL: Shape = Shape { name: "a fail", place: "in a fail", keys: &[step::Fail::KEYS] };

pub(super) const FAILURE: Shape =
    Shape { name: "`fail`", place: "under `fail`", keys: &[step::Failure::KEYS] };

const SHAPES: [&Shape; 22] = [
    &SAGA,
    &EVENT_START,
    &SCHEDULE_START,
    &POLICY,
    &DEFAULTS,
    &DEFAULT_COMPENSATION,
    &COMMAND,
    &COMPENSATION,
    &RETRY,
    &REPLY_EVENT,
    &PARALLEL,
    &CHOICE,
    &BRANCH,
    &FOR_EACH,
    &WAIT,
    &AWAITED,
    &SLEEP,
    &UNTIL,
    &CHILD,
    &PUBLISH,
    &FAIL,
    &FAILURE,
];

/// The keys that define the kind of a step.
pub(super) const KINDS: [&str; 9] = [
    StepKind::Command.as_str(),
    "parallel",
    StepKind::Choice.as_str(),
    StepKind::ForEach.as_str(),
    StepKind::Wait.as_str(),
    StepKind::Sleep.as_str(),
    StepKind::Saga.as_str(),
    StepKind::Publish.as_str(),
    StepKind::Fail.as_str(),
];

/// Keys of other languages, and their names here.
const ELSEWHERE: [(&str, &str); 9] = [
    ("if", "when"),
    ("condition", "when"),
    ("else", "default"),
    ("otherwise", "default"),
    ("then", "steps"),
    ("do", "steps"),
    ("on", "reply_events"),
    ("id", "name"),
    ("step", "name"),
];
/// Most places that are listed for a misplaced key.
const MOST_HOMES: usize = 4;
/// Most keys of a mapping that are listed instead of those places.
const MOST_KEYS: usize = 4;

/// A key that a shape does not take, with the help for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It belongs elsewhere.
    Misplaced(String),
    /// It belongs nowhere.
    Unknown(Option<String>),
}

impl Shape {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.keys.iter().flat_map(|keys| keys.iter().copied())
    }

    pub(super) fn takes(&self, key: &str) -> bool {
        self.keys().any(|own| own == key)
    }

    /// The key for which a wrong one is probably a mistake.
    pub(super) fn suggest_keyword(&self, key: &str) -> Option<&'static str> {
        let elsewhere = ELSEWHERE.iter().find(|(other, own)| *other == key && self.takes(own));
        suggest::nearest(key, self.keys()).or(elsewhere.map(|(_, own)| *own))
    }

    pub(super) fn stranger(&self, key: &str) -> Stranger {
        let homes: Vec<_> = SHAPES.iter().filter(|shape| shape.takes(key)).map(|shape| shape.place).collect();
        match homes.as_slice() {
            [] => Stranger::Unknown(match self.suggest_keyword(key) {
                Some(meant) => Some(format!("did you mean `{meant}`?")),
                None if let Some(help) = foreign::help(key, |other| self.takes(other)) => Some(help),
                None => suggest::did_you_mean(key, self.keys()),
            }),
            [home] => Stranger::Misplaced(match suggest::nearest(key, self.keys()) {
                Some(near) => format!("did you mean `{near}`? `{key}` is written {home}"),
                None => format!("write it {home}"),
            }),
            _ if self.keys().count() <= MOST_KEYS => {
                let takes = suggest::all_of(self.keys());
                Stranger::Misplaced(format!("what {} takes: {takes}", self.name))
            }
            homes if homes.len() > MOST_HOMES => {
                Stranger::Misplaced(format!("write it {}, ...", homes[..MOST_HOMES].join(", ")))
            }
            [homes @ .., last] => Stranger::Misplaced(format!("write it {} or {last}", homes.join(", "))),
        }
    }
}
