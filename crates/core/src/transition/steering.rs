//! Pause, resume and migration of a saga.

use super::{Draft, Rejection};
use crate::id::{Direction, StepPath};
use crate::input::Migrate;
use crate::journal::{By, Cause, Fact};
use crate::migration::obstacles;
use crate::state::Pending;

impl<'a> Draft<'a> {
    pub(super) fn pause(&mut self, by: &By) -> Result<Cause, Rejection> {
        match () {
            () if self.state.ended.is_some() => Err(Rejection::Ended),
            () if self.state.paused.is_some() => Err(Rejection::AlreadyPaused),
            () => {
                self.record(Fact::Paused);
                Ok(Cause::Pause(by.clone()))
            }
        }
    }

    /// Resumes as if the time of the pause had not passed.
    pub(super) fn resume(&mut self, by: &By) -> Result<Cause, Rejection> {
        if self.state.ended.is_some() {
            return Err(Rejection::Ended);
        }
        let since = self.state.paused.ok_or(Rejection::NotPaused)?;
        let held_millis = u64::try_from(self.at.since(since).as_millis()).unwrap_or(u64::MAX);
        self.record(Fact::Resumed { held_millis });
        self.command_children();
        Ok(Cause::Resume(by.clone()))
    }

    /// Sends the child commands that became due during a pause. Children that already have one get it again.
    pub(super) fn command_children(&mut self) {
        if self.state.stopping.is_none() {
            return;
        }
        let is_child = |(path, direction, pending): (StepPath, Direction, Pending)| {
            let goes_back = self.definition.step(&path).is_some_and(|step| !step.is_pivot());
            (direction == Direction::Forward && pending == Pending::Child && goes_back).then_some(path)
        };
        let children: Vec<_> = self.pending().into_iter().filter_map(is_child).collect();
        for path in &children {
            self.cancel_child(path);
        }
    }

    /// From here on the new version decides, also about the consequences of this input.
    pub(super) fn migrate(&mut self, Migrate { to, by }: &'a Migrate) -> Result<Cause, Rejection> {
        let from = self.state.version();
        if self.state.ended.is_some() {
            return Err(Rejection::Ended);
        }
        if to.name == self.definition.name && to.version == from {
            return Err(Rejection::SameVersion);
        }
        let obstacles = obstacles(self.definition, to, self.state);
        if !obstacles.is_empty() {
            return Err(Rejection::NotSafe(obstacles));
        }
        self.record(Fact::Migrated { version: to.version });
        self.definition = to;
        Ok(Cause::Migrate { from, to: to.version, by: by.clone() })
    }
}
