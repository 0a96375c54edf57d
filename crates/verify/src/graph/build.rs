//! Builds the tree that is drawn from the tree of blocks.

use super::describe;
use super::model::{Branch, Compensation, Graph, Group, GroupKind, Node, Options, Part};
use snorri_core::Definition;
use snorri_core::definition::{Action, Block, OnWaitTimeout, Step, StepIndex};

pub(super) fn graph(definition: &Definition, options: &Options) -> Graph {
    let mut builder = GraphBuilder { definition, compensation: options.compensation, groups: 0 };
    let title = options.title.as_deref().map(str::trim).filter(|title| !title.is_empty());
    let mut committed = false;
    let parts = builder.parts(&definition.body, &mut committed);
    Graph {
        name: definition.name.to_string(),
        title: title.unwrap_or(&definition.name).to_owned(),
        version: definition.version,
        description: definition.description.clone(),
        starts: definition.starts.iter().map(describe::trigger).collect(),
        leads_back: parts.iter().any(Part::leads_back),
        parts,
    }
}

struct GraphBuilder<'a> {
    definition: &'a Definition,
    compensation: bool,
    groups: usize,
}

impl GraphBuilder<'_> {
    /// The parts of a block. `committed`: whether a pivot has succeeded for certain before the block, and on return after it.
    fn parts(&mut self, block: &Block, committed: &mut bool) -> Vec<Part> {
        let blocks = match block {
            Block::Sequence(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        let mut parts = Vec::new();
        for block in blocks {
            if let Block::Sequence(_) = block {
                parts.extend(self.parts(block, committed));
                continue;
            }
            let part = self.part(block, *committed);
            *committed |= part.commits();
            parts.push(part);
        }
        parts
    }

    fn part(&mut self, block: &Block, committed: bool) -> Part {
        let branch = |builder: &mut Self, label: Option<String>, block: &Block| {
            let parts = builder.parts(block, &mut committed.clone());
            Branch { label, parts }
        };
        match block {
            Block::Step(index) => Part::Node(self.node(*index, committed)),
            Block::Sequence(blocks) | Block::Parallel(blocks) => {
                let branches = blocks.iter().map(|block| branch(self, None, block)).collect();
                self.group(None, GroupKind::Parallel, branches)
            }
            Block::Choice(index, blocks) => {
                let labels = describe::conditions(self.definition.step_at(*index), blocks.len());
                let mut branches: Vec<_> = blocks
                    .iter()
                    .zip(labels)
                    .map(|(block, label)| branch(self, Some(label), block))
                    .collect();
                if let Action::Choice(conditions) = &self.definition.step_at(*index).action
                    && conditions.len() == blocks.len()
                {
                    branches.push(Branch { label: Some(describe::DEFAULT.into()), parts: Vec::new() });
                }
                self.group(Some(*index), GroupKind::Choice, branches)
            }
            Block::ForEach(index, body) => {
                let body = branch(self, None, body);
                self.group(Some(*index), GroupKind::ForEach, vec![body])
            }
        }
    }

    fn group(&mut self, step: Option<StepIndex>, kind: GroupKind, branches: Vec<Branch>) -> Part {
        let id = self.groups;
        self.groups += 1;
        let step = step.map(|index| self.definition.step_at(index));
        Part::Group(Group {
            id,
            name: step.map(|step| step.name.to_string()),
            kind,
            heading: describe::heading(kind, step),
            about: step.map(describe::about).unwrap_or_default(),
            when: step.and_then(describe::when),
            leads_back: branches.iter().flat_map(|branch| &branch.parts).any(Part::leads_back),
            branches,
        })
    }

    fn node(&self, index: StepIndex, committed: bool) -> Node {
        let step = self.definition.step_at(index);
        Node {
            index: index.0,
            name: step.name.to_string(),
            label: describe::label(step),
            kind: step.action.kind(),
            detail: describe::detail(step),
            about: describe::about(step),
            when: describe::when(step),
            optional: step.may_miss(),
            pivot: step.is_pivot(),
            retriable: committed && matches!(step.action, Action::Command(_) | Action::Child(_)),
            leads_back: self.compensation && !committed && may_refuse(step),
            compensation: describe::compensation(step)
                .filter(|_| self.compensation)
                .map(|detail| Compensation { detail, about: describe::about_compensation(step) }),
        }
    }
}

/// Whether an outcome of this step may roll the saga back.
fn may_refuse(step: &Step) -> bool {
    match &step.action {
        Action::Command(_) | Action::Child(_) => !step.optional,
        Action::Wait(wait) => wait.on_timeout == OnWaitTimeout::Fail,
        Action::Fail { .. } => true,
        Action::Choice(_) | Action::ForEach(_) | Action::Sleep(_) | Action::Publish(_) => false,
    }
}
