//! What all pictures of a definition have in common.

/// What is to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Instead of the definition's name, if there is anything in it.
    pub title: Option<String>,
    /// Whether the way back is shown too.
    pub undo: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { title: None, undo: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub name: String,
    pub title: String,
    pub version: u32,
    pub description: Option<String>,
    /// What starts a saga by itself, a line for each.
    pub starts: Vec<String>,
    pub parts: Vec<Part>,
    /// Whether a saga can end compensated.
    pub leads_back: bool,
}

/// What stands in a list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Node(Node),
    Group(Group),
}

/// A step that has no other steps in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its place in the list of the definition's steps.
    pub index: usize,
    pub name: String,
    /// The same for people: a step that was not named has the word for its kind.
    pub label: String,
    /// As definitions have it: `command`, `wait`, `sleep`, `saga`, `publish` or `fail`.
    pub kind: &'static str,
    /// What it sends, awaits or does, in a few words.
    pub detail: String,
    /// All that there is to say of it, a line for each.
    pub about: Vec<String>,
    /// Without this condition it is left out.
    pub when: Option<String>,
    pub optional: bool,
    pub pivot: bool,
    /// It stands after a pivot: there, it is tried until it succeeds.
    pub retriable: bool,
    /// Whether the saga may roll back because of it.
    pub leads_back: bool,
    pub undo: Option<Undo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    pub detail: String,
    pub about: Vec<String>,
}

/// Steps that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// A number of its own, which no other group has.
    pub id: usize,
    /// The step that decides on it, if it has one.
    pub name: Option<String>,
    pub kind: GroupKind,
    /// What it is, in a few words.
    pub heading: String,
    pub about: Vec<String>,
    pub when: Option<String>,
    pub branches: Vec<Branch>,
    /// Whether the saga may roll back because of what is in it.
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
    /// When it is taken, in a choice.
    pub label: Option<String>,
    pub parts: Vec<Part>,
}

impl Part {
    pub fn leads_back(&self) -> bool {
        match self {
            Self::Node(node) => node.leads_back || node.undo.is_some(),
            Self::Group(group) => group.leads_back,
        }
    }

    pub fn when(&self) -> Option<&str> {
        match self {
            Self::Node(node) => node.when.as_deref(),
            Self::Group(group) => group.when.as_deref(),
        }
    }

    /// Whether nothing comes after it, whatever stands there.
    pub fn ends(&self) -> bool {
        matches!(self, Self::Node(node) if node.kind == "fail" && node.when.is_none())
    }

    /// Whether there is no way back from what comes after it.
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
    /// What is remarkable about it, in words.
    pub fn marks(&self) -> impl Iterator<Item = &'static str> {
        let marks = [
            (self.pivot, "pivot: no way back after this"),
            (self.retriable, "retriable"),
            (self.optional, "optional"),
        ];
        marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark)
    }

    /// What it sends, awaits or does, after the word for it unless it is a command, as most are.
    pub fn doing(&self) -> String {
        if self.kind == "command" { self.detail.clone() } else { format!("{} {}", self.kind, self.detail) }
    }
}

impl Group {
    /// What it is, after the name of a list's step: that of a choice is made up.
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
