//! The place of an expression, and the steps that have certainly run there.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use super::types::{Absence, Facts, Known, Type, Why};
use snorri_core::definition::StepKind;

/// The place of an expression. Steps are identified by their index, in reading order.
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
    /// An expression that sees nothing but `event`, under this key.
    Event(&'static str),
    /// The input of a scheduled saga.
    Schedule,
    Step(usize),
    /// A step's compensation.
    Compensation(usize),
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

    pub(in super::super) const fn compensation(index: usize) -> Self {
        Self::at(At::Compensation(index))
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
            At::Step(own) | At::Compensation(own) | At::Item(own) => Some(own),
            At::Key | At::Attribute | At::Event(_) | At::Schedule | At::Output => None,
        }
    }

    /// Whether it is the output of an item.
    pub(in super::super) fn is_item(self) -> bool {
        matches!(self.at, At::Item(_))
    }

    /// This scope, and `event`.
    pub(in super::super) const fn with_event(self) -> Self {
        Self { event: true, ..self }
    }
}

/// The names of a definition.
#[derive(Debug, Default)]
pub(in super::super) struct Names {
    /// All steps, in reading order.
    pub(in super::super) steps: Vec<Named>,
    /// The schema of the input.
    pub(in super::super) input: Option<Arc<Known>>,
}

/// What expressions need of a step to name it.
#[derive(Debug)]
pub(in super::super) struct Named {
    /// A step without a name has one that is not an identifier.
    pub(in super::super) name: String,
    /// Whether it has an output.
    pub(in super::super) has_output: bool,
    /// Its place in the tree of blocks: from the file down to the list that it is in.
    pub(in super::super) place: Vec<Hop>,
    /// The `for_each` steps around it, outermost first.
    pub(in super::super) within: Vec<usize>,
    /// For a `for_each`, the name of an item.
    pub(in super::super) item: Option<String>,
    /// The schema of its output.
    pub(in super::super) reply: Option<Arc<Known>>,
    pub(in super::super) kind: StepKind,
    /// Whether there is no way back after it, on any branch.
    pub(in super::super) is_pivot: bool,
    /// Whether the saga continues without it.
    pub(in super::super) is_optional: bool,
    /// For a `for_each`: the types of its items and of its output.
    pub(in super::super) items: Option<Type>,
    pub(in super::super) output: Option<Type>,
    /// The facts of its `when`, or of the conditions of a choice, as far as they are decoded.
    pub(in super::super) conditions: Vec<Facts>,
    /// Whether it has `on_timeout: unknown`, and the saga does not continue without it.
    pub(in super::super) gives_up: bool,
    /// The keywords by which it may have no output although the saga continued, each with its place.
    pub(in super::super) absences: Vec<(Why, Range<usize>)>,
}

