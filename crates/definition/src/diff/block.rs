//! Compares the order and the nesting of steps.

use std::collections::BTreeSet;

use super::Changes;
use snorri_core::Definition;
use snorri_core::definition::{Block, StepIndex};

/// Reports if the steps that both versions have run in another order, or within other blocks. That breaks nothing: a definition
/// that uses the output of a step that has not run yet is rejected anyway.
pub(super) fn compare(old: &Definition, new: &Definition, changes: &mut Changes) {
    let names = |definition: &Definition| -> BTreeSet<String> {
        definition.steps().iter().map(|step| step.name.to_string()).collect()
    };
    let common: BTreeSet<_> = names(old).intersection(&names(new)).cloned().collect();
    let order = |definition: &Definition| -> Vec<String> {
        let mut found = Vec::new();
        visit(&definition.body, &mut |index| found.push(definition.step_at(index).name.to_string()));
        found.retain(|name| common.contains(name));
        found
    };
    let (before, after) = (order(old), order(new));
    if before != after {
        changes.fits("steps", format!("another order: {} (it was {})", after.join(", "), before.join(", ")));
        return;
    }
    let outline = |definition: &Definition| outline(definition, &definition.body, &common);
    let (before, after) = (outline(old), outline(new));
    if before != after {
        changes.fits("steps", format!("nested differently: {after} (it was {before})"));
    }
}

fn visit(block: &Block, see: &mut impl FnMut(StepIndex)) {
    match block {
        Block::Step(index) => see(*index),
        Block::Sequence(blocks) | Block::Parallel(blocks) => {
            blocks.iter().for_each(|block| visit(block, see));
        }
        Block::Choice(index, blocks) => {
            see(*index);
            blocks.iter().for_each(|block| visit(block, see));
        }
        Block::ForEach(index, body) => {
            see(*index);
            visit(body, see);
        }
    }
}

/// A block in short, as in `a, (b | c), d`, without the steps that are not in `common`.
fn outline(definition: &Definition, block: &Block, common: &BTreeSet<String>) -> String {
    let list = |blocks: &[Block], separator: &str| {
        let outlines = blocks.iter().map(|block| outline(definition, block, common));
        outlines.filter(|outline| !outline.is_empty()).collect::<Vec<_>>().join(separator)
    };
    let name = |index: StepIndex| {
        let name = &definition.step_at(index).name;
        if common.contains(&**name) { name.to_string() } else { String::new() }
    };
    match block {
        Block::Step(index) => name(*index),
        Block::Sequence(blocks) => list(blocks, ", "),
        // A single branch is the same as no block.
        Block::Parallel(blocks) => match list(blocks, " | ") {
            branches if branches.contains(" | ") => format!("({branches})"),
            branch => branch,
        },
        Block::Choice(index, blocks) => match list(blocks, " or ") {
            branches if branches.is_empty() => name(*index),
            branches => format!("{}[{branches}]", name(*index)),
        },
        Block::ForEach(index, body) => match outline(definition, body, common) {
            body if body.is_empty() => name(*index),
            body => format!("{}{{{body}}}", name(*index)),
        },
    }
}
