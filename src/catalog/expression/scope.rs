//! Where an expression stands, and which steps have certainly run there.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use super::types::{Absence, Facts, Known, Type, Why};

/// Where an expression stands. Steps are meant by their index, in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Scope {
    pub(super) at: At,
    /// Whether `event` is known too.
    pub(super) event: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The saga's `key`, made before there is a saga.
    Key,
    /// One of the saga's `attributes`, made with the key.
    Attribute,
    /// Something that sees nothing but `event`: the key that it is written under.
    Event(&'static str),
    /// What a schedule starts a saga with.
    Schedule,
    Step(usize),
    /// A step's compensation.
    Undo(usize),
    /// The output of one item of a `for_each`.
    Item(usize),
    /// The saga's `output`.
    Output,
}

impl Scope {
    pub(in super::super) const KEY: Self = Self::at(At::Key);
    pub(in super::super) const ATTRIBUTE: Self = Self::at(At::Attribute);
    pub(in super::super) const OUTPUT: Self = Self::at(At::Output);
    pub(in super::super) const SCHEDULE: Self = Self::at(At::Schedule);

    const fn at(at: At) -> Self {
        Self { at, event: false }
    }

    pub(in super::super) const fn step(index: usize) -> Self {
        Self::at(At::Step(index))
    }

    pub(in super::super) const fn undo(index: usize) -> Self {
        Self::at(At::Undo(index))
    }

    pub(in super::super) const fn item(index: usize) -> Self {
        Self::at(At::Item(index))
    }

    /// Nothing but `event`, for what is written under `key`.
    pub(in super::super) const fn only_event(key: &'static str) -> Self {
        Self { at: At::Event(key), event: true }
    }

    /// The step that it belongs to.
    pub(super) fn step_of(self) -> Option<usize> {
        match self.at {
            At::Step(own) | At::Undo(own) | At::Item(own) => Some(own),
            At::Key | At::Attribute | At::Event(_) | At::Schedule | At::Output => None,
        }
    }

    /// Whether it is the output of an item.
    pub(in super::super) fn is_item(self) -> bool {
        matches!(self.at, At::Item(_))
    }

    /// The same, and `event`.
    pub(in super::super) const fn with_event(self) -> Self {
        Self { event: true, ..self }
    }
}

/// What there is to be named in a definition.
#[derive(Debug, Default)]
pub(in super::super) struct Names {
    /// All steps, in reading order.
    pub(in super::super) steps: Vec<Named>,
    /// The schema of the input.
    pub(in super::super) input: Option<Arc<Known>>,
}

/// What others need to know of a step to name it.
#[derive(Debug)]
pub(in super::super) struct Named {
    /// Of a step without one it is a name that nobody can write.
    pub(in super::super) name: String,
    /// Whether it has an output.
    pub(in super::super) has_output: bool,
    /// Where it stands in the tree of blocks: from the file down to the list that it is in.
    pub(in super::super) place: Vec<Hop>,
    /// The `for_each` steps around it, outermost first.
    pub(in super::super) within: Vec<usize>,
    /// For a `for_each`, what an item is called.
    pub(in super::super) item: Option<String>,
    /// The schema of its output.
    pub(in super::super) reply: Option<Arc<Known>>,
    /// The key that says what it is.
    pub(in super::super) kind: &'static str,
    /// Whether there is no way back after it, whatever was decided on the way.
    pub(in super::super) is_pivot: bool,
    /// Whether the saga goes on without it.
    pub(in super::super) is_optional: bool,
    /// For a `for_each`: what its items are, and what its output is.
    pub(in super::super) items: Option<Type>,
    pub(in super::super) output: Option<Type>,
    /// What follows from its `when`, or from the conditions of a choice, as far as they were read.
    pub(in super::super) conditions: Vec<Facts>,
    /// Whether it has `on_timeout: unknown`, and the saga does not continue without it.
    pub(in super::super) gives_up: bool,
    /// The keywords by which it may have no output although the saga continued, each with its place.
    pub(in super::super) absences: Vec<(Why, Range<usize>)>,
}

