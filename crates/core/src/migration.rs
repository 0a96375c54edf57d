//! Whether a saga can continue with another version of its definition.
//!
//! It can if the new version could have led to all that has happened: every step that has begun still exists, does the same
//! where that still matters, and has the same place and order; and no step that is new in the version would have to begin
//! before one that has begun already. What cannot be judged is an obstacle.

use std::collections::{BTreeSet, HashMap};

use super::definition::{Action, Block, CommandAction, Definition, OnCompensationFailure, Step};
use super::id::{Direction, StepPath};
use super::state::{Entered, Pending, State, StepOutcome, StepState};
use super::walk;

/// Why a saga cannot continue with another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Stable.
    pub code: &'static str,
    pub step: Option<StepPath>,
    pub message: String,
}

/// The obstacles to continuing with `to`, for a saga in `state` of `from`. Empty: the migration is safe.
pub fn obstacles(from: &Definition, to: &Definition, state: &State) -> Vec<Obstacle> {
    let mut check = Check { from, to, state, found: Vec::new() };
    if from.name != to.name {
        check.report("other_saga", None, format!("it is a saga of `{}`, not of `{}`", from.name, to.name));
        return check.found;
    }
    if from.key != to.key {
        check.report(
            "key_changed",
            None,
            "the business key is made otherwise, and events would not find the saga",
        );
    }
    check.steps();
    check.order();
    // Steps that have not begun by then will not begin.
    if state.rolling_back {
        check.undoing();
    } else {
        check.ahead(&to.body, &mut Vec::new());
    }
    check.found
}

/// The choices and lists around a step, outermost first: the name, and which branch.
type Place<'a> = Vec<(&'a str, usize)>;

struct Check<'a> {
    from: &'a Definition,
    to: &'a Definition,
    state: &'a State,
    found: Vec<Obstacle>,
}

impl<'a> Check<'a> {
    /// Records an obstacle. Items of a list that have the same one are recorded once.
    fn report(&mut self, code: &'static str, step: Option<&StepPath>, message: impl Into<String>) {
        let name = step.map(StepPath::name);
        let is_same =
            |other: &Obstacle| other.code == code && other.step.as_ref().map(StepPath::name) == name;
        if !self.found.iter().any(is_same) {
            self.found.push(Obstacle { code, step: step.cloned(), message: message.into() });
        }
    }

