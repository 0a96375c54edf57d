//! Values that may hold expressions.

use std::ops::Range;

use super::super::code;
use super::super::diagnostic::Diagnostic;
use super::super::expression::{self, Scope};
use super::super::source::{Entry, Node, Value};
use super::Context;
use crate::saga::expression::Expression;
use crate::saga::template::{Template, expressions_in};

/// Most expressions of a definition: each takes time to compile.
const MAX_EXPRESSIONS: usize = 2_000;

/// Compiles all texts in `node`. What is wrong in it is null.
pub(super) fn decode(node: &Node, scope: Scope, cx: &mut Context<'_>) -> Template {
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Template::Literal(node.to_json()),
        Value::String(text) => text_template(node, text, scope, cx),
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

/// What is sent. Without anything said, it is an empty object.
pub(super) fn payload(entry: Option<&Entry>, scope: Scope, cx: &mut Context<'_>) -> Template {
    let said = entry.filter(|entry| entry.value.value != Value::Null);
    said.map_or_else(|| Template::Literal(serde_json::json!({})), |entry| decode(&entry.value, scope, cx))
}

/// One expression, and nothing around it. What is wrong with it has been told if there is none.
pub(super) fn expression(entry: &Entry, scope: Scope, cx: &mut Context<'_>) -> Option<Expression> {
    let node = &entry.value;
    let text = match &node.value {
        Value::String(text) => text.as_str(),
        _ => "",
    };
    if text.contains("${") {
        let before = cx.problems.count();
        match text_template(node, text, scope, cx) {
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

fn text_template(node: &Node, text: &str, scope: Scope, cx: &mut Context<'_>) -> Template {
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
            for (expression, (source, at)) in template.expressions().into_iter().zip(&sources) {
                let found = expression::check(source, expression.program(), scope, &cx.names);
                report(found, node, at, cx);
            }
            template
        }
        // The error is of the first expression that is wrong: all of them are asked again.
        Err(_) => {
            for (source, at) in &sources {
                let found = match Expression::compile(&cx.env, source) {
                    Ok(compiled) => expression::check(source, compiled.program(), scope, &cx.names),
                    Err(message) => vec![expression::explain(&cx.env, source, message)],
                };
                report(found, node, at, cx);
            }
            Template::null()
        }
    }
}

/// Moves what was found within an expression to its place in the file.
fn report(found: Vec<Diagnostic>, node: &Node, at: &Range<usize>, cx: &mut Context<'_>) {
    if found.is_empty() {
        return;
    }
    let place = node.find(cx.source, at.clone());
    for mut diagnostic in found {
        diagnostic.span = match &place {
            Some(place) => place.start + diagnostic.span.start..place.start + diagnostic.span.end,
            None => node.span.clone(),
        };
        cx.problems.report(diagnostic);
    }
}