/// A list of steps, and a position in it.
#[derive(Debug, Clone)]
pub(in super::super) struct Hop {
    /// What the list is a branch of.
    pub(in super::super) of: ListOf,
    /// Which of the branches.
    pub(in super::super) branch: usize,
    pub(in super::super) position: usize,
    /// Where to point at for the block.
    pub(in super::super) head: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ListOf {
    File,
    Parallel,
    Choice,
    ForEach,
}

/// How a step is seen from somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sight<'a> {
    /// It has certainly run.
    Seen,
    /// No step has run.
    Never,
    /// It is the one that asks.
    Itself,
    /// It is a block around the one that asks.
    Around,
    /// It comes later.
    Later,
    /// It is in another branch of the same block.
    Beside(&'a Hop),
    /// It is within a block that is over, and keeps what is in it to itself.
    Enclosed(&'a Hop),
}

impl Named {
    /// What is there once its own conditions have been read.
    fn passed(&self) -> impl Iterator<Item = &String> {
        let is_choice = self.kind == "choice";
        self.conditions.iter().flat_map(move |facts| if is_choice { &facts.if_false } else { &facts.if_true })
    }
}

impl Names {
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }

    /// The steps right in a `for_each` that have an output and a name of their own.
    pub(in super::super) fn steps_of(&self, each: usize) -> impl Iterator<Item = usize> {
        let own = move |step: &Named| {
            step.within.last() == Some(&each) && step.has_output && !step.name.contains('#')
        };
        self.steps.iter().enumerate().filter(move |(_, step)| own(step)).map(|(index, _)| index)
    }

    /// How a step is seen from a scope.
    pub(super) fn sight(&self, step: usize, scope: Scope) -> Sight<'_> {
        const END: usize = usize::MAX;
        let there = &self.steps[step].place;
        let (here, branch_end) = match scope.at {
            At::Key | At::Attribute | At::Event(_) | At::Schedule => return Sight::Never,
            At::Undo(own) if own == step => return Sight::Seen,
            At::Step(own) if own == step => return Sight::Itself,
            At::Item(own) if own == step => return Sight::Around,
            At::Step(own) | At::Undo(own) => (self.steps.get(own), None),
            // After all steps of its body.
            At::Item(own) => (self.steps.get(own), Some((0, END))),
            At::Output => (None, Some((0, END))),
        };
        let here = here.into_iter().flat_map(|named| &named.place).map(|hop| (hop.branch, hop.position));
        let mut here = here.chain(branch_end);
        let mut there = there.iter();
        loop {
            match (there.next(), here.next()) {
                (Some(hop), Some((branch, _))) if hop.branch != branch => return Sight::Beside(hop),
                (Some(hop), Some((_, position))) if hop.position == position => {}
                (Some(hop), Some((_, position))) if hop.position > position => return Sight::Later,
                (Some(_), Some(_)) => {
                    let encloses = |hop: &&Hop| matches!(hop.of, ListOf::Choice | ListOf::ForEach);
                    return there.find(encloses).map_or(Sight::Seen, Sight::Enclosed);
                }
                (Some(_), None) => return Sight::Later,
                (None, _) => return Sight::Around,
            }
        }
    }

    /// Why a step that is seen from `scope` may have no output there, if it may have none. `present` is what is known to
    /// hold there: a step whose own condition holds was not skipped.
    pub(super) fn absence(&self, step: usize, scope: Scope, present: &[String]) -> Option<Absence> {
        if scope.at == At::Undo(step) {
            return Some(Absence { step, why: Why::Undone });
        }
        let named = &self.steps[step];
        let conjuncts = named.conditions.first().map_or(&[][..], |facts| &facts.conjuncts);
        let was_run = !conjuncts.is_empty() && conjuncts.iter().all(|part| present.contains(part));
        let is_possible = |why: &Why| *why != Why::Skipped || !was_run;
        let why = named.absences.iter().map(|(why, _)| *why).find(is_possible)?;
        Some(Absence { step, why })
    }