    /// All steps that have begun.
    fn begun(&self) -> BTreeSet<&'a StepPath> {
        self.state.steps.keys().chain(self.state.entered.keys()).collect()
    }

    fn steps(&mut self) {
        let (before, after) = (places(self.from), places(self.to));
        for path in self.begun() {
            let Some(old) = self.from.step(path) else { continue };
            let Some(new) = self.to.step(path) else {
                let message = format!("`{path}` has begun, and there is no such step any more");
                self.report("step_removed", Some(path), message);
                continue;
            };
            if old.action.kind() != new.action.kind() {
                let (was, is) = (old.action.kind(), new.action.kind());
                self.report("step_changed", Some(path), format!("`{path}` was a {was}, and is a {is}"));
                continue;
            }
            if before.get(path.name()) != after.get(path.name()) {
                let message = format!("`{path}` stands in another block now");
                self.report("step_moved", Some(path), message);
            }
            if old.is_pivot() != new.is_pivot() {
                let message = format!("`{path}` has begun, and is {}the pivot now", not(new.is_pivot()));
                self.report("pivot_moved", Some(path), message);
            }
            self.action(path, old, new);
            if let Some(state) = self.state.step(path) {
                self.in_flight(path, state, old, new);
                self.concluded(path, state, old, new);
            }
        }
    }

    /// Compares the actions of a step as far as the state depends on them, or as they identify the step.
    fn action(&mut self, path: &StepPath, old: &Step, new: &Step) {
        match (self.state.entered.get(path), &old.action, &new.action) {
            (Some(Entered::Branch(taken)), Action::Choice(old), Action::Choice(new)) => {
                let decided = |conditions: usize| conditions.min(*taken as usize + 1);
                let is_same_end = (*taken as usize) < old.len() || old.len() == new.len();
                if old[..decided(old.len())] != new[..decided(new.len())] || !is_same_end {
                    let message = format!("`{path}` has been decided, by other conditions");
                    self.report("choice_changed", Some(path), message);
                }
            }
            (Some(Entered::Items(_)), Action::ForEach(old), Action::ForEach(new)) if old.list != new.list => {
                let message = format!("`{path}` has begun, over another list");
                self.report("list_changed", Some(path), message);
            }
            // A step without a name is identified by its place among the steps of its kind.
            (None, old, new) if path.name().contains('#') && !is_same(old, new) => {
                let message = format!("`{path}` has begun, has no name, and does something else now");
                self.report("step_changed", Some(path), message);
            }
            _ => {}
        }
    }

    /// Another attempt has the idempotency key of those before it, and so must be the same.
    fn in_flight(&mut self, path: &StepPath, state: &StepState, old: &Step, new: &Step) {
        for direction in [Direction::Forward, Direction::Compensate] {
            let is_sent = state.attempts(direction).last > 0;
            let Some(pending) = state.pending(direction) else { continue };
            let commands = (old.command(direction), new.command(direction));
            if is_sent && !is_same_command(commands.0, commands.1) {
                let what = if direction == Direction::Forward { "command" } else { "compensation" };
                let message = format!("the {what} of `{path}` is under way, and is another one now");
                self.report("command_changed", Some(path), message);
            }
            if let (Pending::ReceivedEvent { .. }, Action::Wait(old), Action::Wait(new)) =
                (pending, &old.action, &new.action)
                && old.awaited != new.awaited
            {
                let message = format!("`{path}` is waiting, and for something else now");
                self.report("wait_changed", Some(path), message);
            }
        }
        if let (Action::Child(old), Action::Child(new)) = (&old.action, &new.action) {
            let is_same =
                old.definition == new.definition && old.version == new.version && old.input == new.input;
            if state.forward.last > 0 && !state.is_compensated() && !is_same {
                let message = format!("the saga that `{path}` has started is another one now");
                self.report("child_changed", Some(path), message);
            }
        }
    }

    fn concluded(&mut self, path: &StepPath, state: &StepState, old: &Step, new: &Step) {
        let may_have_happened = !matches!(state.outcome, StepOutcome::Failed(_) | StepOutcome::Skipped);
        let may_be_compensated = may_have_happened
            && !state.is_compensated()
            && !self.state.is_past_pivot(self.from)
            && !old.is_pivot();
        if may_be_compensated && old.has_compensation() && !new.has_compensation() {
            let message = format!("`{path}` has begun, and could not be compensated any more");
            self.report("undo_removed", Some(path), message);
        }
        let came_to_nothing = matches!(state.outcome, StepOutcome::Failed(_) | StepOutcome::Unknown { .. });
        if came_to_nothing && old.may_miss() != new.may_miss() {
            let message = format!("`{path}` has not succeeded, and is {}optional now", not(new.may_miss()));
            self.report("optional_changed", Some(path), message);
        }
    }

    /// What has begun is compensated in the order of the new version, which must be the one in which it was done.
    fn order(&mut self) {
        let begun: BTreeSet<&str> = self.begun().into_iter().map(StepPath::name).collect();
        let in_order = |of: &'a Definition, other: &Definition| -> Vec<&'a str> {
            let names = of.steps().iter().map(|step| &*step.name);
            names.filter(|name| begun.contains(name) && other.index_of(name).is_some()).collect()
        };
        let (before, after) = (in_order(self.from, self.to), in_order(self.to, self.from));
        if let Some((was, is)) = before.iter().zip(&after).find(|(was, is)| was != is) {
            let message = format!("`{was}` was before `{is}`, and is after it now");
            self.report("order_changed", Some(&StepPath::new(*is)), message);
        }
    }

    /// What was compensated, or is being compensated, must not have to wait, in the new version only, for a step that is not:
    /// because that step has another place there, or has a compensation only there.
    fn undoing(&mut self) {
        let is_left = |(path, step): &(&'a StepPath, &'a StepState)| {
            let happened = matches!(step.outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. });
            happened && !step.is_compensated() && self.to.step(path).is_some_and(Step::has_compensation)
        };
        let left: Vec<_> = self.state.steps.iter().filter(is_left).map(|(path, _)| path).collect();
        let goes_on =
            |definition: &Definition| definition.on_compensation_failure == OnCompensationFailure::Continue;
        let is_stricter = goes_on(self.from) && !goes_on(self.to);
        for (earlier, _) in self.state.steps.iter().filter(|(_, step)| step.compensation.is_some()) {
            let waited_before = |later: &StepPath| {
                walk::comes_after(self.from, later, earlier)
                    && self.from.step(later).is_some_and(Step::has_compensation)
                    && !is_stricter
            };
            let waits_for =
                |later: &&&StepPath| walk::comes_after(self.to, later, earlier) && !waited_before(later);
            if let Some(later) = left.iter().find(waits_for) {
                let message =
                    format!("`{earlier}` is compensated already, and would have to wait for `{later}` now");
                self.report("order_changed", Some(earlier), message);
            }
        }
    }

    /// What has begun must not wait for something in `block` that has not.
    fn ahead(&mut self, block: &Block, items: &mut Vec<u32>) {
        match block {
            Block::Step(_) => {}
            Block::Sequence(blocks) => {
                let Some(last) = blocks.iter().rposition(|block| self.has_begun(block, items)) else {
                    return;
                };
                for block in &blocks[..last] {
                    self.must_be_through(block, items);
                }
                self.ahead(&blocks[last], items);
            }
            Block::Parallel(branches) => branches.iter().for_each(|branch| self.ahead(branch, items)),
            Block::Choice(index, branches) => {
                let path = StepPath::at(self.to.step_at(*index).name.clone(), items);
                if let Some(Entered::Branch(taken)) = self.state.entered.get(&path)
                    && let Some(branch) = branches.get(*taken as usize)
                {
                    self.ahead(branch, items);
                }
            }
            Block::ForEach(index, body) => {
                let path = StepPath::at(self.to.step_at(*index).name.clone(), items);
                if let Some(Entered::Items(list)) = self.state.entered.get(&path) {
                    let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
                    self.each(&path, body, count, items);
                }
            }
        }
    }

    /// The saga does not go back to an item that it has completed, unless no other item has begun since.
    fn each(&mut self, path: &StepPath, body: &Block, count: u32, items: &mut Vec<u32>) {
        let is_over = self.state.step(path).is_some();
        let mut was_later_begun = is_over;
        for item in (0..count).rev() {
            items.push(item);
            let was_through = self.was_through(path, items);
            if was_later_begun && was_through {
                self.must_be_through(body, items);
            } else {
                self.ahead(body, items);
            }
            was_later_begun |= self.has_begun(body, items);
            items.pop();
        }
    }

    /// Whether the saga has completed an item, by the version that it is in.
    fn was_through(&self, path: &StepPath, items: &[u32]) -> bool {
        let of = self.from.index_of(path.name());
        let body = of.and_then(|of| body_of(&self.from.body, of.0));
        body.is_some_and(|body| walk::through(self.from, self.state, body, items).is_ok())
    }

    fn must_be_through(&mut self, block: &Block, items: &[u32]) {
        let Err(missing) = walk::through(self.to, self.state, block, items) else { return };
        if missing.is_empty() {
            let message = "what follows has begun before something that the new version has it wait for";
            self.report("order_changed", None, message);
        }
        for path in missing {
            let message = format!("`{path}` would have to run before what has begun already");
            self.report("step_added", Some(&path), message);
        }
    }

    fn has_begun(&self, block: &Block, items: &mut Vec<u32>) -> bool {
        match block {
            Block::Step(index) | Block::Choice(index, _) | Block::ForEach(index, _) => {
                let path = StepPath::at(self.to.step_at(*index).name.clone(), items);
                self.state.steps.contains_key(&path) || self.state.entered.contains_key(&path)
            }
            Block::Sequence(blocks) | Block::Parallel(blocks) => {
                blocks.iter().any(|block| self.has_begun(block, items))
            }
        }
    }
}

