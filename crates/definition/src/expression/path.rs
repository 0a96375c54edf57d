//! A name and the fields selected from it, like `reserve.output.id` or `input['order-id']`.

use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, SourceInfo, operators};

#[derive(Debug)]
pub(super) struct Path<'a> {
    pub(super) root: &'a str,
    /// The place of the root.
    pub(super) span: Range<usize>,
    pub(super) fields: Vec<PathField>,
}

#[derive(Debug)]
pub(super) struct PathField {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

impl<'a> Path<'a> {
    /// The path that `expression` is, if it is one.
    pub(super) fn of(expression: &'a IdedExpr, info: &SourceInfo, source: &str) -> Option<Self> {
        let mut names = Vec::new();
        let mut rest = expression;
        let root = loop {
            match &rest.expr {
                Expr::Ident(name) => break name,
                Expr::Select(select) => {
                    names.push(select.field.clone());
                    rest = &select.operand;
                }
                Expr::Call(call) if is_index(&call.func_name) => {
                    let [operand, index] = call.args.as_slice() else { return None };
                    let Expr::Literal(LiteralValue::String(name)) = &index.expr else { return None };
                    names.push(name.inner().to_owned());
                    rest = operand;
                }
                _ => return None,
            }
        };
        let span = place(rest, info, source);
        let mut end = span.end;
        let mut fields = Vec::with_capacity(names.len());
        // A field has no place of its own, but is the next text after its operand.
        for name in names.into_iter().rev() {
            let found = source.get(end..).and_then(|after| after.find(&name));
            let start = found.map_or(end, |at| end + at);
            end = found.map_or(end, |_| start + name.len());
            fields.push(PathField { name, span: start..end });
        }
        Some(Self { root: root.trim_start_matches('.'), span, fields })
    }
}

fn is_index(function: &str) -> bool {
    [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT].contains(&function)
}

/// The place of the token that identifies an expression.
pub(super) fn place(expression: &IdedExpr, info: &SourceInfo, source: &str) -> Range<usize> {
    let Some((start, last)) = info.offset_for(expression.id) else { return 0..source.len() };
    let start = (start as usize).min(source.len());
    let end = (last as usize + 1).clamp(start, source.len());
    if source.get(start..end).is_some() { start..end } else { 0..source.len() }
}
