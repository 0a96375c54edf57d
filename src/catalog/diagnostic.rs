//! What is wrong with a definition: where, and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::render;

/// Most diagnostics kept of one definition: whoever has more starts with these.
const MOST: usize = 100;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The definition is not taken.
    Error,
    /// It is taken, and may not do what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable, one of [`code`](super::code).
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong, understood without the source at hand.
    pub message: String,
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// What to say of that place.
    pub label: String,
    /// Another place that has to do with it.
    pub also: Option<(Range<usize>, String)>,
    /// What to write instead.
    pub help: Option<String>,
    /// How it comes about, line by line, if it takes more than a look at the place.
    pub story: Vec<String>,
}

/// All that is wrong with a definition, in the order of its source.
#[derive(Clone)]
pub struct Diagnostics {
    /// The file's name, for people.
    pub file: String,
    pub source: String,
    pub list: Vec<Diagnostic>,
    /// How many more there are than are listed.
    pub omitted: usize,
}

/// Takes in what is found wrong on the way through a definition.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Diagnostic>,
    omitted: usize,
    /// What keeps none from being made of it, but perhaps from being taken.
    findings: Vec<Diagnostic>,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            also: None,
            help: None,
            story: Vec::new(),
        }
    }

    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub(crate) fn story(mut self, story: Vec<String>) -> Self {
        self.story = story;
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl Problems {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.report_with(|| diagnostic);
    }

    /// The same for what there may be very many of: only as many as are kept are made.
    pub(super) fn report_with(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.list.len() < MOST {
            self.list.push(diagnostic());
        } else {
            self.omitted += 1;
        }
    }

    /// Takes in what a definition can be made in spite of: one that runs already goes on.
    pub(super) fn find(&mut self, diagnostic: Diagnostic) {
        if self.findings.len() < MOST {
            self.findings.push(diagnostic);
        }
    }

    pub(super) fn find_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.find(diagnostic));
    }

    /// Whether a definition can be made.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    pub(super) fn into_diagnostics(self, file: &str, source: &str) -> Diagnostics {
        let list = self.list.into_iter().chain(self.findings);
        let mut diagnostics = Diagnostics::none(file, source);
        diagnostics.omitted = self.omitted;
        diagnostics.extend(list);
        diagnostics
    }
}

impl Diagnostics {
    /// Nothing wrong with this source.
    pub(crate) fn none(file: &str, source: &str) -> Self {
        Self { file: file.into(), source: source.into(), list: Vec::new(), omitted: 0 }
    }

    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        self.list.extend(more);
        self.list.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        // What stands behind an anchor is looked at once for each of its aliases.
        self.list.dedup();
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error) + self.omitted
    }

    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// For a terminal: colours, and lines drawn with more than ASCII has.
    pub fn pretty(&self) -> String {
        render::text(self, render::Look::Pretty)
    }

    /// For logs and snapshots: ASCII without colours.
    pub fn plain(&self) -> String {
        render::text(self, render::Look::Plain)
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

/// As what is displayed: `expect` shows what is wrong.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// `{file, omitted, diagnostics: [{code, severity, message, line, column, end_line, end_column, help, story}]}`.
impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lines = render::Lines::of(&self.source);
        let list: Vec<_> = self.list.iter().map(|diagnostic| render::Json::of(diagnostic, &lines)).collect();
        let mut fields = serializer.serialize_struct("Diagnostics", 3)?;
        fields.serialize_field("file", &self.file)?;
        fields.serialize_field("omitted", &self.omitted)?;
        fields.serialize_field("diagnostics", &list)?;
        fields.end()
    }
}
