//! Counts the outcomes of many runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use snorri_core::Direction;

/// The counts of many runs. Tallies of different runs can be added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    pub runs: u64,
    /// The durations of the runs in milliseconds, by their end.
    pub ends: BTreeMap<&'static str, Vec<u64>>,
    pub causes: BTreeMap<Cause, u64>,
    /// By definition and step, in the order of the definition.
    pub steps: BTreeMap<(String, usize), StepTally>,
    /// Notes on parts that are not simulated.
    pub notes: BTreeSet<String>,
}

/// Why a run did not complete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    pub end: &'static str,
    /// `None`: it is about the whole saga.
    pub step: Option<String>,
    pub direction: Direction,
    /// The outcome of the step, or the code of the problem.
    pub what: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepTally {
    pub name: String,
    /// How often it began.
    pub begun: u64,
    pub attempts: u64,
    pub refused: u64,
    pub unknown: u64,
    pub held: u64,
    pub undos: u64,
    pub undo_attempts: u64,
    /// The commands that were sent, compensations included. Waits and child sagas send none.
    pub commands: u64,
    pub compensated: u64,
    pub late: u64,
    /// The times from its beginning to its outcome, in milliseconds.
    pub took: Vec<u64>,
    pub undo_took: Vec<u64>,
}

impl Tally {
    pub fn ended(&mut self, end: &'static str, took: Duration) {
        self.runs += 1;
        self.ends.entry(end).or_default().push(millis(took));
    }

    pub fn step(&mut self, definition: &str, index: usize, name: &str) -> &mut StepTally {
        let tally = self.steps.entry((definition.to_owned(), index)).or_default();
        if tally.name.is_empty() {
            name.clone_into(&mut tally.name);
        }
        tally
    }

    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.runs += other.runs;
        for (end, took) in other.ends {
            self.ends.entry(end).or_default().extend(took);
        }
        for (cause, count) in other.causes {
            *self.causes.entry(cause).or_default() += count;
        }
        self.notes.extend(other.notes);
        for (key, step) in other.steps {
            self.steps.entry(key).or_default().add(step);
        }
        self
    }
}

impl StepTally {
    fn add(&mut self, other: Self) {
        self.name = other.name;
        self.begun += other.begun;
        self.attempts += other.attempts;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.held += other.held;
        self.undos += other.undos;
        self.undo_attempts += other.undo_attempts;
        self.commands += other.commands;
        self.compensated += other.compensated;
        self.late += other.late;
        self.took.extend(other.took);
        self.undo_took.extend(other.undo_took);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
