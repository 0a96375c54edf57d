//! The graph of a definition, which is common to all formats.

use snorri_core::definition::StepKind;

/// Options of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Replaces the definition's name, unless it is blank.
    pub title: Option<String>,
    /// Whether compensations are shown.
    pub compensation: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { title: None, compensation: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub name: String,
    pub title: String,
    pub version: u32,
    pub description: Option<String>,
    /// The triggers, a line for each.
    pub starts: Vec<String>,
    pub parts: Vec<Part>,
    /// Whether a saga can end compensated.
    pub leads_back: bool,
}

/// An element of a list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Node(Node),
    Group(Group),
}

/// A step that contains no other steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its index in the list of the definition's steps.
    pub index: usize,
    pub name: String,
    /// The displayed name: the kind, for a step without a name.
    pub label: String,
    pub kind: StepKind,
    /// Its command, event or target, in a few words.
    pub detail: String,
    /// The lines of its tooltip.
    pub about: Vec<String>,
    /// It is skipped unless this condition is true.
    pub when: Option<String>,
    pub optional: bool,
    pub pivot: bool,
    /// It comes after a pivot, where it is tried until it succeeds.
    pub retriable: bool,
    /// Whether one of its outcomes may roll the saga back.
    pub leads_back: bool,
    pub compensation: Option<Compensation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compensation {
    pub detail: String,
    pub about: Vec<String>,
}

/// The steps of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// A number that is unique among the groups.
    pub id: usize,
    /// The name of the block, if it has one.
    pub name: Option<String>,
    pub kind: GroupKind,
    /// A short description.
    pub heading: String,
    pub about: Vec<String>,
    pub when: Option<String>,
    pub branches: Vec<Branch>,
    /// Whether one of its steps may roll the saga back.
    pub leads_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    Parallel,
    Choice,
    ForEach,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The condition under which it is taken, in a choice.
    pub label: Option<String>,
    pub parts: Vec<Part>,
}

impl Part {
    pub fn leads_back(&self) -> bool {
        match self {
            Self::Node(node) => node.leads_back || node.compensation.is_some(),
            Self::Group(group) => group.leads_back,
        }
    }

    pub fn when(&self) -> Option<&str> {
        match self {
            Self::Node(node) => node.when.as_deref(),
            Self::Group(group) => group.when.as_deref(),
        }
    }

    /// Whether the parts after it are never reached.
    pub fn ends(&self) -> bool {
        matches!(self, Self::Node(node) if node.kind == StepKind::Fail && node.when.is_none())
    }

    /// Whether the saga cannot roll back after it.
    pub fn commits(&self) -> bool {
        match self {
            Self::Node(node) => node.pivot,
            Self::Group(group) => {
                let commits = |branch: &Branch| branch.parts.iter().any(Self::commits);
                match group.kind {
                    GroupKind::Parallel => group.branches.iter().any(commits),
                    GroupKind::Choice => group.branches.iter().all(commits),
                    GroupKind::ForEach => false,
                }
            }
        }
    }
}

impl Node {
    /// Its kind of transaction, in words.
    pub fn marks(&self) -> impl Iterator<Item = &'static str> {
        let marks = [
            (self.pivot, "pivot: no way back after this"),
            (self.retriable, "retriable"),
            (self.optional, "optional"),
        ];
        marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark)
    }

    /// Its detail, with its kind in front unless it is a command.
    pub fn doing(&self) -> String {
        if self.kind == StepKind::Command {
            self.detail.clone()
        } else {
            format!("{} {}", self.kind, self.detail)
        }
    }
}

impl Group {
    /// The heading, with the name of a `for_each` in front. The name of a choice may be generated and is left out.
    pub fn caption(&self) -> String {
        match (&self.name, self.kind) {
            (Some(name), GroupKind::ForEach) => format!("{name}: {}", self.heading),
            _ => self.heading.clone(),
        }
    }
}

impl GroupKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Choice => "choice",
            Self::ForEach => "for_each",
        }
    }
}
