//! Decodes values that may hold expressions.

use std::ops::Range;

use crate::code;
use crate::decode::Context;
use crate::diagnostic::Diagnostic;
use crate::expression::{self, Scope, Wanted};
use crate::literal;
use crate::source::{Entry, Node, Value};
use snorri_core::expression::Expression;
use snorri_core::expression::template::{Template, expressions_in};

/// Most expressions of a definition: each takes time to compile.
const MAX_EXPRESSIONS: usize = 2_000;

/// Compiles all texts in `node`. An invalid one becomes null.
pub(super) fn decode(node: &Node, scope: Scope, cx: &mut Context<'_>) -> Template {
    cx.problems.find_all(literal::check(node, cx.source));
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Template::Literal(node.to_json()),
        Value::String(text) => text_template(node, text, scope, Wanted::Anything, cx),
        Value::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| decode(item, scope, cx)).collect();
            if items.iter().all(is_literal) {
                Template::Literal(node.to_json())
            } else {
                Template::Array(items)
            }
        }
        Value::Mapping(entries) => {
            for entry in entries.iter().filter(|entry| entry.key.contains("${")) {
                cx.problems.report(
                    Diagnostic::new(
                        code::NO_EXPRESSION_HERE,
                        entry.key_span.clone(),
                        "a key cannot hold an expression",
                    )
                    .label("taken literally")
                    .help("make the whole object an expression: `${ {input.name: 1} }`"),
                );
            }
            let fields: Vec<_> =
                entries.iter().map(|entry| (entry.key.clone(), decode(&entry.value, scope, cx))).collect();
            if fields.iter().all(|(_, field)| is_literal(field)) {
                Template::Literal(node.to_json())
            } else {
                Template::Object(fields)
            }
        }
    }
}

/// Decodes a payload. The default is an empty object.
pub(super) fn payload(entry: Option<&Entry>, scope: Scope, cx: &mut Context<'_>) -> Template {
    let given = entry.filter(|entry| entry.value.value != Value::Null);
    given.map_or_else(|| Template::Literal(serde_json::json!({})), |entry| decode(&entry.value, scope, cx))
}

/// Decodes an expression with nothing around it. Reports an invalid one, and returns `None` then.
pub(super) fn expression(entry: &Entry, scope: Scope, cx: &mut Context<'_>) -> Option<Expression> {
    let expression = alone(entry, scope, cx);
    expression::learn(&entry.key, expression.as_ref(), scope, &mut cx.names);
    expression
}

fn alone(entry: &Entry, scope: Scope, cx: &mut Context<'_>) -> Option<Expression> {
    let node = &entry.value;
    let text = match &node.value {
        Value::String(text) => text.as_str(),
        _ => "",
    };
    if text.contains("${") {
        let before = cx.problems.count();
        match text_template(node, text, scope, Wanted::under(&entry.key), cx) {
            Template::Expression(expression) => return Some(expression),
            _ if cx.problems.count() > before => return None,
            _ => {}
        }
    }
    let bare = text.trim();
    let help = if text.contains("${") {
        "put all of it between `${` and `}`".into()
    } else if !bare.contains('\n') && Expression::compile(&cx.env, bare).is_ok() {
        format!("write it like `${{ {bare} }}`")
    } else {
        "write it like `${ ... }`".into()
    };
    let label = if text.is_empty() { "expected an expression" } else { "taken literally" };
    let span = if node.span.is_empty() { &entry.key_span } else { &node.span };
    let message = format!("`{}` must be an expression", entry.key);
    cx.problems
        .report(Diagnostic::new(code::NOT_AN_EXPRESSION, span.clone(), message).label(label).help(help));
    None
}

fn is_literal(template: &Template) -> bool {
    matches!(template, Template::Literal(_))
}

