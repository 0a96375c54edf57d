//! Checks the steps together: their names, and whether there is always a way back or forward.

pub(in crate::decode) mod correlation;
pub(in crate::decode) mod reach;

use std::collections::HashMap;
use std::ops::Range;

use crate::code;
use crate::decode::outline::Outline;
use crate::decode::tree::Tree;
use crate::decode::words::BRANCH;
use crate::diagnostic::{Diagnostic, Problems};
use crate::literal;
use crate::source::Value;
use snorri_core::definition::{Block, StepKind};

/// Whether the pivot has succeeded when a step is reached.
#[derive(Debug, Clone, Copy)]
enum Committed {
    No,
    /// It depends on the branches that were taken.
    Maybe(usize),
    Yes(usize),
}

impl Committed {
    fn pivot(self) -> Option<usize> {
        match self {
            Self::No => None,
            Self::Maybe(pivot) | Self::Yes(pivot) => Some(pivot),
        }
    }
}

pub(super) fn check(tree: &Tree<'_>, body: &Block, problems: &mut Problems) {
    check_names(tree, problems);
    let is_unclear = |outline: &Outline<'_>| {
        let pivot = outline.get("pivot").map(|entry| &entry.value.value);
        pivot.is_some_and(|value| !matches!(value, Value::Bool(_)))
    };
    // With an invalid `pivot` it is unknown where there is a way back.
    if tree.outlines.iter().any(is_unclear) {
        return;
    }
    Pivots { tree, problems }.block(body, Committed::No);
}

/// Checks that names are unique in the whole file, wherever they can be used. Only items that are not within each other may have
/// the same name.
fn check_names(tree: &Tree<'_>, problems: &mut Problems) {
    let mut steps: HashMap<_, &Range<usize>> = HashMap::new();
    for given in tree.given.iter().filter(|given| given.item_of.is_none()) {
        if let Some(first) = steps.get(given.name) {
            let message = format!("two steps are named `{}`", given.name);
            problems.report(
                Diagnostic::new(code::DUPLICATE_STEP, given.span.clone(), message)
                    .label("used again")
                    .also((*first).clone(), "first used here")
                    .help("give each step a name of its own"),
            );
        } else {
            steps.insert(given.name, &given.span);
        }
    }
    for (given, own) in tree.given.iter().filter_map(|given| Some((given, given.item_of?))) {
        let around = &tree.named[own].within;
        let outer = around.iter().rfind(|outer| tree.named[**outer].item.as_deref() == Some(given.name));
        let outer = outer.map(|outer| (&tree.outlines[*outer].span, "the items of this have that name"));
        let step = steps.get(given.name).map(|span| (*span, "a step has that name"));
        if let Some((span, label)) = step.or(outer) {
            let message = format!("an item cannot be named `{}` here", given.name);
            problems.report(
                Diagnostic::new(code::DUPLICATE_STEP, given.span.clone(), message)
                    .label("the name is taken")
                    .also(span.clone(), label)
                    .help("give it another name, like `as: line`"),
            );
        }
    }
}

struct Pivots<'a, 'b> {
    tree: &'a Tree<'a>,
    problems: &'b mut Problems,
}

impl Pivots<'_, '_> {
    /// Whether the pivot has succeeded after a block, given `before`.
    fn block(&mut self, block: &Block, before: Committed) -> Committed {
        match block {
            Block::Step(step) => self.step(step.0, before),
            Block::Sequence(blocks) => blocks.iter().fold(before, |before, block| self.block(block, before)),
            Block::Parallel(branches) => self.parallel(branches, before),
            Block::Choice(step, branches) => {
                let after: Vec<_> = branches.iter().map(|branch| self.block(branch, before)).collect();
                if before.pivot().is_some() {
                    return before;
                }
                let Some(pivot) = after.iter().find_map(|after| after.pivot()) else { return before };
                let is_certain = after.iter().all(|after| matches!(after, Committed::Yes(_)));
                if is_certain && self.always_takes_one(step.0) {
                    Committed::Yes(pivot)
                } else {
                    Committed::Maybe(pivot)
                }
            }
            Block::ForEach(_, body) => {
                self.block(body, before);
                before
            }
        }
    }

    fn parallel(&mut self, branches: &[Block], before: Committed) -> Committed {
        let mut after = before;
        for branch in branches {
            let own = self.block(branch, before);
            match (after.pivot(), own.pivot()) {
                (None, _) => after = own,
                (Some(first), Some(second)) if before.pivot().is_none() => {
                    let span = self.tree.outlines[second].flag("pivot");
                    self.problems.report(second_pivot(span.cloned().unwrap_or_default(), self.tree, first));
                    if matches!(own, Committed::Yes(_)) {
                        after = own;
                    }
                }
                _ => {}
            }
        }
        after
    }

    fn always_takes_one(&self, choice: usize) -> bool {
        let branches = self.tree.outlines[choice].get("choice").map(|entry| &entry.value.value);
        let Some(Value::Sequence(branches)) = branches else { return false };
        branches.last().is_some_and(|last| match &last.value {
            Value::Mapping(entries) => {
                entries.iter().any(|entry| BRANCH.suggest_keyword(&entry.key) == Some("default"))
            }
            _ => false,
        })
    }

