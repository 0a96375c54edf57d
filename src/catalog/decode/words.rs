//! The words of the language: which keys a mapping takes, and where a key belongs that it does not take.

use super::super::suggest;

/// A kind of mapping.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, as in "a step has no ...".
    pub(super) name: &'static str,
    /// Where it is, as in "write it ...".
    pub(super) place: &'static str,
    pub(super) keys: &'static [&'static str],
    /// The keys that a later version will know.
    later: &'static [&'static str],
}

pub(super) const SAGA: Shape = Shape {
    name: "a definition",
    place: "at the top of the file",
    keys: &[
        "saga",
        "version",
        "description",
        "input",
        "key",
        "timeout",
        "on_late_reply",
        "on_compensation_failure",
        "defaults",
        "steps",
        "output",
    ],
    later: &["start", "policies"],
};

pub(super) const DEFAULTS: Shape = Shape {
    name: "`defaults`",
    place: "under `defaults`",
    keys: &["exchange", "timeout", "retry", "compensation"],
    later: &["policies"],
};

pub(super) const DEFAULT_COMPENSATION: Shape = Shape {
    name: "`defaults.compensation`",
    place: "under `defaults.compensation`",
    keys: &["timeout", "retry"],
    later: &[],
};

pub(super) const STEP: Shape = Shape {
    name: "a step",
    place: "in a step",
    keys: &[
        "name",
        "command",
        "exchange",
        "payload",
        "timeout",
        "retry",
        "optional",
        "pivot",
        "on_timeout",
        "compensate",
    ],
    later: &["on", "when", "policies"],
};

pub(super) const COMPENSATION: Shape = Shape {
    name: "a compensation",
    place: "under `compensate`",
    keys: &["command", "exchange", "payload", "timeout", "retry"],
    later: &["on"],
};

pub(super) const RETRY: Shape =
    Shape { name: "`retry`", place: "under `retry`", keys: &["attempts", "backoff"], later: &[] };

const SHAPES: [&Shape; 6] = [&SAGA, &DEFAULTS, &DEFAULT_COMPENSATION, &STEP, &COMPENSATION, &RETRY];

/// The keys that make an item of `steps` something else than a command.
const LATER_BLOCKS: [&str; 8] =
    ["parallel", "choice", "for_each", "wait", "sleep", "saga", "publish", "fail"];

/// What to say of a key that a shape does not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// A later version will know it here.
    Later,
    /// It belongs elsewhere: where, for people.
    Misplaced(String),
    /// Nothing has it: what may have been meant.
    Unknown(Option<String>),
}

impl Shape {
    pub(super) fn takes(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    pub(super) fn stranger(&self, key: &str) -> Stranger {
        if self.later.contains(&key) {
            return Stranger::Later;
        }
        let homes: Vec<_> = SHAPES.iter().filter(|shape| shape.takes(key)).map(|shape| shape.place).collect();
        match homes.as_slice() {
            [] if is_later_block(key) => Stranger::Later,
            [] => Stranger::Unknown(suggest::did_you_mean(key, self.keys.iter().copied())),
            [home] => Stranger::Misplaced((*home).to_owned()),
            [homes @ .., last] => Stranger::Misplaced(format!("{} or {last}", homes.join(", "))),
        }
    }
}

/// Whether an item of `steps` with this key is a block that a later version will know.
pub(super) fn is_later_block(key: &str) -> bool {
    LATER_BLOCKS.contains(&key)
}
