//! Migrations from one version of a definition to another, tried in every state of a saga.
//!
//! Each is either refused, with an obstacle, or leads to a state of the new version, from which the exploration continues under
//! the rules of the new version.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model_check::abstraction::{Abstraction, Answers};
use crate::model_check::explore::Explorer;
use crate::model_check::operator::Act;
use crate::model_check::record::{Migrated, Reached};
use crate::model_check::rules::{self, Rule};
use crate::model_check::stimulus::is_quiet;
use crate::model_check::{Bounds, Explored, Surroundings, Violation};
use snorri_core::definition::Definition;
use snorri_core::journal::Started;
use snorri_core::migration::obstacles;
use snorri_core::state::State;
use snorri_core::transition::Decision;

/// The result of the migrations.
#[derive(Debug, Clone, Default)]
pub struct Migrations {
    /// The number of states of the old version that were tried.
    pub tried: usize,
    /// The number of states in which the migration is accepted.
    pub accepted: usize,
    /// The number of states in which it is refused, by the code of the first obstacle.
    pub refused: BTreeMap<&'static str, usize>,
    /// The figures of the exploration after the migrations.
    pub after: Explored,
    pub violations: Vec<Violation>,
    /// Whether the bound on states was reached.
    pub is_cut: bool,
}

/// Tries a migration in every state that sagas of `from` reach without an operator, and explores what follows.
pub fn check_migrations(
    from: &Definition,
    to: &Definition,
    around: &Surroundings,
    bounds: &Bounds,
) -> Migrations {
    let mut before = Explorer::new(from, around, bounds);
    let (state, answers) = before.system.beginning();
    before.kept = Some(Vec::new());
    before.add(state, answers);
    before.explore();
    let mut after = Explorer::new(to, around, bounds);
    after.system.next = Arc::new(Abstraction::of(to, bounds).definition);
    let mut found = Migrations::default();
    for (id, state, answers) in before.kept.take().unwrap_or_default() {
        if state.seq == 0 || state.ended.is_some() {
            continue;
        }
        found.tried += 1;
        if let Some(obstacle) = obstacles(from, to, &state).first() {
            *found.refused.entry(obstacle.code).or_default() += 1;
            continue;
        }
        found.accepted += 1;
        let adopted = after.system.abstraction.adopt(&before.system.abstraction, &answers);
        after.migrate(id, state, &adopted);
    }
    after.explore();
    found.after = after.explored();
    found.is_cut = before.cut || after.cut;
    found.violations = violations(&before, &mut after);
    found
}

fn violations(before: &Explorer<'_>, after: &mut Explorer<'_>) -> Vec<Violation> {
    let broken = std::mem::take(&mut after.broken);
    let violations = broken.into_iter().map(|((rule, step), reached)| {
        let first = after.first(&reached, |_| {});
        let mut trace = after.migrated.get(&first).map_or_else(Vec::new, |migrated| {
            let mut trace = before.trace(&Reached::state(migrated.of));
            trace.pop();
            trace
        });
        trace.extend(after.trace(&reached));
        Violation { rule, step, trace }
    });
    violations.collect()
}

impl Explorer<'_> {
    /// Migrates a saga in a state of another version to this one.
    fn migrate(&mut self, of: u32, mut state: State, answers: &Answers) {
        let input = Arc::new(self.system.abstraction.input(answers));
        state.started = state.started.take().map(|it| Arc::new(Started { input, ..(*it).clone() }));
        let migration = Act::Migrate.on(None);
        let decisions = self.system.decisions(&state, answers, &migration);
        if decisions.is_empty() {
            let id = self.add(state.clone(), answers.clone());
            self.migrated.insert(id, Migrated { of, state, answers: answers.clone() });
            let refused = Reached { predecessor: None, then: vec![migration], at: id };
            return self.report(&(Rule::MigrationChanges, None), refused);
        }
        for (decision, given) in decisions {
            // The fingerprint leaves out outcomes that may matter to the rules of a migration.
            let broken = self.broken_by(&state, &decision);
            let print = self.prints.take(&decision.state, &given);
            if broken.is_none() && self.known.contains_key(&print) {
                continue;
            }
            if self.predecessors.len() >= self.most_states {
                self.cut = true;
                return;
            }
            let id = self.add(decision.state.clone(), given.clone());
            self.known.insert(print, id);
            let migrated = Migrated { of, state: decision.state, answers: given };
            match broken {
                Some(broken) => self.report(&broken, Reached::state(id)),
                None if is_quiet(&migrated.state) => self.end(id, &migrated.state),
                None => {}
            }
            self.migrated.insert(id, migrated);
        }
    }

    fn broken_by(&self, before: &State, Decision { entry, state, .. }: &Decision) -> Option<rules::Broken> {
        let definition = &self.system.abstraction.definition;
        let of_decision = rules::of_decision(definition, before, &Act::Migrate.on(None), &entry.facts, state);
        of_decision.or_else(|| rules::of_migration(definition, state))
    }
}
