//! The result of an exploration, with its counterexamples.

use crate::model_check::explore::Explorer;
use crate::model_check::record::{Predecessor, Reached};
use crate::model_check::{Bounds, End, ModelCheck, Violation, counterexample, path_count};
use snorri_core::definition::{Action, Definition};
use snorri_core::state::Status;

impl Explorer<'_> {
    pub(super) fn into_model_check(mut self, definition: &Definition) -> ModelCheck {
        let (alone, edges, with_operator) = self.parts();
        let paths = path_count::count(alone.states, &self.edges[..edges]);
        let ends = std::mem::take(&mut self.ends);
        let mut ends: Vec<End> = ends
            .into_iter()
            .map(|((_, held), (status, ids))| End {
                status,
                held,
                paths: ids.iter().map(|id| paths[*id as usize]).sum(),
                trace: ids.first().map(|id| self.trace(&Reached::state(*id))).unwrap_or_default(),
            })
            .collect();
        ends.sort_by(|one, other| {
            (one.status == Status::Stuck, other.paths)
                .partial_cmp(&(other.status == Status::Stuck, one.paths))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let broken = std::mem::take(&mut self.broken);
        let violations = broken.into_iter().map(|((rule, step), reached)| Violation {
            rule,
            step,
            trace: self.trace(&reached),
        });
        let violations = violations.collect();
        let left_out = self.left_out(definition);
        ModelCheck {
            states: alone.states,
            transitions: alone.transitions,
            with_operator,
            ends,
            violations,
            left_out,
            is_cut: self.cut,
            alike: self.prints.alike(),
        }
    }

    /// Renders the shortest path to a state, the decision after it if there is one, and the stimuli after that.
    pub(super) fn trace(&self, reached: &Reached) -> Vec<String> {
        let mut predecessors: Vec<Predecessor> = reached.predecessor.into_iter().collect();
        let at = self.first(reached, |predecessor| predecessors.push(predecessor));
        let (mut state, mut answers) = match self.migrated.get(&at) {
            Some(migrated) => (migrated.state.clone(), migrated.answers.clone()),
            None => self.system.beginning(),
        };
        let mut lines = Vec::new();
        while let Some(predecessor) = predecessors.pop() {
            let Some(stimulus) = self.system.moves(&state).into_iter().nth(usize::from(predecessor.stimulus))
            else {
                break;
            };
            let mut decisions = self.system.decisions(&state, &answers, &stimulus);
            if usize::from(predecessor.answer) >= decisions.len() {
                break;
            }
            let (decision, given) = decisions.swap_remove(usize::from(predecessor.answer));
            counterexample::describe_stimulus(
                &self.system.abstraction.definition,
                &stimulus,
                &decision.entry.facts,
                &mut lines,
            );
            (state, answers) = (decision.state, given);
        }
        for stimulus in &reached.then {
            let Some((decision, given)) =
                self.system.decisions(&state, &answers, stimulus).into_iter().next()
            else {
                lines.push(counterexample::describe_refused(&self.system.abstraction.definition, stimulus));
                break;
            };
            counterexample::describe_stimulus(
                &self.system.abstraction.definition,
                stimulus,
                &decision.entry.facts,
                &mut lines,
            );
            (state, answers) = (decision.state, given);
        }
        counterexample::describe_end(&state, &mut lines);
        lines
    }

    /// The first state of a path. Calls `visit` with the decisions after it, the last one first.
    pub(super) fn first(&self, reached: &Reached, mut visit: impl FnMut(Predecessor)) -> u32 {
        let mut at = reached.at;
        loop {
            let predecessor = self.predecessors[at as usize];
            if predecessor.from == at {
                return at;
            }
            visit(predecessor);
            at = predecessor.from;
        }
    }

    fn left_out(&self, definition: &Definition) -> Vec<String> {
        let mut left_out = self.system.abstraction.left_out.clone();
        let Bounds { attempts, items, .. } = *self.bounds;
        if self.cut {
            left_out.push(format!("more than {} states", self.most_states));
        } else if self.layers.is_cut {
            left_out.push(format!("an operator's interventions beyond {} states", self.most_states));
        }
        let most = definition.commands().map(|command| command.retry.attempts).max().unwrap_or_default();
        if most > attempts {
            left_out.push(format!("more than {attempts} attempts of a command (there are up to {most})"));
        }
        let has_lists = definition.steps().iter().any(|step| matches!(step.action, Action::ForEach(_)));
        if has_lists {
            left_out.push(format!("lists of more than {items} items"));
        }
        let unknown = definition
            .children()
            .filter(|(_, child)| child.compensated && !self.system.around.is_known(child));
        left_out.extend(
            unknown
                .map(|(_, child)| format!("the unknown definition {}@{}", child.definition, child.version)),
        );
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_check::operator::Act;
    use crate::model_check::{Operator, Surroundings};
    use snorri_core::id::StepPath;

    #[test]
    fn a_story_names_what_an_operator_did_and_what_was_refused() {
        let source = "{ saga: order, version: 1, defaults: { exchange: x, retry: { attempts: 1 } }, \
                      steps: [{ name: ship, command: ship, pivot: true }] }";
        let compiled = snorri_definition::compile("saga.yaml", source).expect("a definition");
        let around = Surroundings::default();
        let bounds = Bounds { operator: Operator::Everywhere(1), ..Bounds::default() };
        let mut explorer = Explorer::new(&compiled.definition, &around, &bounds);
        explorer.run();
        let ship = StepPath::new("ship");
        let held = (0..explorer.predecessors.len()).map(|id| explorer.trace(&Reached::state(id as u32)));
        let at = held.into_iter().position(|trace| trace.last().is_some_and(|end| end.contains("stuck")));
        let at = u32::try_from(at.expect("a stuck saga")).expect("few states");
        let then = vec![Act::Skip.on(Some(&ship)), Act::Pause.on(None)];
        let trace = explorer.trace(&Reached { at, predecessor: None, then });
        assert_eq!(
            trace[trace.len() - 3..],
            ["an operator skips `ship`", "an operator pauses the saga: refused", "it ends completed"],
            "{trace:#?}"
        );
    }
}
