//! What the expressions of a saga see: `input`, `saga`, and each step by its name.

use serde_json::Value;

use super::expression::{Scope, Variable};
use super::id::StepPath;
use super::state::{Outcome, State};

/// The variables of one saga.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub state: &'a State,
    /// The step whose compensation is made: it sees an output that came late.
    pub undoing: Option<&'a StepPath>,
}

impl Scope for Variables<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        let started = self.state.started.as_deref()?;
        match name {
            "input" => Some(Variable::Json(&started.input)),
            "saga" => Some(Variable::Saga { id: &self.state.id_text, key: started.key.as_deref() }),
            _ => Some(Variable::Step { output: self.output(name) }),
        }
    }
}

impl Variables<'_> {
    fn output(&self, name: &str) -> Option<&Value> {
        let path = StepPath::new(name);
        let step = self.state.steps.get(&path)?;
        match &step.outcome {
            Outcome::Unknown { late_output: Some(output) } if self.undoing == Some(&path) => Some(output),
            _ => step.output(),
        }
    }
}
