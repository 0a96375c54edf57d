//! What a plan says that cannot be meant: names that there are not, faults that no step can have, and shares that are more than all.

use super::plan::{EVERY, Plan};
use crate::catalog::suggest;
use crate::saga::Definition;
use crate::saga::definition::{Action, Kind, Step};

/// What `--outputs` says of a step.
const OUTPUT: &str = "output";
const UNDO_FAILURE: &str = "undo-failure";

impl Plan {
    /// What is said of steps, signals or events that there are not, or that they cannot have.
    pub fn mistakes(&self) -> Vec<String> {
        let definitions = self.definitions();
        let steps: Vec<&Step> = definitions.iter().flat_map(|it| it.steps()).collect();
        let mut said: Vec<(&str, &str)> = Vec::new();
        for (what, rates) in self.faults.rates() {
            said.extend(rates.names().map(|name| (what, name)));
        }
        said.extend(self.latency.by_name.keys().map(|name| ("latency", name.as_str())));
        said.retain(|(_, name)| *name != EVERY);
        said.extend(self.outputs.keys().map(|name| (OUTPUT, name.as_str())));
        let mut mistakes: Vec<_> =
            said.into_iter().filter_map(|(what, name)| self.mistaken(what, name, &steps)).collect();
        mistakes.extend(self.never_awaited(&definitions));
        for step in steps {
            let sum = self.faults.sum(&step.name);
            if sum > 1.0 {
                mistakes.push(format!("what goes wrong with `{}` sums up to {:.1}%", step.name, sum * 100.0));
            }
        }
        mistakes
    }

    fn never_awaited(&self, definitions: &[&Definition]) -> Vec<String> {
        let mut awaited: Vec<&str> = Vec::new();
        for step in definitions.iter().flat_map(|it| it.steps()) {
            if let Action::Wait(wait) = &step.action {
                awaited.extend([wait.awaited.name(), &step.name].map(AsRef::as_ref));
            }
        }
        let names = self.arrival.by_name.keys().filter(|name| !awaited.contains(&name.as_str()));
        names.map(|name| unknown("signal or event that it waits for named", name, &awaited)).collect()
    }

    /// What is wrong with saying this of a step of that name.
    fn mistaken(&self, what: &str, name: &str, steps: &[&Step]) -> Option<String> {
        let names = |of: &dyn Fn(&Step) -> bool| -> Vec<&str> {
            steps.iter().filter(|step| of(step)).map(|step| &*step.name).collect()
        };
        let Some(step) = steps.iter().find(|step| *step.name == *name) else {
            // A number sign stands in the names of those that have none of their own.
            return Some(unknown("step", name, &names(&|step| !step.name.contains('#'))));
        };
        let able = names(&|step| self.why_not(what, step).is_none());
        if able.contains(&name) {
            return None;
        }
        let why = self.why_not(what, step)?;
        let able = if able.is_empty() {
            "no step can have one".to_owned()
        } else {
            format!("there can be one of: {}", listed(&able))
        };
        Some(format!("there is no {what} of `{name}`: {why}; {able}"))
    }

    /// Why a step can have nothing of the kind.
    fn why_not(&self, what: &str, step: &Step) -> Option<String> {
        let is_undo = what == UNDO_FAILURE;
        Some(match &step.action {
            Action::Command(command) if !is_undo || command.compensation.is_some() => return None,
            Action::Command(_) if step.kind == Kind::Pivot => "it is the pivot, which is never undone".into(),
            Action::Command(_) => "it has no command that undoes it".into(),
            Action::Wait(_) if what == OUTPUT => return None,
            Action::Wait(_) => {
                format!("it is a wait, which nobody answers (`--signal {}=2h` says when it ends)", step.name)
            }
            Action::Child(child) if self.child(&child.definition, child.version).is_some() => {
                format!("it is the saga `{}`, which is run too: say it of its steps", child.definition)
            }
            Action::Child(child) if is_undo && !child.undone => "it is not undone".into(),
            Action::Child(_) => return None,
            Action::ForEach(_) => "it is a for_each: say it of the steps in it".into(),
            Action::Choice(_) => "it is a choice: say it of the steps in it".into(),
            Action::Sleep(_) => "it only sleeps".into(),
            Action::Publish(_) => "it publishes an event, which nobody answers".into(),
            Action::Fail { .. } => "it ends the way forward, always".into(),
        })
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let known_ones = listed(known);
    match suggest::nearest(name, known.iter().copied()) {
        Some(meant) => {
            format!("there is no {what} `{name}`: did you mean `{meant}`? There are: {known_ones}")
        }
        None => format!("there is no {what} `{name}`; there are: {known_ones}"),
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