fn not(is: bool) -> &'static str {
    if is { "" } else { "not " }
}

fn is_same_command(old: Option<&CommandAction>, new: Option<&CommandAction>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => is_same_to_its_receiver(old, new),
        (None, None) => true,
        _ => false,
    }
}

/// Whether the participant cannot distinguish a repetition of the one from the other.
fn is_same_to_its_receiver(old: &CommandAction, new: &CommandAction) -> bool {
    old.exchange == new.exchange
        && old.name == new.name
        && old.payload == new.payload
        && old.reply_events == new.reply_events
}

fn is_same(old: &Action, new: &Action) -> bool {
    match (old, new) {
        (Action::Command(old), Action::Command(new)) => {
            is_same_to_its_receiver(&old.command, &new.command)
                && is_same_command(old.compensation.as_ref(), new.compensation.as_ref())
        }
        (Action::Choice(old), Action::Choice(new)) => old == new,
        (Action::ForEach(old), Action::ForEach(new)) => old.list == new.list,
        (Action::Wait(old), Action::Wait(new)) => old.awaited == new.awaited,
        (Action::Sleep(old), Action::Sleep(new)) => old == new,
        (Action::Child(old), Action::Child(new)) => old == new,
        (Action::Publish(old), Action::Publish(new)) => old == new,
        (Action::Fail { code, message }, Action::Fail { code: new_code, message: new_message }) => {
            code == new_code && message == new_message
        }
        _ => false,
    }
}