    /// The `for_each` steps around, outermost first.
    pub(super) fn around(&self, scope: Scope) -> impl Iterator<Item = usize> {
        let (own, inner) = match scope.at {
            At::Step(own) | At::Undo(own) => (Some(own), None),
            At::Item(own) => (Some(own), Some(own)),
            At::Key | At::Attribute | At::Event(_) | At::Schedule | At::Output => (None, None),
        };
        own.into_iter().flat_map(|own| &self.steps[own].within).copied().chain(inner)
    }

    /// What the items around are called.
    pub(super) fn items(&self, scope: Scope) -> impl Iterator<Item = &str> {
        self.around(scope).filter_map(|index| self.steps[index].item.as_deref())
    }

    /// The paths that are certainly there in a scope: the conditions on the way to it say so.
    pub(super) fn assured(&self, scope: Scope) -> Vec<String> {
        let own = scope.step_of().and_then(|own| self.steps.get(own));
        let conditions = own.into_iter().flat_map(|own| {
            let outer = own.within.iter().filter_map(|&index| self.steps.get(index));
            outer.chain([own]).flat_map(|step| step.passed())
        });
        let branches = own.into_iter().flat_map(|own| self.branches(own));
        let is_behind = |index: usize| matches!(self.sight(index, scope), Sight::Seen);
        // Who comes after a `fail` was not failed by it.
        let failing = self.steps.iter().enumerate();
        let failing = failing.filter(|(index, step)| step.kind == "fail" && is_behind(*index));
        let survived = failing.flat_map(|(_, step)| step.conditions.iter().flat_map(|facts| &facts.if_false));
        conditions.chain(branches).chain(survived).cloned().collect()
    }

    /// What the choices around a step say by the branches that they took.
    fn branches<'a>(&'a self, own: &'a Named) -> impl Iterator<Item = &'a String> {
        let choices = own.place.iter().enumerate().filter(|(_, hop)| hop.of == ListOf::Choice);
        choices.flat_map(move |(depth, hop)| {
            let leads_there = |step: &&Named| {
                let way = own.place[..depth].iter().map(|hop| (hop.branch, hop.position));
                step.kind == "choice" && step.place.iter().map(|hop| (hop.branch, hop.position)).eq(way)
            };
            let conditions = self.steps.iter().find(leads_there).map_or(&[][..], |step| &step.conditions);
            let (before, rest) = conditions.split_at(hop.branch.min(conditions.len()));
            let taken = rest.first().into_iter().flat_map(|facts| &facts.if_true);
            before.iter().flat_map(|facts| &facts.if_false).chain(taken)
        })
    }

    /// A pivot that has certainly succeeded before this.
    pub(super) fn pivot_before(&self, scope: Scope) -> Option<usize> {
        let is_behind = |index: &usize| matches!(self.sight(*index, scope), Sight::Seen);
        (0..self.steps.len()).filter(|&index| self.steps[index].is_pivot).find(is_behind)
    }

    /// A step, for people.
    pub(super) fn called(&self, step: usize) -> String {
        let named = self.steps.get(step).filter(|step| !step.name.contains('#'));
        named.map_or_else(|| "this step".into(), |step| format!("`{}`", step.name))
    }

    /// What can be named in a scope.
    pub(super) fn nameable(&self, scope: Scope) -> impl Iterator<Item = &str> {
        let general: &[&str] = match scope.at {
            At::Key | At::Attribute => &["input"],
            At::Event(_) => &[],
            At::Schedule => &["schedule"],
            At::Step(_) | At::Undo(_) | At::Item(_) | At::Output => &["input", "saga"],
        };
        let event = scope.event.then_some("event");
        let steps = self.steps.iter().enumerate().filter(move |(index, step)| {
            step.has_output && !step.name.contains('#') && matches!(self.sight(*index, scope), Sight::Seen)
        });
        let steps = steps.map(|(_, step)| step.name.as_str());
        iter::empty().chain(general.iter().copied()).chain(event).chain(self.items(scope)).chain(steps)
    }
}
