//! The layout: sizes and positions of the parts.
//!
//! The layout consists of nested boxes. Each extends to the left and to the right of the forward line, which runs straight down
//! through it. The compensation line runs straight up at a fixed distance to the right of that (`Measures::lane`), so both are
//! straight lines, however deep blocks nest.

use super::text::{BADGE, COMPENSATION, DETAIL, NAME, SMALL};
use crate::graph::model::{Branch, Graph, Group, GroupKind, Node, Part};
use snorri_core::definition::StepKind;

pub(super) const CARD: f64 = 62.0;
pub(super) const UNDO_CARD: f64 = 42.0;
pub(super) const GAP: f64 = 34.0;
pub(super) const PILL: f64 = 22.0;
/// The height that a condition adds to the gap above its part.
pub(super) const WHEN: f64 = PILL + 14.0;
/// The height that the line after a pivot adds.
pub(super) const PIVOT: f64 = 46.0;
pub(super) const HEAD: f64 = 34.0;
pub(super) const PAD: f64 = 20.0;
const COLUMN_GAP: f64 = 22.0;
/// The distance of the line around a step that may be skipped, to the left of it.
pub(super) const AROUND: f64 = 16.0;
/// How far the card behind a card that stands for several extends beyond it.
pub(super) const BEHIND: f64 = 6.0;
/// Half of the width of an empty branch.
const EMPTY: f64 = 50.0;
const ICON: f64 = 48.0;

/// The widths that are constant within a picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measures {
    pub card: f64,
    pub compensation: f64,
    /// From the forward line to the compensation line.
    pub lane: f64,
}

/// Parts below each other.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub label: Option<&'a str>,
    pub items: Vec<Placed<'a>>,
    pub left: f64,
    pub right: f64,
    pub height: f64,
}

#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub part: &'a Part,
    /// The branches of a group.
    pub columns: Vec<Column<'a>>,
    /// From the top of the column.
    pub top: f64,
    pub left: f64,
    pub right: f64,
    pub height: f64,
}

impl Measures {
    pub fn of(graph: &Graph) -> Self {
        let mut nodes = Vec::new();
        collect(&graph.parts, &mut nodes);
        let widest = |width: &dyn Fn(&Node) -> f64| nodes.iter().map(|node| width(node)).fold(0.0, f64::max);
        let card = widest(&|node| {
            let name = NAME.width(&node.label)
                + badges(node).iter().map(|badge| badge_width(badge.1) + 6.0).sum::<f64>();
            ICON + name.max(DETAIL.width(&node.detail)) + 22.0
        });
        let compensation = widest(&|node| {
            node.compensation
                .as_ref()
                .map_or(0.0, |compensation| COMPENSATION.width(&compensation.detail) + 48.0)
        });
        let card = card.clamp(196.0, 300.0).round();
        let compensation = compensation.clamp(130.0, 250.0).round();
        Self { card, compensation, lane: card / 2.0 + 40.0 + compensation / 2.0 }
    }

    pub fn column<'a>(&self, branch: &'a [Part], label: Option<&'a str>) -> Column<'a> {
        let mut column = Column { label, items: Vec::new(), left: EMPTY, right: EMPTY, height: 0.0 };
        for part in branch {
            if let Some(last) = column.items.last() {
                column.height += GAP + if pivots(last.part) { PIVOT } else { 0.0 };
            }
            if part.when().is_some() {
                column.height += WHEN;
            }
            let placed = self.place(part, column.height);
            column.height += placed.height;
            let around = if part.when().is_some() { AROUND + 6.0 } else { 0.0 };
            column.left = column.left.max(placed.left + around);
            column.right = column.right.max(placed.right);
            column.items.push(placed);
        }
        if column.items.last().is_some_and(|last| pivots(last.part)) {
            column.height += PIVOT;
        }
        if column.items.iter().any(|item| item.part.leads_back()) {
            column.right = column.right.max(self.lane + 12.0);
        }
        column
    }

