//! The variables of a saga's expressions: `input`, `saga`, each step by its name, the items of the `for_each` blocks around,
//! and the event that is examined.

use std::sync::Arc;

use serde_json::Value;

use crate::definition::{Action, Definition, StepIndex};
use crate::expression::{Scope, Variable};
use crate::id::StepPath;
use crate::state::{Entered, State, StepOutcome};

/// The variables of one saga, seen from a place in it.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub definition: &'a Definition,
    pub state: &'a State,
    /// The `for_each` steps around the place, outermost first, and the index of the item of each.
    pub around: &'a [StepIndex],
    pub items: &'a [u32],
    /// The step whose compensation is made: the expression sees the output of a late success.
    pub undoing: Option<&'a StepPath>,
    pub event: Option<&'a Value>,
}

impl<'a> Variables<'a> {
    /// The variables outside of any step.
    pub fn of(definition: &'a Definition, state: &'a State) -> Self {
        Self { definition, state, around: &[], items: &[], undoing: None, event: None }
    }

    /// The variables at the step of `path`.
    pub fn at(definition: &'a Definition, state: &'a State, path: &'a StepPath) -> Self {
        let around = definition.step(path).map_or(&[][..], |step| &step.within);
        Self { around, items: path.items(), ..Self::of(definition, state) }
    }
}

impl Scope for Variables<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        let started = self.state.started.as_deref()?;
        match name {
            "input" => Some(Variable::Json(&started.input)),
            "saga" => Some(Variable::Saga { id: &self.state.id_text, key: started.key.as_deref() }),
            "event" => self.event.map(Variable::Json),
            _ => match self.definition.index_of(name) {
                Some(index) if self.is_undoing(index) => {
                    Some(Variable::Compensated { output: self.output(index) })
                }
                Some(index) => Some(Variable::Step { output: self.output(index) }),
                None => self.item(name).map(Variable::Json),
            },
        }
    }
}

impl Variables<'_> {
    /// The output of a step in the same items as this place.
    pub(crate) fn output(&self, index: StepIndex) -> Option<&Value> {
        let step = self.definition.step_at(index);
        let path = StepPath::at(Arc::clone(&step.name), self.items.get(..step.within.len())?);
        let state = self.state.steps.get(&path)?;
        match &state.outcome {
            StepOutcome::Unknown { late_output: Some(output) } if self.undoing == Some(&path) => Some(output),
            _ => state.output(),
        }
    }

    /// Whether it is the step whose compensation is made.
    fn is_undoing(&self, index: StepIndex) -> bool {
        self.undoing.is_some_and(|path| *path.name() == *self.definition.step_at(index).name)
    }

    fn item(&self, name: &str) -> Option<&Value> {
        let depth = self.around.iter().position(|&index| {
            matches!(&self.definition.step_at(index).action, Action::ForEach(each) if *each.item == *name)
        })?;
        let each = &self.definition.step_at(self.around[depth]).name;
        let path = StepPath::at(Arc::clone(each), self.items.get(..depth)?);
        match self.state.entered.get(&path)? {
            Entered::Items(items) => items.get(*self.items.get(depth)? as usize),
            Entered::Branch(_) => None,
        }
    }
}
