//! The structure of a definition: its steps, and the blocks around them.
//!
//! The tree is built before the steps are decoded, because the names that a step may use, and whether it needs `compensate`,
//! depend on its place.

mod item;

use std::collections::HashMap;
use std::ops::Range;

use crate::code;
use crate::decode::fields::DefinitionFields;
use crate::decode::name::{self, DEFAULT_ITEM};
use crate::decode::outline::Outline;
use crate::decode::words::{BRANCH, CHOICE, COMMAND, FOR_EACH, PARALLEL, STEP};
use crate::diagnostic::{Diagnostic, Problems};
use crate::expression::{Hop, ListOf, Named, Why};
use crate::source::{Entry, Node, Value};
use item::{ItemKind, item_kind};
use snorri_core::definition::{Block, StepIndex, StepKind};

/// Most steps of a saga: one with more could never run all of them.
const MOST_STEPS: usize = 1_000;
/// Most blocks within each other.
const MOST_NESTED: usize = 16;

/// The steps of a definition, in reading order.
#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    pub(super) outlines: Vec<Outline<'a>>,
    /// What expressions need of each step.
    pub(super) named: Vec<Named>,
    /// All names, of steps, blocks and items.
    pub(super) given: Vec<Given<'a>>,
    /// The number of steps without a name, of each kind.
    counts: HashMap<StepKind, usize>,
}

/// A name in the definition.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    pub(super) span: Range<usize>,
    /// For the name of an item: the `for_each` that it belongs to.
    pub(super) item_of: Option<usize>,
}

/// A list of steps and its place.
struct List<'a, 'b> {
    items: &'a Node,
    of: ListOf,
    branch: usize,
    /// The place to report for the block.
    head: &'b Range<usize>,
    /// The lists around it.
    around: &'b [Hop],
    within: &'b [usize],
    /// The owner of this list, and whether it may have no steps.
    owner: &'static str,
    may_be_empty: bool,
}

impl<'a> Tree<'a> {
    /// Builds the tree of the steps in `entry`.
    pub(super) fn of(entry: &'a Entry, problems: &mut Problems) -> (Self, Block) {
        let mut tree = Self::default();
        let list = List {
            items: &entry.value,
            of: ListOf::File,
            branch: 0,
            head: &entry.key_span,
            around: &[],
            within: &[],
            owner: "a saga",
            may_be_empty: false,
        };
        let body = tree.list(&list, problems);
        (tree, body)
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.outlines.len() > MOST_STEPS
    }

