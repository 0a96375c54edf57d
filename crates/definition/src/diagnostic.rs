//! Diagnostics of a definition: what is wrong, where, and what to write instead.

pub mod code;
pub mod explanation;
pub(crate) mod render;
pub mod suggest;

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// Most diagnostics kept of one definition.
const MOST: usize = 100;

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The definition is rejected.
    Error,
    /// The definition is accepted, but may not do what its author intends.
    Warning,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable, one of [`code`].
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong, clear without the source.
    pub message: String,
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// The label of that place.
    pub label: String,
    /// A related place and its label.
    pub also: Option<(Range<usize>, String)>,
    /// What to write instead.
    pub help: Option<String>,
    /// The counterexample, line by line, where the place alone does not show the cause.
    pub trace: Vec<String>,
}

/// The diagnostics of a definition, in the order of its source.
#[derive(Clone)]
pub struct Diagnostics {
    /// The file's name, for people.
    pub file: String,
    pub source: String,
    pub list: Vec<Diagnostic>,
    /// The number of diagnostics that are not listed.
    pub omitted: usize,
}

/// Collects the diagnostics of a definition.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Diagnostic>,
    omitted: usize,
    /// Diagnostics that do not prevent compilation, but may prevent registration.
    findings: Vec<Diagnostic>,
}

impl Diagnostic {
    pub fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            also: None,
            help: None,
            trace: Vec::new(),
        }
    }

    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub fn trace(mut self, trace: Vec<String>) -> Self {
        self.trace = trace;
        self
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl Problems {
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.report_with(|| diagnostic);
    }

    /// Reports a diagnostic that there may be very many of: builds it only if it is kept.
    pub(super) fn report_with(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.list.len() < MOST {
            self.list.push(diagnostic());
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a diagnostic that does not prevent compilation: sagas of an already registered definition continue.
    pub(super) fn find(&mut self, diagnostic: Diagnostic) {
        if self.findings.len() < MOST {
            self.findings.push(diagnostic);
        }
    }

    pub(super) fn find_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.find(diagnostic));
    }

    /// Whether the definition can be compiled.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    pub fn into_diagnostics(self, file: &str, source: &str) -> Diagnostics {
        let list = self.list.into_iter().chain(self.findings);
        let mut diagnostics = Diagnostics::none(file, source);
        diagnostics.omitted = self.omitted;
        diagnostics.extend(list);
        diagnostics
    }
}

impl Diagnostics {
    /// No diagnostics for this source.
    pub fn none(file: &str, source: &str) -> Self {
        Self { file: file.into(), source: source.into(), list: Vec::new(), omitted: 0 }
    }

    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        self.list.extend(more);
        self.list.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        // The value of an anchor is checked once for each of its aliases.
        self.list.dedup();
    }

    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error) + self.omitted
    }

    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Renders for a terminal: with colours and Unicode lines.
    pub fn pretty(&self) -> String {
        render::text(self, render::Look::Pretty)
    }

    /// Renders for logs and snapshots: ASCII without colours.
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

/// The same as `Display`, so that `expect` prints the diagnostics.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// `{file, omitted, diagnostics: [{code, severity, message, line, column, end_line, end_column, help, trace}]}`.
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
