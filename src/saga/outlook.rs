//! What can be told of a saga beside what has happened: what is to come, what it waits for, and what can be done about it.

use std::sync::Arc;

use super::definition::Definition;
use super::id::{StepPath, Time};
use super::state::{Incident, State};

/// A step that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    pub step: StepPath,
    /// What it will do: `command`, `compensation`, `wait`, `sleep`, `saga`, `publish`, `fail`, `choice` or `for_each`.
    pub action: &'static str,
    /// The command, event, signal or saga that it names.
    pub name: Option<Arc<str>>,
    /// Whether it may be left out.
    pub conditional: bool,
}

/// Something that will happen by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// `None`: it is about the whole saga.
    pub step: Option<StepPath>,
    /// `deadline`, `retry`, `sleep` or `timeout`.
    pub what: &'static str,
    pub at: Time,
}

/// What is to come in the direction that the saga goes, in order.
pub fn remaining(definition: &Definition, state: &State) -> Vec<Ahead> {
    let _ = (definition, state);
    Vec::new()
}

/// What the saga waits for, in one sentence.
pub fn waits_for(definition: &Definition, state: &State) -> String {
    let _ = (definition, state);
    String::new()
}

/// What will happen by itself, the soonest first.
pub fn timers(state: &State) -> Vec<Timer> {
    let _ = state;
    Vec::new()
}

/// The names of the interventions that would be accepted now.
pub fn possible(definition: &Definition, state: &State, incident: &Incident) -> Vec<&'static str> {
    let _ = (definition, state, incident);
    Vec::new()
}