    fn list(&mut self, list: &List<'a, '_>, problems: &mut Problems) -> Block {
        let items: &[Node] = match &list.items.value {
            Value::Sequence(items) => items,
            Value::Null => &[],
            _ => {
                let what = if list.of == ListOf::Parallel { "a branch" } else { "`steps`" };
                problems.report(not_a_list(list.items, what, "begin each step with a dash: `- name: ...`"));
                return Block::Sequence(Vec::new());
            }
        };
        if items.is_empty() && !list.may_be_empty {
            let message = format!("{} needs at least one step", list.owner);
            problems.report(
                Diagnostic::new(code::NO_STEPS, list.head.clone(), message)
                    .label("no steps")
                    .help("begin a step with a dash: `- name: ...`"),
            );
        }
        if list.around.len() > MOST_NESTED {
            let message = format!("at most {MOST_NESTED} blocks can be within each other");
            problems.report(
                Diagnostic::new(code::TOO_MUCH, list.head.clone(), message)
                    .label("the limit is reached here")
                    .help("move what is within to a saga of its own, and start it with `saga`"),
            );
            return Block::Sequence(Vec::new());
        }
        let mut place = list.around.to_vec();
        let head = list.head.clone();
        place.push(Hop { of: list.of, branch: list.branch, position: 0, head });
        let last = place.len() - 1;
        let mut blocks = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            place[last].position = position;
            blocks.extend(self.item(item, &place, list.within, problems));
            if self.is_too_long() {
                break;
            }
        }
        Block::Sequence(blocks)
    }

    fn item(
        &mut self,
        node: &'a Node,
        place: &[Hop],
        within: &[usize],
        problems: &mut Problems,
    ) -> Option<Block> {
        let Value::Mapping(entries) = &node.value else {
            DefinitionFields::of(node, &STEP, problems);
            return None;
        };
        let kind = match item_kind(entries, problems)? {
            ItemKind::Parallel => return self.parallel(node, place, within, problems),
            ItemKind::Step(kind) => kind,
        };
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        let index = self.step(node, entries, kind, place, within)?;
        if self.outlines.len() == MOST_STEPS + 1 {
            let message = format!("a saga has at most {MOST_STEPS} steps");
            problems.report(
                Diagnostic::new(code::TOO_MUCH, head.clone(), message).label("the limit is reached here"),
            );
            return None;
        }
        match kind {
            StepKind::Choice => self.choice(node, index, place, within, problems),
            StepKind::ForEach => self.for_each(node, index, place, within, problems),
            _ => Some(Block::Step(StepIndex(index))),
        }
    }

    fn step(
        &mut self,
        node: &'a Node,
        entries: &'a [Entry],
        kind: StepKind,
        place: &[Hop],
        within: &[usize],
    ) -> Option<usize> {
        let index = self.outlines.len();
        let head = entries.first().map_or(&node.span, |entry| &entry.key_span);
        let is_name = |entry: &&Entry| COMMAND.suggest_keyword(&entry.key) == Some("name");
        let name = entries.iter().filter(is_name).find_map(written);
        let has = |key: &str, value: &Value| {
            entries.iter().any(|entry| entry.key == key && entry.value.value == *value)
        };
        let count = self.counts.entry(kind).or_default();
        *count += usize::from(name.is_none());
        self.named.push(Named {
            name: name.as_ref().map_or_else(|| format!("{kind}#{count}"), |(name, _)| (*name).to_owned()),
            has_output: matches!(
                kind,
                StepKind::Command | StepKind::ForEach | StepKind::Wait | StepKind::Saga
            ),
            place: place.to_vec(),
            within: within.to_vec(),
            item: None,
            reply: None,
            kind,
            is_pivot: has("pivot", &Value::Bool(true)) && !entries.iter().any(|entry| entry.key == "when"),
            is_optional: has("optional", &Value::Bool(true)),
            items: None,
            output: None,
            conditions: Vec::new(),
            gives_up: kind == StepKind::Command
                && has("on_timeout", &Value::String("unknown".into()))
                && !has("optional", &Value::Bool(true)),
            absences: absences(entries, kind),
        });
        self.given.extend(name.as_ref().map(|(name, span)| Given {
            name,
            span: span.clone(),
            item_of: None,
        }));
        let (is_named, span) = name.map_or_else(|| (false, head.clone()), |(_, span)| (true, span));
        self.outlines.push(Outline { node, kind, span, is_named });
        Some(index)
    }

    fn parallel(
        &mut self,
        node: &'a Node,
        place: &[Hop],
        within: &[usize],
        problems: &mut Problems,
    ) -> Option<Block> {
        let fields = DefinitionFields::of(node, &PARALLEL, problems)?;
        if let Some(entry) = fields.get("name")
            && let Some(name) = name::step(entry, problems)
        {
            self.given.push(Given { name, span: entry.value.span.clone(), item_of: None });
        }
        let entry = fields.get("parallel")?;
        let branches = branches(entry, "each branch is a list of steps: `- - name: ...`", problems)?;
        let mut blocks = Vec::with_capacity(branches.len());
        for (branch, items) in branches.iter().enumerate() {
            let of = ListOf::Parallel;
            let head = if matches!(items.value, Value::Sequence(_)) { &entry.key_span } else { &items.span };
            let owner = "a branch of `parallel`";
            let may_be_empty = false;
            let list = List { items, of, branch, head, around: place, within, owner, may_be_empty };
            blocks.push(self.list(&list, problems));
        }
        Some(Block::Parallel(blocks))
    }

    /// The conditions are decoded with the step: only the lists of steps are part of the tree.
    fn choice(
        &mut self,
        node: &'a Node,
        index: usize,
        place: &[Hop],
        within: &[usize],
        problems: &mut Problems,
    ) -> Option<Block> {
        let fields = DefinitionFields::of(node, &CHOICE, problems)?;
        let entry = fields.get("choice")?;
        let branches = branches(entry, "begin each branch with a dash: `- when: ...`", problems)?;
        let mut blocks = Vec::with_capacity(branches.len());
        for (branch, node) in branches.iter().enumerate() {
            let Some(fields) = DefinitionFields::of(node, &BRANCH, problems) else { continue };
            let default_branch = fields.get("default").or_else(|| fields.misspelt("default"));
            let steps = default_branch.or_else(|| fields.require("steps", "steps: [...]", problems));
            let Some(steps) = steps else { continue };
            blocks.push(self.list(
                &List {
                    items: &steps.value,
                    of: ListOf::Choice,
                    branch,
                    head: &entry.key_span,
                    around: place,
                    within,
                    owner: "a branch of `choice`",
                    may_be_empty: true,
                },
                problems,
            ));
        }
        Some(Block::Choice(StepIndex(index), blocks))
    }

    fn for_each(
        &mut self,
        node: &'a Node,
        index: usize,
        place: &[Hop],
        within: &[usize],
        problems: &mut Problems,
    ) -> Option<Block> {
        let fields = DefinitionFields::of(node, &FOR_EACH, problems)?;
        let head = &fields.get("for_each")?.key_span;
        let own = fields.get("as").map(|entry| (name::item(entry, problems), &entry.value.span));
        let (item, span) = own.unwrap_or((Some(DEFAULT_ITEM), head));
        let item = item.unwrap_or(DEFAULT_ITEM);
        self.named[index].item = Some(item.to_owned());
        self.given.push(Given { name: item, span: span.clone(), item_of: Some(index) });
        let steps = fields.require("steps", "steps: [...]", problems)?;
        let within: Vec<_> = within.iter().copied().chain([index]).collect();
        let body = self.list(
            &List {
                items: &steps.value,
                of: ListOf::ForEach,
                branch: 0,
                head,
                around: place,
                within: &within,
                owner: "`for_each`",
                may_be_empty: false,
            },
            problems,
        );
        Some(Block::ForEach(StepIndex(index), Box::new(body)))
    }
}

