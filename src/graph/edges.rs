//! The arrows between the steps, for the pictures that are told as nodes and edges.

use std::fmt;

use super::model::{Branch, Graph, Group, GroupKind, Part};

/// Where an arrow begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Start,
    Completed,
    Compensated,
    Step(usize),
    Undo(usize),
    /// Where a group decides, or where its branches part.
    Open(usize),
    /// Where branches that run side by side come together.
    Close(usize),
}

/// Its name in a text: a letter for what it is, and its number.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Completed => f.write_str("completed"),
            Self::Compensated => f.write_str("compensated"),
            Self::Step(index) => write!(f, "s{index}"),
            Self::Undo(index) => write!(f, "u{index}"),
            Self::Open(id) => write!(f, "o{id}"),
            Self::Close(id) => write!(f, "c{id}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Forward,
    /// From a step to what undoes it.
    Undone,
    Back,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: End,
    pub to: End,
    pub label: Option<String>,
    pub way: Way,
}

/// An arrow that has no end yet.
type Loose = (End, Option<String>);

/// All arrows: those forward first, then those back.
pub fn edges(graph: &Graph) -> Vec<Edge> {
    let mut arrows = Arrows::default();
    let last = arrows.forward(&graph.parts, vec![(End::Start, None)]);
    arrows.join(&last, End::Completed, Way::Forward);
    if graph.leads_back {
        let last = arrows.back(&graph.parts, Vec::new());
        let last: Vec<_> = last.into_iter().map(|end| (end, None)).collect();
        arrows.join(&last, End::Compensated, Way::Back);
    }
    arrows.found
}

#[derive(Default)]
struct Arrows {
    found: Vec<Edge>,
}

impl Arrows {
    fn join(&mut self, from: &[Loose], to: End, way: Way) {
        for (from, label) in from {
            let edge = Edge { from: *from, to, label: label.clone(), way };
            if !self.found.contains(&edge) {
                self.found.push(edge);
            }
        }
    }

    /// From `loose`, through `parts`: what is loose at their end.
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
                    self.join(&loose, End::Step(node.index), Way::Forward);
                    if part.ends() || node.kind == "fail" {
                        Vec::new()
                    } else {
                        vec![(End::Step(node.index), None)]
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
        self.join(&loose, End::Open(group.id), Way::Forward);
        let mut after = Vec::new();
        for Branch { label, parts } in &group.branches {
            after.extend(self.forward(parts, vec![(End::Open(group.id), label.clone())]));
        }
        if group.kind == GroupKind::Choice {
            return after;
        }
        self.join(&after, End::Close(group.id), Way::Forward);
        vec![(End::Close(group.id), None)]
    }

    /// From what came after `parts` and is undone before them: what is undone last of them.
    fn back(&mut self, parts: &[Part], mut from: Vec<End>) -> Vec<End> {
        for part in parts.iter().rev() {
            match part {
                Part::Node(node) if node.undo.is_some() => {
                    let undo = End::Undo(node.index);
                    self.join(&[(End::Step(node.index), None)], undo, Way::Undone);
                    let loose: Vec<_> = from.into_iter().map(|end| (end, None)).collect();
                    self.join(&loose, undo, Way::Back);
                    from = vec![undo];
                }
                Part::Node(node) if node.leads_back => from.push(End::Step(node.index)),
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
                    // What is undone before the group hangs on the branches that undo something.
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