    fn place<'a>(&self, part: &'a Part, top: f64) -> Placed<'a> {
        match part {
            Part::Node(node) => {
                let half = self.card / 2.0;
                let right =
                    if node.compensation.is_some() { self.lane + self.compensation / 2.0 } else { half };
                Placed { part, columns: Vec::new(), top, left: half, right, height: CARD + behind(part) }
            }
            Part::Group(group) => self.group(part, group, top),
        }
    }

    fn group<'a>(&self, part: &'a Part, group: &'a Group, top: f64) -> Placed<'a> {
        let branch = |branch: &'a Branch| self.column(&branch.parts, branch.label.as_deref());
        let columns: Vec<_> = group.branches.iter().map(branch).collect();
        let inner: f64 = columns.iter().map(|column| column.left + column.right).sum();
        #[expect(clippy::cast_precision_loss, reason = "a handful of branches")]
        let gaps = columns.len().saturating_sub(1) as f64 * COLUMN_GAP;
        let needed = heading_width(group).max(if group.leads_back { self.lane + 80.0 } else { 0.0 });
        let width = (inner + gaps + 2.0 * PAD).max(needed);
        let tallest = columns.iter().map(|column| column.height + label_room(column)).fold(0.0, f64::max);
        let left = match columns.as_slice() {
            [only] => PAD + only.left,
            _ if group.leads_back => (width - self.lane) / 2.0,
            _ => width / 2.0,
        };
        let behind = behind(part);
        let height = HEAD + GAP + tallest + GAP - 6.0 + behind;
        Placed { part, columns, top, left, right: width - left + behind, height }
    }
}

impl Placed<'_> {
    /// The x of the forward line of each branch, for a part whose own forward line is at `x`.
    pub fn axes(&self, x: f64) -> Vec<f64> {
        let inner: f64 = self.columns.iter().map(|column| column.left + column.right).sum();
        #[expect(clippy::cast_precision_loss, reason = "a handful of branches")]
        let gaps = self.columns.len().saturating_sub(1) as f64 * COLUMN_GAP;
        let mut at = match self.columns.as_slice() {
            [only] => x - only.left,
            _ => x - self.left + (self.left + self.right - behind(self.part) - inner - gaps) / 2.0,
        };
        let mut axes = Vec::new();
        for column in &self.columns {
            axes.push(at + column.left);
            at += column.left + column.right + COLUMN_GAP;
        }
        axes
    }
}

/// How far the card behind a part extends beyond it.
pub(super) fn behind(part: &Part) -> f64 {
    match part {
        Part::Node(node) if node.kind == StepKind::Saga => BEHIND,
        Part::Group(group) if group.kind == GroupKind::ForEach => BEHIND,
        _ => 0.0,
    }
}

/// The room above a branch for the condition under which it is taken.
pub(super) fn label_room(column: &Column<'_>) -> f64 {
    if column.label.is_some() { PILL + 10.0 } else { 0.0 }
}

/// Whether the line after a pivot follows.
pub(super) fn pivots(part: &Part) -> bool {
    matches!(part, Part::Node(node) if node.pivot)
}

/// The badges of a step at the end of its first line: class and text.
pub(super) fn badges(node: &Node) -> Vec<(&'static str, &'static str)> {
    let all = [
        (node.pivot, ("sg-pivot", "pivot")),
        (node.optional, ("sg-note", "optional")),
        (node.retriable && !node.optional, ("sg-calm", "retriable")),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, badge)| badge).collect()
}

pub(super) fn badge_width(text: &str) -> f64 {
    BADGE.width(text) + 14.0
}

fn heading_width(group: &Group) -> f64 {
    let name = group.name.as_deref().filter(|_| group.kind == GroupKind::ForEach);
    let text = name.map_or(0.0, |name| NAME.width(name) + 10.0) + SMALL.width(&group.heading);
    (text + 60.0).min(420.0)
}

fn collect<'a>(parts: &'a [Part], nodes: &mut Vec<&'a Node>) {
    for part in parts {
        match part {
            Part::Node(node) => nodes.push(node),
            Part::Group(group) => group.branches.iter().for_each(|branch| collect(&branch.parts, nodes)),
        }
    }
}