/// The body of the `for_each` with this index.
fn body_of(block: &Block, wanted: usize) -> Option<&Block> {
    match block {
        Block::Step(_) => None,
        Block::ForEach(index, body) if index.0 == wanted => Some(body),
        Block::ForEach(_, body) => body_of(body, wanted),
        Block::Sequence(blocks) | Block::Parallel(blocks) | Block::Choice(_, blocks) => {
            blocks.iter().find_map(|block| body_of(block, wanted))
        }
    }
}

fn places(definition: &Definition) -> HashMap<&str, Place<'_>> {
    let mut found = HashMap::new();
    find_places(definition, &definition.body, &mut Vec::new(), &mut found);
    found
}

fn find_places<'a>(
    definition: &'a Definition,
    block: &Block,
    around: &mut Place<'a>,
    found: &mut HashMap<&'a str, Place<'a>>,
) {
    let mut within = |owner, branch, block: &Block, found: &mut HashMap<&'a str, Place<'a>>| {
        around.push((owner, branch));
        find_places(definition, block, around, found);
        around.pop();
    };
    let name = |index: super::definition::StepIndex| &*definition.step_at(index).name;
    match block {
        Block::Step(index) => drop(found.insert(name(*index), around.clone())),
        Block::Sequence(blocks) | Block::Parallel(blocks) => {
            blocks.iter().for_each(|block| find_places(definition, block, around, found));
        }
        Block::Choice(index, branches) => {
            for (branch, block) in branches.iter().enumerate() {
                within(name(*index), branch, block, found);
            }
            found.insert(name(*index), around.clone());
        }
        Block::ForEach(index, body) => {
            within(name(*index), 0, body, found);
            found.insert(name(*index), around.clone());
        }
    }
}
