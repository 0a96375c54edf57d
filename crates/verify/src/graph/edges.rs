//! The edges between the steps, for the formats that consist of nodes and edges.

use std::fmt;

use super::model::{Branch, Graph, Group, GroupKind, Part};
use snorri_core::definition::StepKind;

/// Where an edge begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeEnd {
    Start,
    Completed,
    Compensated,
    Step(usize),
    Compensation(usize),
    /// Where a group begins: a choice decides, or parallel branches part.
    Open(usize),
    /// Where parallel branches join.
    Close(usize),
}

/// The id of the node: a letter for its kind, and its number.
impl fmt::Display for EdgeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Completed => f.write_str("completed"),
            Self::Compensated => f.write_str("compensated"),
            Self::Step(index) => write!(f, "s{index}"),
            Self::Compensation(index) => write!(f, "u{index}"),
            Self::Open(id) => write!(f, "o{id}"),
            Self::Close(id) => write!(f, "c{id}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgePath {
    Forward,
    /// From a step to its compensation.
    Compensated,
    Back,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: EdgeEnd,
    pub to: EdgeEnd,
    pub label: Option<String>,
    pub way: EdgePath,
}

/// An edge that has no end yet.
type Loose = (EdgeEnd, Option<String>);

/// All edges: those forward first, then those back.
pub fn edges(graph: &Graph) -> Vec<Edge> {
    let mut arrows = Arrows::default();
    let last = arrows.forward(&graph.parts, vec![(EdgeEnd::Start, None)]);
    arrows.join(&last, EdgeEnd::Completed, EdgePath::Forward);
    if graph.leads_back {
        let last = arrows.back(&graph.parts, Vec::new());
        let last: Vec<_> = last.into_iter().map(|end| (end, None)).collect();
        arrows.join(&last, EdgeEnd::Compensated, EdgePath::Back);
    }
    arrows.found
}

#[derive(Default)]
struct Arrows {
    found: Vec<Edge>,
}

impl Arrows {
    fn join(&mut self, from: &[Loose], to: EdgeEnd, way: EdgePath) {
        for (from, label) in from {
            let edge = Edge { from: *from, to, label: label.clone(), way };
            if !self.found.contains(&edge) {
                self.found.push(edge);
            }
        }
    }

    /// Adds the edges from `loose` through `parts`. Returns the loose edges at their end.
    fn forward(&mut self, parts: &[Part], mut loose: Vec<Loose>) -> Vec<Loose> {
        for part in parts {
            let mut around = Vec::new();
            if let Some(condition) = part.when() {
                let past = |label: &Option<String>| match label {
                    Some(label) => format!("{label}, else"),
                    None => "else".to_owned(),
                };
                around = loose.iter().map(|(from, label)| (*from, Some(past(label)))).collect();
                loose.iter_mut().for_each(|(_, label)| {
                    let before = label.take().map(|label| format!("{label}, and ")).unwrap_or_default();
                    *label = Some(format!("{before}if {condition}"));
                });
            }
            loose = match part {
                Part::Node(node) => {
                    self.join(&loose, EdgeEnd::Step(node.index), EdgePath::Forward);
                    if part.ends() || node.kind == StepKind::Fail {
                        Vec::new()
                    } else {
                        vec![(EdgeEnd::Step(node.index), None)]
                    }
                }
                Part::Group(group) => self.through(group, loose),
            };
            loose.extend(around);
        }
        loose
    }

    fn through(&mut self, group: &Group, loose: Vec<Loose>) -> Vec<Loose> {
        if group.kind == GroupKind::ForEach {
            return group.branches.iter().fold(loose, |loose, branch| self.forward(&branch.parts, loose));
        }
        self.join(&loose, EdgeEnd::Open(group.id), EdgePath::Forward);
        let mut after = Vec::new();
        for Branch { label, parts } in &group.branches {
            after.extend(self.forward(parts, vec![(EdgeEnd::Open(group.id), label.clone())]));
        }
        if group.kind == GroupKind::Choice {
            return after;
        }
        self.join(&after, EdgeEnd::Close(group.id), EdgePath::Forward);
        vec![(EdgeEnd::Close(group.id), None)]
    }

    /// Adds the edges back through `parts`. `from` are the compensations that precede; returns those that come last in `parts`.
    fn back(&mut self, parts: &[Part], mut from: Vec<EdgeEnd>) -> Vec<EdgeEnd> {
        for part in parts.iter().rev() {
            match part {
                Part::Node(node) if node.compensation.is_some() => {
                    let compensation = EdgeEnd::Compensation(node.index);
                    self.join(&[(EdgeEnd::Step(node.index), None)], compensation, EdgePath::Compensated);
                    let loose: Vec<_> = from.into_iter().map(|end| (end, None)).collect();
                    self.join(&loose, compensation, EdgePath::Back);
                    from = vec![compensation];
                }
                Part::Node(node) if node.leads_back => from.push(EdgeEnd::Step(node.index)),
                Part::Node(_) => {}
                Part::Group(group) => {
                    let mut first = Vec::new();
                    for branch in &group.branches {
                        for end in self.back(&branch.parts, from.clone()) {
                            if !first.contains(&end) {
                                first.push(end);
                            }
                        }
                    }
                    // The compensations that precede the group lead only to the branches that have compensations.
                    if group.kind == GroupKind::Parallel && first.iter().any(|end| !from.contains(end)) {
                        first.retain(|end| !from.contains(end));
                    }
                    from = first;
                }
            }
        }
        from
    }
}
