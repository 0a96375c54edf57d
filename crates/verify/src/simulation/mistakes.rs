//! Checks a plan: unknown names, faults that a step cannot have, and rates that sum up to more than 100%.

use super::plan::{EVERY, Plan};
use snorri_core::Definition;
use snorri_core::definition::{Action, Kind, Step};
use snorri_definition::diagnostic::suggest;

/// The name of `--outputs` in messages.
const OUTPUT: &str = "output";
const UNDO_FAILURE: &str = "compensation-failure";

impl Plan {
    /// Describes the settings for steps, signals or events that are unknown or cannot have them.
    pub fn mistakes(&self) -> Vec<String> {
        let definitions = self.definitions();
        let steps: Vec<&Step> = definitions.iter().flat_map(|it| it.steps()).collect();
        let mut settings: Vec<(&str, &str)> = Vec::new();
        for (what, rates) in self.faults.rates() {
            settings.extend(rates.names().map(|name| (what, name)));
        }
        settings.extend(self.latency.by_name.keys().map(|name| ("latency", name.as_str())));
        settings.retain(|(_, name)| *name != EVERY);
        settings.extend(self.outputs.keys().map(|name| (OUTPUT, name.as_str())));
        let mut mistakes: Vec<_> =
            settings.into_iter().filter_map(|(what, name)| self.check_setting(what, name, &steps)).collect();
        mistakes.extend(self.never_awaited(&definitions));
        for step in steps {
            let sum = self.faults.sum(&step.name);
            if sum > 1.0 {
                mistakes.push(format!("the faults of `{}` sum up to {:.1}%", step.name, sum * 100.0));
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
        names.map(|name| unknown("awaited signal or event", name, &awaited)).collect()
    }

    /// Describes why the step of this name cannot have the setting `what`, if it cannot.
    fn check_setting(&self, what: &str, name: &str, steps: &[&Step]) -> Option<String> {
        let names = |of: &dyn Fn(&Step) -> bool| -> Vec<&str> {
            steps.iter().filter(|step| of(step)).map(|step| &*step.name).collect()
        };
        let Some(step) = steps.iter().find(|step| *step.name == *name) else {
            // Generated names of steps contain a number sign.
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
            format!("steps that can have one: {}", listed(&able))
        };
        Some(format!("there is no {what} of `{name}`: {why}; {able}"))
    }

    /// The reason why a step cannot have the setting `what`.
    fn why_not(&self, what: &str, step: &Step) -> Option<String> {
        let is_undo = what == UNDO_FAILURE;
        Some(match &step.action {
            Action::Command(command) if !is_undo || command.compensation.is_some() => return None,
            Action::Command(_) if step.kind == Kind::Pivot => {
                "it is the pivot, which is never compensated".into()
            }
            Action::Command(_) => "it has no compensation".into(),
            Action::Wait(_) if what == OUTPUT => return None,
            Action::Wait(_) => {
                format!("it is a wait, which has no reply (`--signal {}=2h` sets when it ends)", step.name)
            }
            Action::Child(child) if self.child(&child.definition, child.version).is_some() => {
                format!("it is the saga `{}`, which is simulated too: set it for its steps", child.definition)
            }
            Action::Child(child) if is_undo && !child.compensated => "it is not compensated".into(),
            Action::Child(_) => return None,
            Action::ForEach(_) => "it is a for_each: set it for the steps in it".into(),
            Action::Choice(_) => "it is a choice: set it for the steps in it".into(),
            Action::Sleep(_) => "it only sleeps".into(),
            Action::Publish(_) => "it publishes an event, which has no reply".into(),
            Action::Fail { .. } => "it always fails the saga".into(),
        })
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let known_ones = listed(known);
    match suggest::nearest(name, known.iter().copied()) {
        Some(near) => {
            format!("there is no {what} `{name}`: did you mean `{near}`? There are: {known_ones}")
        }
        None => format!("there is no {what} `{name}`; there are: {known_ones}"),
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
