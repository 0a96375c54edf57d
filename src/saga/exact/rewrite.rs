//! Putting exact functions in the place of an expression's operators, and finding literals that are not exact.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};

use super::REPLACED;
use crate::json;

/// Nesting of an expression beyond which nothing is replaced: no definition has such an expression.
const MAX_DEPTH: usize = 400;

/// The expression with exact operators. `None`: it has nothing to replace.
pub(in crate::saga) fn exact(expression: &IdedExpr) -> Option<IdedExpr> {
    let mut depth_and_count = (0, 0);
    let mut todo = vec![(expression, 1)];
    while let Some((part, depth)) = todo.pop() {
        depth_and_count.0 = depth.max(depth_and_count.0);
        if matches!(&part.expr, Expr::Call(call) if replacement(call).is_some()) {
            depth_and_count.1 += 1;
        }
        todo.extend(parts(&part.expr).into_iter().map(|part| (part, depth + 1)));
    }
    let (depth, count) = depth_and_count;
    // Copying recurses.
    if count == 0 || depth > MAX_DEPTH {
        return None;
    }
    let mut copy = expression.clone();
    let mut todo = vec![&mut copy];
    while let Some(part) = todo.pop() {
        if let Expr::Call(call) = &mut part.expr
            && let Some(name) = replacement(call)
        {
            name.clone_into(&mut call.func_name);
        }
        todo.extend(parts_mut(&mut part.expr));
    }
    Some(copy)
}

/// What takes the place of a call.
fn replacement(call: &CallExpr) -> Option<&'static str> {
    let is_list = |argument: &IdedExpr| matches!(argument.expr, Expr::List(_));
    let name = call.func_name.trim_start_matches('.');
    // The macros gather their results by adding to lists.
    if call.target.is_some() || (name == operators::ADD && call.args.iter().any(is_list)) {
        return None;
    }
    let found = REPLACED.iter().find(|(known, arity, ..)| *known == name && *arity == call.args.len());
    found.map(|(_, _, replacement, _)| *replacement)
}

fn parts(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(literal) => literal.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn entry_parts_mut(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&mut field.value],
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
    }
}

fn parts_mut(expression: &mut Expr) -> Vec<&mut IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| entry_parts_mut(&mut entry.expr)).collect(),
        Expr::Struct(literal) => {
            literal.entries.iter_mut().flat_map(|entry| entry_parts_mut(&mut entry.expr)).collect()
        }
        Expr::Comprehension(each) => {
            let each = each.as_mut();
            vec![
                &mut each.iter_range,
                &mut each.accu_init,
                &mut each.loop_cond,
                &mut each.loop_step,
                &mut each.result,
            ]
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

/// The first decimal literal of a source that a double does not hold exactly.
pub(in crate::saga) fn inexact_literal(source: &str) -> Option<&str> {
    let bytes = source.as_bytes();
    let length = |start: usize, is_in: &dyn Fn(usize, u8) -> bool| {
        bytes[start..].iter().enumerate().take_while(|&(index, &byte)| is_in(start + index, byte)).count()
    };
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                let rest = bytes[at + 1..].iter().enumerate();
                let mut rest = rest.filter(|&(index, &end)| end == byte && bytes[at + index] != b'\\');
                at += rest.next().map_or(bytes.len(), |(index, _)| index + 2);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                at += length(at, &|_, byte| byte.is_ascii_alphanumeric() || byte == b'_');
            }
            b'0'..=b'9' => {
                let end = at
                    + length(at, &|at, byte| match byte {
                        b'+' | b'-' => matches!(bytes[at - 1], b'e' | b'E'),
                        byte => byte.is_ascii_alphanumeric() || byte == b'.',
                    });
                let token = &source[at..end];
                let is_decimal =
                    token.contains('.') || (!token.starts_with("0x") && token.contains(['e', 'E']));
                if is_decimal && token.parse::<f64>().is_ok() && !json::is_exact_double(token) {
                    return Some(token);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_exact() {
        for source in
            ["0.5 < a1 && b_2.c3 > 1e3", "'0.1000000000000000055' != \"\\\"90071992547409931.25\"", "0x1e5"]
        {
            assert_eq!(inexact_literal(source), None, "{source}");
        }
        let inexact = inexact_literal("input.amount>90071992547409931.25 || true");
        assert_eq!(inexact, Some("90071992547409931.25"));
        assert_eq!(inexact_literal("'a' == 'b' ? 1e-400 : 1.0"), Some("1e-400"));
    }
}
