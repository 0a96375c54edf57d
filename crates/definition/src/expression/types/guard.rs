//! The values whose presence follows from a condition: behind `has(input.note)` the field is present, and behind
//! `look.output != null` the output is.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

use super::extent::Text;
use super::operators as table;

/// What is present if a condition is true, and if it is false: paths, like `input.note`, and marks made of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) if_true: Vec<String>,
    pub(crate) if_false: Vec<String>,
    /// The marks of all parts that must hold for it to be true.
    pub(crate) conjuncts: Vec<String>,
}

impl Facts {
    pub(super) fn of(text: &Text<'_>, condition: &IdedExpr) -> Self {
        Self {
            if_true: facts(text, condition, true),
            if_false: facts(text, condition, false),
            conjuncts: conjuncts(text, condition),
        }
    }
}

/// All facts that follow if `condition` is `truth`.
pub(super) fn facts(text: &Text<'_>, condition: &IdedExpr, truth: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![(condition, truth)];
    while let Some((condition, truth)) = todo.pop() {
        found.push(holds(text, condition, truth));
        match &condition.expr {
            Expr::Select(select) if select.test && truth => {
                let operand = path(&select.operand);
                found.extend(operand.iter().map(|operand| format!("{operand}.{}", select.field)));
                found.extend(operand.iter().flat_map(|operand| not_null(operand)));
            }
            Expr::Select(select) if !select.test => {
                found.extend(path(&select.operand).iter().flat_map(|operand| not_null(operand)));
            }
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::LOGICAL_NOT, [negated]) => todo.push((negated, !truth)),
                (operators::LOGICAL_AND, both) if truth => todo.extend(both.iter().map(|one| (one, true))),
                (operators::LOGICAL_OR, both) if !truth => todo.extend(both.iter().map(|one| (one, false))),
                (
                    operators::EQUALS,
                    [one, IdedExpr { expr: Expr::Literal(LiteralValue::Boolean(is)), .. }],
                ) => {
                    todo.push((one, truth == *is.inner()));
                }
                (operators::IN, [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }, of])
                    if truth =>
                {
                    let of = path(of);
                    found.extend(of.iter().map(|of| format!("{of}.{}", name.inner())));
                    found.extend(of.iter().flat_map(|of| not_null(of)));
                }
                (name, [left, right]) => found.extend(compared(name, [left, right], truth)),
                _ => {}
            },
            // `lines.all(line, has(line.note))` vouches for all of them.
            Expr::Comprehension(loops) if truth => {
                if let (Some(list), Expr::Call(step)) = (path(&loops.iter_range), &loops.loop_step.expr)
                    && let (operators::LOGICAL_AND, [_, body]) =
                        (step.func_name.as_str(), step.args.as_slice())
                    && facts(text, body, true).iter().any(|fact| is_path(fact))
                {
                    found.push(items(&list));
                }
            }
            _ => {}
        }
    }
    found
}

/// The facts that follow from a comparison with a result: the operands of its sides are not null, nor is a side that differs
/// from null.
fn compared(function: &str, sides: [&IdedExpr; 2], truth: bool) -> Vec<String> {
    let is_equality = [operators::EQUALS, operators::NOT_EQUALS].contains(&function);
    let is_ordering = table::sign(function).is_some_and(table::is_ordering);
    if !is_equality && !is_ordering {
        return Vec::new();
    }
    let is_null = |side: &IdedExpr| matches!(side.expr, Expr::Literal(LiteralValue::Null));
    let differs_from_null =
        is_equality && truth == (function == operators::NOT_EQUALS) && sides.into_iter().any(is_null);
    let mut found = Vec::new();
    for path in sides.into_iter().filter_map(path) {
        match (is_ordering || differs_from_null, path.rsplit_once('.')) {
            (true, _) => found.extend(not_null(&path)),
            (false, Some((taken_from, _))) => found.extend(not_null(taken_from)),
            (false, None) => {}
        }
    }
    found
}

/// The parts of `a && b && c`.
fn conjuncts(text: &Text<'_>, condition: &IdedExpr) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![condition];
    while let Some(part) = todo.pop() {
        match &part.expr {
            Expr::Call(call) if call.func_name == operators::LOGICAL_AND => todo.extend(&call.args),
            _ => found.push(holds(text, part, true)),
        }
    }
    found
}

/// The mark of a condition that is `truth`.
fn holds(text: &Text<'_>, condition: &IdedExpr, truth: bool) -> String {
    let written: String = text.of(condition).split_whitespace().collect();
    format!("={}{written}", if truth { "" } else { "!" })
}

/// Whether this is a path and no mark.
fn is_path(fact: &str) -> bool {
    !fact.starts_with('=') && !fact.ends_with('!')
}

/// The marks of a path that is not null, and of all its prefixes.
fn not_null(path: &str) -> Vec<String> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| is_not_null(&path[..end])).collect()
}

/// The mark of a path that is not null.
pub(super) fn is_not_null(path: &str) -> String {
    format!("{path}!")
}

/// The mark for all items of a list.
pub(super) fn items(list: &str) -> String {
    format!("{list}[*]")
}

/// The path that an expression is: a name, and the fields selected from it.
pub(super) fn path(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.trim_start_matches('.').to_owned()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX, [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]) => {
                Some(format!("{}.{}", path(of)?, name.inner()))
            }
            _ => None,
        },
        _ => None,
    }
}
