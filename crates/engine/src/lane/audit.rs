//! The audit of inputs of operators, written in the transaction of their consequences.

use serde_json::{Value, json};
use uuid::Uuid;

use snorri_core::journal::By;
use snorri_core::{State, StepPath, Time};
use snorri_ports::store::AuditEntry;

/// The caller and the action, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditContext {
    /// The action as a word: `cancel`, `retry`, ...
    pub action: &'static str,
    pub step: Option<StepPath>,
    pub by: By,
}

impl AuditContext {
    /// Its entry in the audit. `before` is the [`summary`] of the state before it.
    pub(crate) fn entry(&self, before: Value, after: &State, at: Time) -> AuditEntry {
        AuditEntry {
            id: Uuid::now_v7(),
            at,
            actor: self.by.actor.clone(),
            action: self.action.to_owned(),
            reason: self.by.reason.clone(),
            saga: Some(after.id),
            seq: Some(after.seq),
            step: self.step.as_ref().map(ToString::to_string),
            definition: None,
            before,
            after: summary(after),
        }
    }
}

/// The parts of a saga's state that an operator can change, in short.
pub(crate) fn summary(state: &State) -> Value {
    if state.seq == 0 {
        return Value::Null;
    }
    let codes: Vec<&str> = state.incidents.iter().map(|incident| incident.problem.code.as_str()).collect();
    json!({
        "status": state.status(),
        "version": state.version(),
        "paused": state.paused.is_some(),
        "incidents": codes,
    })
}
