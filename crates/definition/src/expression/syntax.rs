//! Diagnostics for expressions that are not CEL. They translate the parser's errors, which use the words of its grammar.

use std::ops::Range;

use cel::{Env, ParseError};

use super::super::code;
use super::super::diagnostic::Diagnostic;

const HELP: &str = "close each bracket, put quotes around texts, like `'paid'`, and write operators as CEL does: `==`, `&&`, `||`, `!`, \
                    `condition ? one : other`";

/// Compiles `source` once more, for the place of the error; `message` is the error of the first time.
pub(super) fn explain(env: &Env, source: &str, message: String) -> Diagnostic {
    let whole = 0..source.len();
    if source.is_empty() {
        return Diagnostic::new(code::EXPRESSION_SYNTAX, whole, "an expression is empty")
            .label("nothing between `${` and `}`")
            .help("write it like `${ input.id }`");
    }
    if source.len() > snorri_core::expression::MAX_SOURCE_BYTES {
        return Diagnostic::new(code::EXPRESSION_SYNTAX, whole, format!("an expression is {message}"));
    }
    let errors = env.compile(source).err().map(|errors| errors.errors).unwrap_or_default();
    // Some errors only report that a part could not be read because of another error.
    let is_consequence = |error: &&ParseError| error.msg.starts_with("Incomplete");
    let error = errors.iter().find(|error| !is_consequence(error)).or(errors.first());
    let Some(error) = error else {
        return Diagnostic::new(code::EXPRESSION_SYNTAX, whole, message);
    };
    let (what, token, help) = translate(&error.msg);
    let (span, is_end) = place(source, error.pos, token);
    let what = if is_end { "it ends too early" } else { &what };
    Diagnostic::new(code::EXPRESSION_SYNTAX, span, format!("an expression is not CEL: {what}"))
        .label(if is_end { "something is missing after this" } else { "here" })
        .help(help.unwrap_or(HELP))
}

/// Translates an error: its description, its token, and what to write instead.
fn translate(message: &str) -> (String, &str, Option<&'static str>) {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let token = message
        .split_once("input '")
        .or_else(|| message.split_once("at: '"))
        .map(|(_, rest)| rest.rsplit_once("' expecting").map_or(rest, |(token, _)| token))
        .map(|token| token.strip_suffix('\'').unwrap_or(token).trim_end());
    match token {
        Some("<EOF>") => ("it ends too early".into(), "", None),
        Some(token) if token.starts_with('=') => {
            (format!("unexpected `{token}`"), token, Some("compare with `==`"))
        }
        Some(token) if token.starts_with('&') || token.starts_with('|') => {
            (format!("unexpected `{token}`"), token, Some("write `&&` and `||`"))
        }
        Some(token) if token.starts_with(['\'', '"']) => {
            let help = "close the text with the quote that it begins with; a backslash is written `\\\\`";
            ("a text is not closed".into(), token, Some(help))
        }
        Some(token @ "and") => (format!("unexpected `{token}`"), token, Some("write `&&`")),
        Some(token @ "or") => (format!("unexpected `{token}`"), token, Some("write `||`")),
        Some(token) => (format!("unexpected `{token}`"), token, None),
        None if message.contains("Recursi") => ("it nests too deep".into(), "", None),
        None => match message.strip_prefix("reserved identifier: ") {
            Some(word) => (format!("`{word}` is a reserved word"), word, None),
            None if message.contains("has() macro") => {
                ("`has` takes a field".into(), "", Some("write it like `has(input.note)`"))
            }
            None if message.contains("simple name") => {
                ("a macro begins with a name".into(), "", Some("write it like `list.map(item, item.sku)`"))
            }
            None => (message.lines().next().unwrap_or_default().to_owned(), "", None),
        },
    }
}

/// The bytes of `token` at a line and a column, in characters and both from 1, and whether that is the end: the place
/// is then the last character.
fn place(source: &str, (line, column): (isize, isize), token: &str) -> (Range<usize>, bool) {
    let (Ok(line), Ok(column)) = (usize::try_from(line - 1), usize::try_from(column - 1)) else {
        return (0..source.len(), false);
    };
    let line_start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(line_start..).unwrap_or_default();
    let start = rest.char_indices().nth(column).map_or(source.len(), |(at, _)| line_start + at);
    if source[start..].starts_with(token) && !token.is_empty() {
        return (start..start + token.len(), false);
    }
    let last = source.char_indices().next_back().map_or(0, |(at, _)| at);
    match source[start..].chars().next() {
        Some(character) => (start..start + character.len_utf8(), false),
        None => (last..source.len(), true),
    }
}
