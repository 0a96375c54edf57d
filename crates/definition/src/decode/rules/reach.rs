//! Finds conditions that are constant, and steps that are never reached.

use crate::code;
use crate::decode::outline::Outline;
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::{Entry, Node, Value as Written};
use snorri_core::Definition;
use snorri_core::definition::{Action, Block, StepIndex};
use snorri_core::expression::{Expression, Scope, Variable};

/// Checks a definition that has no other errors.
pub(in crate::decode) fn check(definition: &Definition, outlines: &[Outline<'_>], problems: &mut Problems) {
    for (step, outline) in definition.steps().iter().zip(outlines) {
        if let (Some(when), Some(entry)) = (&step.when, outline.get("when")) {
            problems.find_all(unchanging(
                entry,
                when,
                ["never leaves the step out", "always leaves the step out"],
            ));
        }
        if let (Action::Choice(conditions), Some(entry)) = (&step.action, outline.get("choice"))
            && let Written::Sequence(branches) = &entry.value.value
        {
            choice(conditions, branches, problems);
        }
    }
    Ends { definition, outlines, problems }.block(&definition.body);
}

struct NoSteps;

impl Scope for NoSteps {
    fn variable(&self, _: &str) -> Option<Variable<'_>> {
        None
    }
}

/// The value of a constant condition.
fn constant(condition: &Expression) -> Option<bool> {
    let is_constant = condition.references().is_empty();
    is_constant.then(|| condition.evaluate(&NoSteps).ok())??.as_bool()
}

/// Reports a constant condition. `comes_to` has the consequence of one that is always true, and of one that never is.
pub(in crate::decode) fn unchanging(
    entry: &Entry,
    condition: &Expression,
    comes_to: [&str; 2],
) -> Option<Diagnostic> {
    let (message, label) = match constant(condition)? {
        true => ("a condition is always true", comes_to[0]),
        false => ("a condition is never true", comes_to[1]),
    };
    Some(
        Diagnostic::new(code::CONSTANT_CONDITION, entry.value.span.clone(), message)
            .label(label)
            .help("name what it depends on, or remove it")
            .warning(),
    )
}

/// Checks the conditions of a choice; its last branch may have none.
fn choice(conditions: &[Expression], branches: &[Node], problems: &mut Problems) {
    let entries: Vec<_> = branches.iter().filter_map(|branch| key(branch, "when")).collect();
    for (index, (condition, entry)) in conditions.iter().zip(&entries).enumerate() {
        let span = entry.value.span.clone();
        if let Some(value) = constant(condition) {
            let next = branches.get(index + 1).and_then(|branch| head(branch));
            let (message, label) = if value {
                ("a branch is always taken", "always true")
            } else {
                ("a branch is never taken", "never true")
            };
            let diagnostic = Diagnostic::new(code::CONSTANT_CONDITION, span, message)
                .label(label)
                .help("name what it depends on, or remove the branch")
                .warning();
            problems.find(match next.filter(|_| value) {
                Some(next) => diagnostic.also(next.key_span.clone(), "no branch from here on is ever taken"),
                None => diagnostic,
            });
            continue;
        }
        if let Some(first) = conditions[..index].iter().position(|earlier| earlier == condition) {
            let diagnostic = Diagnostic::new(code::SAME_CONDITION, span, "a branch is never taken");
            problems.find(
                diagnostic
                    .label("the same condition again")
                    .also(entries[first].value.span.clone(), "then this branch is taken")
                    .help(
                        "the first branch whose condition is true is taken: change one of the two conditions",
                    )
                    .warning(),
            );
        }
    }
}

fn key<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let Written::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key)
}

fn head(node: &Node) -> Option<&Entry> {
    let Written::Mapping(entries) = &node.value else { return None };
    entries.first()
}

struct Ends<'a, 'b> {
    definition: &'a Definition,
    outlines: &'a [Outline<'a>],
    problems: &'b mut Problems,
}

impl Ends<'_, '_> {
    /// The step that a saga never gets past, if the block has one. Reports the step behind it.
    fn block(&mut self, block: &Block) -> Option<StepIndex> {
        match block {
            Block::Step(index) => {
                let step = self.definition.step_at(*index);
                let fails = matches!(step.action, Action::Fail { .. });
                let always = step.when.as_ref().is_none_or(|when| constant(when) == Some(true));
                (fails && always).then_some(*index)
            }
            Block::Sequence(blocks) => self.sequence(blocks),
            Block::Parallel(branches) => {
                let ends: Vec<_> = branches.iter().map(|branch| self.block(branch)).collect();
                ends.into_iter().flatten().next()
            }
            Block::Choice(choice, branches) => {
                let ends: Vec<_> = branches.iter().map(|branch| self.block(branch)).collect();
                let Action::Choice(conditions) = &self.definition.step_at(*choice).action else {
                    return None;
                };
                let takes_one = branches.len() > conditions.len();
                (takes_one && ends.iter().all(Option::is_some)).then_some(*choice)
            }
            Block::ForEach(_, body) => {
                self.block(body);
                None
            }
        }
    }

    fn sequence(&mut self, blocks: &[Block]) -> Option<StepIndex> {
        let mut end = None;
        for block in blocks {
            if let (Some(end), Some(dead)) = (end, first_step(block)) {
                self.problems.find(self.never_reached(dead, end));
                break;
            }
            end = self.block(block);
        }
        end
    }

    fn never_reached(&self, dead: StepIndex, end: StepIndex) -> Diagnostic {
        let place = |index: StepIndex| self.outlines[index.0].span.clone();
        let name = &self.definition.step_at(dead).name;
        let (message, because) = match &self.definition.step_at(end).action {
            Action::Choice(_) => {
                (called(name, "after a choice that always fails"), "each branch of this fails")
            }
            _ => (called(name, "after a `fail` without a condition"), "the saga always ends here"),
        };
        Diagnostic::new(code::NEVER_REACHED, place(dead), message)
            .label("neither this nor what comes after it ever runs")
            .also(place(end), because)
            .help("add a `when` to the `fail`, or put it into a branch of a `choice`")
    }
}

fn called(name: &str, place: &str) -> String {
    let what = if name.contains('#') { "a step".into() } else { format!("`{name}`") };
    format!("{what} is never reached: it stands {place}")
}

/// The step that a block begins with.
fn first_step(block: &Block) -> Option<StepIndex> {
    match block {
        Block::Step(index) | Block::Choice(index, _) | Block::ForEach(index, _) => Some(*index),
        Block::Sequence(blocks) | Block::Parallel(blocks) => blocks.iter().find_map(first_step),
    }
}