/// A list of steps, and a position in it.
#[derive(Debug, Clone)]
pub(in super::super) struct Hop {
    /// The block that the list is a branch of.
    pub(in super::super) of: ListOf,
    /// The index of the branch.
    pub(in super::super) branch: usize,
    pub(in super::super) position: usize,
    /// The place to report for the block.
    pub(in super::super) head: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ListOf {
    File,
    Parallel,
    Choice,
    ForEach,
}

/// Whether a step can be seen from a scope.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sight<'a> {
    /// It has certainly run.
    Seen,
    /// No step has run.
    Never,
    /// It is the step of the scope itself.
    Itself,
    /// It is a block around the scope.
    Around,
    /// It comes later.
    Later,
    /// It is in another branch of the same block.
    OtherBranch(&'a Hop),
    /// It is within a block that has ended, and cannot be seen from outside of that.
    Enclosed(&'a Hop),
}

impl Named {
    /// The paths that are present once its own conditions have passed.
    fn passed(&self) -> impl Iterator<Item = &String> {
        let is_choice = self.kind == StepKind::Choice;
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

    /// Determines whether a step can be seen from a scope.
    pub(super) fn sight(&self, step: usize, scope: Scope) -> Sight<'_> {
        const END: usize = usize::MAX;
        let there = &self.steps[step].place;
        let (here, branch_end) = match scope.at {
            At::Key | At::Attribute | At::Event(_) | At::Schedule => return Sight::Never,
            At::Compensation(own) if own == step => return Sight::Seen,
            At::Step(own) if own == step => return Sight::Itself,
            At::Item(own) if own == step => return Sight::Around,
            At::Step(own) | At::Compensation(own) => (self.steps.get(own), None),
            // After all steps of its body.
            At::Item(own) => (self.steps.get(own), Some((0, END))),
            At::Output => (None, Some((0, END))),
        };
        let here = here.into_iter().flat_map(|named| &named.place).map(|hop| (hop.branch, hop.position));
        let mut here = here.chain(branch_end);
        let mut there = there.iter();
        loop {
            match (there.next(), here.next()) {
                (Some(hop), Some((branch, _))) if hop.branch != branch => return Sight::OtherBranch(hop),
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

    /// The reason why a step that is seen from `scope` may have no output there, if there is one. `present` has the facts known
    /// there: a step whose own condition holds was not skipped.
    pub(super) fn absence(&self, step: usize, scope: Scope, present: &[String]) -> Option<Absence> {
        if scope.at == At::Compensation(step) {
            return Some(Absence { step, why: Why::Compensated });
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
            At::Step(own) | At::Compensation(own) => (Some(own), None),
            At::Item(own) => (Some(own), Some(own)),
            At::Key | At::Attribute | At::Event(_) | At::Schedule | At::Output => (None, None),
        };
        own.into_iter().flat_map(|own| &self.steps[own].within).copied().chain(inner)
    }

    /// The names of the items around.
    pub(super) fn items(&self, scope: Scope) -> impl Iterator<Item = &str> {
        self.around(scope).filter_map(|index| self.steps[index].item.as_deref())
    }

    /// The paths that are certainly present in a scope, by the conditions on the way to it.
    pub(super) fn assured(&self, scope: Scope) -> Vec<String> {
        let own = scope.step_of().and_then(|own| self.steps.get(own));
        let conditions = own.into_iter().flat_map(|own| {
            let outer = own.within.iter().filter_map(|&index| self.steps.get(index));
            outer.chain([own]).flat_map(|step| step.passed())
        });
        let branches = own.into_iter().flat_map(|own| self.branches(own));
        let is_behind = |index: usize| matches!(self.sight(index, scope), Sight::Seen);
        // After a `fail` its condition was false.
        let failing = self.steps.iter().enumerate();
        let failing = failing.filter(|(index, step)| step.kind == StepKind::Fail && is_behind(*index));
        let survived = failing.flat_map(|(_, step)| step.conditions.iter().flat_map(|facts| &facts.if_false));
        conditions.chain(branches).chain(survived).cloned().collect()
    }

    /// The facts of the branches that the choices around a step took.
    fn branches<'a>(&'a self, own: &'a Named) -> impl Iterator<Item = &'a String> {
        let choices = own.place.iter().enumerate().filter(|(_, hop)| hop.of == ListOf::Choice);
        choices.flat_map(move |(depth, hop)| {
            let leads_there = |step: &&Named| {
                let way = own.place[..depth].iter().map(|hop| (hop.branch, hop.position));
                step.kind == StepKind::Choice
                    && step.place.iter().map(|hop| (hop.branch, hop.position)).eq(way)
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

    /// Formats the name of a step.
    pub(super) fn called(&self, step: usize) -> String {
        let named = self.steps.get(step).filter(|step| !step.name.contains('#'));
        named.map_or_else(|| "this step".into(), |step| format!("`{}`", step.name))
    }

    /// The names that can be used in a scope.
    pub(super) fn nameable(&self, scope: Scope) -> impl Iterator<Item = &str> {
        let general: &[&str] = match scope.at {
            At::Key | At::Attribute => &["input"],
            At::Event(_) => &[],
            At::Schedule => &["schedule"],
            At::Step(_) | At::Compensation(_) | At::Item(_) | At::Output => &["input", "saga"],
        };
        let event = scope.event.then_some("event");
        let steps = self.steps.iter().enumerate().filter(move |(index, step)| {
            step.has_output && !step.name.contains('#') && matches!(self.sight(*index, scope), Sight::Seen)
        });
        let steps = steps.map(|(_, step)| step.name.as_str());
        iter::empty().chain(general.iter().copied()).chain(event).chain(self.items(scope)).chain(steps)
    }
}
