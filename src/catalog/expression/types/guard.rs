//! What a condition says of fields that may be missing: behind `has(input.note)` it is there.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

/// What is there if a condition is true, and what if it is false: paths, like `input.note`.
#[derive(Debug, Clone, Default)]
pub(in crate::catalog) struct Facts {
    pub(in crate::catalog) if_true: Vec<String>,
    pub(in crate::catalog) if_false: Vec<String>,
}

impl Facts {
    pub(super) fn of(condition: &IdedExpr) -> Self {
        Self { if_true: facts(condition, true), if_false: facts(condition, false) }
    }
}

/// All that is there if `condition` is `truth`.
pub(super) fn facts(condition: &IdedExpr, truth: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![(condition, truth)];
    while let Some((condition, truth)) = todo.pop() {
        match &condition.expr {
            Expr::Select(select) if select.test && truth => {
                found.extend(path(&select.operand).map(|operand| format!("{operand}.{}", select.field)));
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
                    found.extend(path(of).map(|of| format!("{of}.{}", name.inner())));
                }
                _ => {}
            },
            // `lines.all(line, has(line.note))` vouches for all of them.
            Expr::Comprehension(loops) if truth => {
                if let (Some(list), Expr::Call(step)) = (path(&loops.iter_range), &loops.loop_step.expr)
                    && let (operators::LOGICAL_AND, [_, body]) =
                        (step.func_name.as_str(), step.args.as_slice())
                    && !facts(body, true).is_empty()
                {
                    found.push(items(&list));
                }
            }
            _ => {}
        }
    }
    found
}

/// What stands for all items of a list.
pub(super) fn items(list: &str) -> String {
    format!("{list}[*]")
}

/// The path that an expression is: a name, and the fields taken from it.
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
