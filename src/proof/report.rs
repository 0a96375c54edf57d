//! What an exploration came to, told.

use super::explore::{Explorer, Reached, Way};
use super::{Bounds, End, Proof, Violation, story, ways};
use crate::saga::definition::{Action, Definition};
use crate::saga::state::Status;

impl Explorer<'_> {
    pub(super) fn into_proof(mut self, definition: &Definition) -> Proof {
        let paths = ways::count(self.ways.len(), &self.edges);
        let ends = std::mem::take(&mut self.ends);
        let mut ends: Vec<End> = ends
            .into_iter()
            .map(|((_, held), (status, ids))| End {
                status,
                held,
                paths: ids.iter().map(|id| paths[*id as usize]).sum(),
                story: ids.first().map(|id| self.story(&Reached::state(*id))).unwrap_or_default(),
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
            story: self.story(&reached),
        });
        let violations = violations.collect();
        let left_out = self.left_out(definition);
        Proof {
            states: self.ways.len(),
            transitions: self.transitions,
            ends,
            violations,
            left_out,
            is_cut: self.cut,
            alike: self.prints.alike(),
        }
    }

    /// The shortest way to a state, and one decision further if there is one, told.
    fn story(&self, reached: &Reached) -> Vec<String> {
        let mut ways: Vec<Way> = reached.way.into_iter().collect();
        let mut at = reached.at;
        while at != 0 {
            let way = self.ways[at as usize];
            ways.push(way);
            at = way.from;
        }
        let (mut state, mut answers) = self.stage.beginning();
        let mut lines = Vec::new();
        while let Some(way) = ways.pop() {
            let Some(happening) = self.stage.happenings(&state).into_iter().nth(usize::from(way.happening))
            else {
                break;
            };
            let mut decisions = self.stage.decisions(&state, &answers, &happening);
            if usize::from(way.answer) >= decisions.len() {
                break;
            }
            let (decision, given) = decisions.swap_remove(usize::from(way.answer));
            story::tell(&self.stage.skeleton.definition, &happening, &decision.entry.facts, &mut lines);
            (state, answers) = (decision.state, given);
        }
        if let Some(happening) = &reached.repeated
            && let Some((decision, _)) = self.stage.decisions(&state, &answers, happening).into_iter().next()
        {
            story::tell(&self.stage.skeleton.definition, happening, &decision.entry.facts, &mut lines);
            state = decision.state;
        }
        story::tell_end(&state, &mut lines);
        lines
    }

    fn left_out(&self, definition: &Definition) -> Vec<String> {
        let mut told = self.stage.skeleton.left_out.clone();
        let Bounds { attempts, items, .. } = *self.bounds;
        if self.cut {
            told.push(format!("more than {} states", self.most_states));
        }
        let most = definition.commands().map(|command| command.retry.attempts).max().unwrap_or_default();
        if most > attempts {
            told.push(format!("more than {attempts} attempts of a command (there are up to {most})"));
        }
        let has_lists = definition.steps().iter().any(|step| matches!(step.action, Action::ForEach(_)));
        if has_lists {
            told.push(format!("lists of more than {items} items"));
        }
        let unknown =
            definition.children().filter(|(_, child)| child.undone && !self.stage.around.is_known(child));
        told.extend(unknown.map(|(_, child)| format!("what {}@{} is", child.definition, child.version)));
        told
    }
}
