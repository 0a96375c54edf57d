//! Renders diagnostics: drawn by miette for people, and as lines and columns for programs.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Columns of the text, whatever the terminal: rendered text is also stored and compared.
const WIDTH: usize = 110;
/// Furthest column, in bytes, that is drawn: wider lines are unreadable, and behind 65,535 miette panics.
const WIDEST: usize = 500;
/// Bytes of text after which no further report is drawn: each repeats its line of the source, however long.
const ENOUGH: usize = 256 * 1024;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    Pretty,
    Plain,
}

/// Renders one report after the other. Each has the whole source, because miette looks up its lines there.
pub(crate) fn text(diagnostics: &Diagnostics, look: Look) -> String {
    let theme = match look {
        Look::Pretty => GraphicalTheme::unicode(),
        Look::Plain => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false)
        .with_context_lines(1)
        .without_syntax_highlighting();
    let source = NamedSource::new(&diagnostics.file, diagnostics.source.clone());
    let lines = Lines::of(&diagnostics.source);
    let mut text = String::new();
    let mut omitted = diagnostics.omitted;
    for diagnostic in &diagnostics.list {
        if text.len() > ENOUGH {
            omitted += 1;
            continue;
        }
        let place = lines.too_far_right(diagnostic).then(|| {
            let (line, column) = lines.place(diagnostic.span.start);
            format!("at {}:{line}:{column}", diagnostics.file)
        });
        let report = Report { diagnostic, source: &source, place };
        if !text.is_empty() {
            text.push('\n');
        }
        if handler.render_report(&mut text, &report).is_err() {
            // Without its picture, the message is still useful.
            text.push_str(&report.to_string());
            text.push('\n');
        }
        diagnostic.trace.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    if omitted > 0 {
        text.push_str(&format!("\n...and {omitted} more\n"));
    }
    text
}

#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: &'a NamedSource<String>,
    /// Instead of a picture.
    place: Option<String>,
}

impl std::error::Error for Report<'_> {}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)?;
        self.place.iter().try_for_each(|place| write!(f, "\n{place}"))
    }
}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.is_none().then_some(self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Diagnostic { span, label, also, .. } = self.diagnostic;
        let label = (!label.is_empty()).then(|| label.clone());
        let also =
            also.iter().map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone()));
        let first = LabeledSpan::new_primary_with_span(label, span.clone());
        Some(Box::new(std::iter::once(first).chain(also)))
    }
}

/// Where the lines of a source begin.
pub(crate) struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(source: &'a str) -> Self {
        let starts = source.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(starts).collect() }
    }

    /// Whether a place of `diagnostic` cannot be drawn below its line.
    fn too_far_right(&self, diagnostic: &Diagnostic) -> bool {
        let spans = std::iter::once(&diagnostic.span).chain(diagnostic.also.iter().map(|(span, _)| span));
        let mut ends = spans.flat_map(|span| [span.start, span.end]);
        ends.any(|byte| byte - self.starts[self.line(byte) - 1] > WIDEST)
    }

    /// The line, from 1, of a byte.
    fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte).max(1)
    }

    /// The line and the column, in characters and both from 1, of a byte.
    fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.line(byte);
        let start = self.starts[line - 1];
        let before = self.source.get(start..byte).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// A diagnostic for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Json<'a> {
    code: &'static str,
    severity: Severity,
    message: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    trace: &'a [String],
}

impl<'a> Json<'a> {
    pub(crate) fn of(diagnostic: &'a Diagnostic, lines: &Lines<'_>) -> Self {
        let (line, column) = lines.place(diagnostic.span.start);
        let (end_line, end_column) = lines.place(diagnostic.span.end);
        let Diagnostic { code, severity, message, help, trace, .. } = diagnostic;
        let (code, severity, help) = (*code, *severity, help.as_deref());
        Self { code, severity, message, line, column, end_line, end_column, help, trace }
    }
}