    fn step(&mut self, index: usize, before: Committed) -> Committed {
        let outline = &self.tree.outlines[index];
        let pivot = [StepKind::Command, StepKind::Saga]
            .contains(&outline.kind)
            .then(|| outline.flag("pivot"))
            .flatten();
        self.compensate(index, outline, pivot, before);
        if let Some(first) = before.pivot() {
            self.refusal(outline, first);
        }
        let Some(span) = pivot else { return before };
        if outline.flag("optional").is_some() {
            self.problems.report(
                Diagnostic::new(code::OPTIONAL_PIVOT, span.clone(), "a pivot cannot be optional")
                    .label("the saga continues only after this has succeeded")
                    .help("remove `optional` or `pivot`"),
            );
        }
        if let Some(&around) = self.tree.named[index].within.last() {
            self.problems.report(
                Diagnostic::new(code::PIVOT_IN_LOOP, span.clone(), "a pivot cannot be within a `for_each`")
                    .label("would be reached once for each item")
                    .also(self.tree.outlines[around].span.clone(), "runs it for each item")
                    .help(
                        "put the pivot after the `for_each`, or make it a command that takes the whole list",
                    ),
            );
            return before;
        }
        if let Some(first) = before.pivot() {
            self.problems.report(second_pivot(span.clone(), self.tree, first));
            return before;
        }
        if outline.get("when").is_some() { Committed::Maybe(index) } else { Committed::Yes(index) }
    }

    /// Checks that a step has `compensate` where it can be compensated, and only there.
    fn compensate(
        &mut self,
        index: usize,
        outline: &Outline<'_>,
        pivot: Option<&Range<usize>>,
        before: Committed,
    ) {
        let compensate = outline.get("compensate");
        let by = compensate.filter(|entry| !literal::means_none(&entry.value.value));
        match (by, before) {
            (Some(entry), _) if pivot.is_some() => {
                let message = format!("{} can never be compensated", self.called(index));
                let diagnostic = Diagnostic::new(code::UNDO_AFTER_PIVOT, entry.key_span.clone(), message);
                self.problems.report(
                    diagnostic
                        .label("never used")
                        .also(pivot.cloned().unwrap_or_default(), "a pivot is not compensated")
                        .help("remove `compensate` or `pivot`"),
                );
            }
            (Some(entry), Committed::Yes(first)) => {
                let message = format!("{} can never be compensated", self.called(index));
                let diagnostic = Diagnostic::new(code::UNDO_AFTER_PIVOT, entry.key_span.clone(), message)
                    .label("never used")
                    .help("remove `compensate`, or move the step before the pivot");
                self.problems.report(after_pivot(diagnostic, self.tree, first));
            }
            (None, Committed::No | Committed::Maybe(_))
                if compensate.is_none() && pivot.is_none() && outline.kind == StepKind::Command =>
            {
                let message = format!("{} does not define how it is compensated", self.called(index));
                self.problems.report(
                    Diagnostic::new(code::NO_UNDO, outline.span.clone(), message)
                        .label("`compensate` is missing")
                        .help("add `compensate: { command: ... }`, or `compensate: none` if there is nothing to compensate"),
                );
            }
            _ => {}
        }
    }

    /// Reports a step after the pivot that can refuse: there is no way back.
    fn refusal(&mut self, outline: &Outline<'_>, first: usize) {
        let diagnostic = match outline.kind {
            StepKind::Fail => {
                let span = outline.get("fail").map_or(&outline.span, |entry| &entry.key_span);
                Diagnostic::new(code::FAIL_AFTER_PIVOT, span.clone(), "a saga cannot fail after its pivot")
                    .label("there is nothing to go back to")
                    .help("move it before the pivot")
            }
            StepKind::Wait => {
                let on_timeout = outline.get("on_timeout").map(|entry| &entry.value);
                let span = match on_timeout {
                    None => &outline.span,
                    Some(node) if node.value == Value::String("fail".into()) => &node.span,
                    Some(_) => return,
                };
                Diagnostic::new(code::FAIL_AFTER_PIVOT, span.clone(), "a wait after the pivot cannot fail")
                    .label("fails if nothing comes in time")
                    .help("write `on_timeout: continue`, or `on_timeout: hold` to leave it to an operator")
            }
            _ => return,
        };
        self.problems.report(after_pivot(diagnostic, self.tree, first));
    }

    fn called(&self, index: usize) -> String {
        called(self.tree, index)
    }
}

fn called(tree: &Tree<'_>, index: usize) -> String {
    if tree.outlines[index].is_named { format!("`{}`", tree.named[index].name) } else { "this step".into() }
}

fn after_pivot(diagnostic: Diagnostic, tree: &Tree<'_>, pivot: usize) -> Diagnostic {
    match tree.outlines[pivot].flag("pivot") {
        Some(span) => diagnostic.also(span.clone(), "once this has succeeded, there is no way back"),
        None => diagnostic,
    }
}

fn second_pivot(span: Range<usize>, tree: &Tree<'_>, first: usize) -> Diagnostic {
    let message = format!("{} is the pivot already", called(tree, first));
    let diagnostic = Diagnostic::new(code::SECOND_PIVOT, span, message)
        .label("a second pivot")
        .help("keep the one after which the saga must not go back; all steps after it are retried");
    match tree.outlines[first].flag("pivot") {
        Some(span) => diagnostic.also(span.clone(), "there is no way back after this one"),
        None => diagnostic,
    }
}
