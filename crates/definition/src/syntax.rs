//! Diagnostics for files that are not YAML, or that exceed the limits.

use std::ops::Range;

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, UserMessageFormatter};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::code;

/// Makes a diagnostic of an error of the YAML parser.
pub(super) fn explain(source: &str, error: &Error) -> Diagnostic {
    let span = place(source, error);
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_ref().map_or_else(String::new, |key| format!(" `{key}`"));
            Diagnostic::new(code::DUPLICATE_KEY, span, format!("the key{name} is given twice"))
                .label("already given above")
                .help("keep one of the two")
        }
        Error::MultipleDocuments { .. } => {
            Diagnostic::new(code::SYNTAX, span, "a file holds one definition, not several")
                .label("a second document begins here")
                .help("move it to a file of its own")
        }
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            Diagnostic::new(code::SYNTAX, span, "a file holds one definition, not several")
                .help("move each document to a file of its own")
        }
        Error::NonFiniteFloat { value, .. } => {
            Diagnostic::new(code::NOT_KEPT, span, format!("JSON has no number `{value}`"))
                .label("neither sent nor stored")
                .help(format!("put quotes around it if it is a text: `\"{value}\"`"))
        }
        Error::AliasError { error, .. } => Diagnostic { span, ..explain(source, error) },
        Error::Budget { breach, .. } => too_much(span, excess(breach)),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => too_much(span, "its aliases expand to too much"),
        // The scanner's own limit, which it reaches before any budget.
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. }
            if msg.contains("recursion limit") =>
        {
            too_much(span, "it nests too deep")
        }
        _ => syntax(source, span, error),
    }
}

fn too_much(span: Range<usize>, what: &str) -> Diagnostic {
    Diagnostic::new(code::TOO_MUCH, span, format!("this is more YAML than a definition may be: {what}"))
        .label("the limit is reached here")
}

fn excess(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Depth { .. } => "it nests too deep",
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => "it has too many values",
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::MergeKeys { .. } => "it has too many aliases",
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            "its aliases expand to too much"
        }
        _ => "it is too large",
    }
}

fn syntax(source: &str, span: Range<usize>, error: &Error) -> Diagnostic {
    let text = error.render_with_formatter(&UserMessageFormatter);
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let text = text.lines().next().unwrap_or_default();
    let line = line_around(source, span.start);
    let unquoted =
        line.find("${").is_some_and(|at| line[..at].contains(['{', '[']) && !line[..at].ends_with('"'));
    let help = if unquoted {
        Some("within `{ }` and `[ ]`, put quotes around an expression: `\"${ input.id }\"`")
    } else if text.contains("did not find expected ','") {
        Some("a `{` or `[` before this is not closed, or a comma is missing")
    } else if text.contains("mapping values are not allowed") {
        Some("put quotes around a text that contains `: `, and check the indentation")
    } else if text.contains("null is not allowed") {
        Some("a key is a text; put quotes around it")
    } else if text.contains("expected string scalar") {
        Some("a key is a text")
    } else if text.contains("unexpected character") {
        Some("put quotes around a text that begins with a special character; indent with spaces, not tabs")
    } else {
        None
    };
    let mut diagnostic = Diagnostic::new(code::SYNTAX, span, format!("this is not YAML: {text}"));
    diagnostic.help = help.map(str::to_owned);
    diagnostic
}

fn line_around(source: &str, byte: usize) -> &str {
    let start = source.get(..byte).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    source.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

/// The place of the error. Scanner errors have only a line and a column, in characters and from 1.
fn place(source: &str, error: &Error) -> Range<usize> {
    let Some(location) = error.location() else { return 0..0 };
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    if let (Some(start), Some(length)) = (location.span().byte_offset(), location.span().byte_len()) {
        let start = number(start).min(source.len());
        let end = start.saturating_add(number(length)).min(source.len());
        if source.get(start..end).is_some() {
            return start..end;
        }
    }
    let line_start = source
        .split_inclusive('\n')
        .take(number(location.line()).saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let line = source[line_start..].lines().next().unwrap_or_default();
    let column = number(location.column()).saturating_sub(1);
    let (start, width) =
        line.char_indices().nth(column).map_or((line.len(), 0), |(at, character)| (at, character.len_utf8()));
    line_start + start..line_start + start + width
}
