//! What holds a saga as it is and lets it go on, and what has it go on with another version of its definition.

use super::{Draft, Ignored};
use crate::saga::id::{Direction, StepPath};
use crate::saga::input::Migrate;
use crate::saga::journal::{By, Cause, Fact};
use crate::saga::migration::obstacles;
use crate::saga::state::Pending;

impl<'a> Draft<'a> {
    pub(super) fn pause(&mut self, by: &By) -> Result<Cause, Ignored> {
        match () {
            () if self.state.ended.is_some() => Err(Ignored::Ended),
            () if self.state.paused.is_some() => Err(Ignored::AlreadyPaused),
            () => {
                self.record(Fact::Paused);
                Ok(Cause::Pause(by.clone()))
            }
        }
    }

    /// As if the time of the pause had not passed.
    pub(super) fn resume(&mut self, by: &By) -> Result<Cause, Ignored> {
        if self.state.ended.is_some() {
            return Err(Ignored::Ended);
        }
        let since = self.state.paused.ok_or(Ignored::NotPaused)?;
        let held_millis = u64::try_from(self.at.since(since).as_millis()).unwrap_or(u64::MAX);
        self.record(Fact::Resumed { held_millis });
        self.tell_children();
        Ok(Cause::Resume(by.clone()))
    }

    /// Children that the saga wanted back while it was paused have not been told. Those that have been are told once more.
    fn tell_children(&mut self) {
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

    /// From here on the new version decides, also about what follows from this.
    pub(super) fn migrate(&mut self, Migrate { to, by }: &'a Migrate) -> Result<Cause, Ignored> {
        let from = self.state.version();
        if self.state.ended.is_some() {
            return Err(Ignored::Ended);
        }
        if to.name == self.definition.name && to.version == from {
            return Err(Ignored::SameVersion);
        }
        let obstacles = obstacles(self.definition, to, &self.state);
        if !obstacles.is_empty() {
            return Err(Ignored::NotSafe(obstacles));
        }
        self.record(Fact::Migrated { version: to.version });
        self.definition = to;
        Ok(Cause::Migrate { from, to: to.version, by: by.clone() })
    }
}