/// The keywords by which a step may have no output although the saga continues, each with its place.
fn absences(entries: &[Entry], kind: StepKind) -> Vec<(Why, Range<usize>)> {
    let why = |entry: &Entry| match (entry.key.as_str(), &entry.value.value) {
        ("optional", Value::Bool(true)) => Some(Why::Optional),
        ("when", _) if kind != StepKind::Choice => Some(Why::Skipped),
        ("on_timeout", Value::String(word)) if kind == StepKind::Wait && word == "continue" => {
            Some(Why::TimedOut)
        }
        _ => None,
    };
    let mut found: Vec<_> =
        entries.iter().filter_map(|entry| Some((why(entry)?, entry.value.span.clone()))).collect();
    // A condition of the reader may show that a step was not skipped, but nothing else.
    found.sort_by_key(|(why, _)| *why == Why::Skipped);
    found
}

/// The text of an entry, and its place.
fn written(entry: &Entry) -> Option<(&str, Range<usize>)> {
    match &entry.value.value {
        Value::String(text) if !text.is_empty() => Some((text, entry.value.span.clone())),
        _ => None,
    }
}

/// The branches of a block.
fn branches<'a>(entry: &'a Entry, help: &str, problems: &mut Problems) -> Option<&'a [Node]> {
    let branches: &[Node] = match &entry.value.value {
        Value::Sequence(branches) => branches,
        Value::Null => &[],
        _ => {
            problems.report(not_a_list(&entry.value, &format!("`{}`", entry.key), help));
            return None;
        }
    };
    if branches.is_empty() {
        let message = format!("`{}` needs at least one branch", entry.key);
        problems.report(
            Diagnostic::new(code::NO_STEPS, entry.key_span.clone(), message).label("no branches").help(help),
        );
    }
    Some(branches)
}

fn not_a_list(node: &Node, what: &str, help: &str) -> Diagnostic {
    let message = format!("{what} must be a list, not {}", node.kind());
    Diagnostic::new(code::WRONG_TYPE, node.span.clone(), message).label("expected a list").help(help)
}