fn text_template(node: &Node, text: &str, scope: Scope, wanted: Wanted, cx: &mut Context<'_>) -> Template {
    let sources = match expressions_in(text) {
        Ok(sources) => sources,
        Err(error) => {
            cx.problems.report(
                Diagnostic::new(
                    code::EXPRESSION_SYNTAX,
                    node.find(cx.source, error.at).unwrap_or_else(|| node.span.clone()),
                    error.message,
                )
                .label("opened here")
                .help("close it with `}`, and each quote in it; for a literal `${` write `$${`"),
            );
            return Template::null();
        }
    };
    if let Some(finding) = spaced(node, text, cx) {
        cx.problems.find(finding);
    }
    cx.expressions += sources.len();
    if cx.expressions > MAX_EXPRESSIONS {
        if cx.expressions - sources.len() <= MAX_EXPRESSIONS {
            let message = format!("a definition has at most {MAX_EXPRESSIONS} expressions");
            cx.problems.report(
                Diagnostic::new(code::TOO_MUCH, node.span.clone(), message)
                    .label("the limit is reached here"),
            );
        }
        return Template::null();
    }
    match Template::of_text(&cx.env, text) {
        Ok(template) => {
            let wanted = if matches!(template, Template::Text(_)) { Wanted::InText } else { wanted };
            for (expression, (source, at)) in template.expressions().into_iter().zip(&sources) {
                let program = expression.program();
                cx.may_take_long |= expression.may_take_long();
                let found = expression::check(source, program, scope, &cx.names);
                if found.is_empty() {
                    let mut found = expression::check_types(source, program, scope, &cx.names, wanted);
                    found.extend(expression::check_growth(source, program));
                    moved(found, node, at, cx.source).for_each(|finding| cx.problems.find(finding));
                }
                report(found, node, at, scope, cx);
            }
            template
        }
        // The error is of the first invalid expression: all of them are compiled again, one by one.
        Err(_) => {
            for (source, at) in &sources {
                let found = match Expression::compile(&cx.env, source) {
                    Ok(compiled) => expression::check(source, compiled.program(), scope, &cx.names),
                    Err(message) => vec![expression::explain(&cx.env, source, message)],
                };
                report(found, node, at, scope, cx);
            }
            Template::null()
        }
    }
}

/// Reports a text that would be an expression without the space in `$ {`.
fn spaced(node: &Node, text: &str, cx: &Context<'_>) -> Option<Diagnostic> {
    let (at, _) = text.match_indices('$').find(|(at, _)| {
        let rest = &text[at + 1..];
        rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with('{')
    })?;
    let open = at + text[at..].find('{')?;
    let end = open + text[open..].find('}')? + 1;
    let inner = text[open + 1..end - 1].trim();
    Expression::compile(&cx.env, inner).ok()?;
    let message = format!("`{}` is no expression, but a text", &text[at..end]);
    let span = node.find(cx.source, at..end).unwrap_or_else(|| node.span.clone());
    Some(
        Diagnostic::new(code::NOT_AN_EXPRESSION, span, message)
            .label("taken literally")
            .help(format!("did you mean `${{ {inner} }}`? there is nothing between `$` and `{{`"))
            .warning(),
    )
}

fn report(found: Vec<Diagnostic>, node: &Node, at: &Range<usize>, scope: Scope, cx: &mut Context<'_>) {
    for diagnostic in moved(found, node, at, cx.source) {
        // Earlier releases did not check the fields here: the definitions that they registered must continue to compile.
        if scope.is_item() && diagnostic.code == code::UNKNOWN_FIELD {
            cx.problems.find(diagnostic);
        } else {
            cx.problems.report(diagnostic);
        }
    }
}

/// Moves the diagnostics of an expression to its place in the file.
fn moved<'a>(
    found: Vec<Diagnostic>,
    node: &'a Node,
    at: &Range<usize>,
    source: &str,
) -> impl Iterator<Item = Diagnostic> + use<'a> {
    let place = if found.is_empty() { None } else { node.find(source, at.clone()) };
    found.into_iter().map(move |mut diagnostic| {
        diagnostic.span = match &place {
            Some(place) => place.start + diagnostic.span.start..place.start + diagnostic.span.end,
            None => node.span.clone(),
        };
        diagnostic
    })
}
