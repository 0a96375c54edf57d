//! Finds expressions whose cost grows faster than their input: they work in tests, and exceed the budget of an evaluation once
//! the lists are long.

use cel::Program;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};

use super::super::code;
use super::super::diagnostic::Diagnostic;
use super::path;
use snorri_core::expression::{MAX_STEPS, parts};

/// Successive macros from which on doubling is reported.
const DOUBLINGS: usize = 3;

/// Warns of growing costs in an expression whose names are valid.
pub(in super::super) fn check(source: &str, program: &Program) -> Vec<Diagnostic> {
    let mut growth = Growth { source, program, found: Vec::new() };
    let mut todo = vec![(program.expression(), Vec::new())];
    while let Some((part, bound)) = todo.pop() {
        growth.visit(part, &bound);
        match &part.expr {
            Expr::Comprehension(each) => {
                let mut inner = bound.clone();
                inner.push(each.iter_var.as_str());
                todo.extend([&each.iter_range, &each.accu_init].map(|part| (part, bound.clone())));
                todo.extend(
                    [&each.loop_cond, &each.loop_step, &each.result].map(|part| (part, inner.clone())),
                );
            }
            other => todo.extend(parts(other).into_iter().map(|part| (part, bound.clone()))),
        }
    }
    growth.found
}

struct Growth<'a> {
    source: &'a str,
    program: &'a Program,
    found: Vec<Diagnostic>,
}

impl<'a> Growth<'a> {
    /// `bound` are the names of the macros around a part.
    fn visit(&mut self, part: &'a IdedExpr, bound: &[&str]) {
        match &part.expr {
            Expr::Comprehension(each) => {
                let is_written_out = matches!(each.iter_range.expr, Expr::List(_));
                if !bound.is_empty()
                    && !is_written_out
                    && !mentions(&each.iter_range, |name| bound.contains(&name))
                {
                    let message = "the time that this takes is the product of the lengths of two lists";
                    let help = format!(
                        "an evaluation has at most {MAX_STEPS} steps, which two lists of about 130 items use up: let a participant \
                         join them, or have one list in the other's items"
                    );
                    self.warn(&each.iter_range, message, "gone through for each item of another list", help);
                }
                if doublings(part) == DOUBLINGS {
                    let message = "the size of the value doubles with each of these macros";
                    let help =
                        "let a participant make what is large: an evaluation makes at most 8 MiB".to_owned();
                    self.warn(part, message, "doubles what it goes through", help);
                }
            }
            Expr::Call(call) => {
                if let Some(pattern) = pattern_of(call)
                    && mentions(pattern, |_| true)
                {
                    let message = "the pattern of `matches` is not written here, but made of data";
                    let help = "the sender of the data decides how long matching takes, and an invalid pattern fails the step: write \
                                the pattern here, or compare with `==`, `contains` or `startsWith`";
                    self.warn(pattern, message, "may be any pattern", help.to_owned());
                }
            }
            _ => {}
        }
    }

    fn warn(&mut self, at: &IdedExpr, message: &str, label: &str, help: String) {
        let place = path::place(at, self.program.source_info(), self.source);
        self.found.push(Diagnostic::new(code::GROWS, place, message).label(label).help(help).warning());
    }
}

/// Whether an expression has a name for which `is_wanted` is true.
fn mentions(expression: &IdedExpr, is_wanted: impl Fn(&str) -> bool) -> bool {
    let mut todo = vec![expression];
    while let Some(part) = todo.pop() {
        if matches!(&part.expr, Expr::Ident(name) if is_wanted(name)) {
            return true;
        }
        todo.extend(parts(&part.expr));
    }
    false
}

fn pattern_of(call: &CallExpr) -> Option<&IdedExpr> {
    let operands = call.target.iter().count() + call.args.len();
    (call.func_name.trim_start_matches('.') == "matches" && operands == 2).then(|| call.args.last())?
}

/// The number of successive macros, each over the result of the one before, that have their item twice in their result.
fn doublings(mut part: &IdedExpr) -> usize {
    let mut doublings = 0;
    while let Expr::Comprehension(each) = &part.expr {
        if !has_twice(&each.loop_step, &each.iter_var) {
            break;
        }
        doublings += 1;
        part = &each.iter_range;
    }
    doublings
}

/// Whether a name is added to itself, or stands in a list or an object twice.
fn has_twice(expression: &IdedExpr, name: &str) -> bool {
    let is_it = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(own) if own == name);
    let mut todo = vec![expression];
    while let Some(part) = todo.pop() {
        let times = match &part.expr {
            Expr::Call(call) if call.func_name == operators::ADD => {
                call.args.iter().filter(|part| is_it(part)).count()
            }
            Expr::List(list) => list.elements.iter().filter(|part| is_it(part)).count(),
            Expr::Map(map) => {
                let values = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some(&entry.value),
                    EntryExpr::StructField(_) => None,
                });
                values.filter(|part| is_it(part)).count()
            }
            _ => 0,
        };
        if times > 1 {
            return true;
        }
        todo.extend(parts(&part.expr));
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use snorri_core::expression::{Expression, environment};

    fn found(source: &str) -> usize {
        let expression = Expression::compile(&Arc::new(environment()), source).expect(source);
        check(source, expression.program()).len()
    }

    #[test]
    fn growth_is_reported() {
        for source in [
            "input.a.filter(x, input.b.exists(y, y.id == x.id))",
            "input.a.map(x, {'a': x, 'b': input.b.filter(y, y.of == x.id).size()})",
            "input.a.all(x, input.b.map(y, y + 1) == [x])",
            "input.text.matches(input.pattern)",
            "matches(input.text, '^' + input.pattern)",
            "input.a.filter(x, x.id.matches(reserve.output.pattern))",
            "[input.a].map(x, x + x).map(x, x + x).map(x, x + x)",
            "[1].map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x])",
            "[1].map(x, {'a': x, 'b': x}).map(x, [x, x]).map(x, x + x)",
        ] {
            assert_eq!(found(source), 1, "{source}");
        }
    }

    #[test]
    fn what_does_not_grow_is_not() {
        for source in [
            "input.orders.map(order, order.lines.filter(line, line.count > 0))",
            "input.orders.map(order, order.lines.map(line, line.count + order.count))",
            "input.a.filter(x, ['new', 'open'].exists(y, y == x.status))",
            "input.a.map(x, x.price + x.price).filter(y, y > 1)",
            "input.a.filter(x, x > 1).map(x, x + x).all(x, x > 2)",
            "input.text.matches('^[a-z]+' + '$') && input.a.all(x, x.matches('a'))",
            "input.a.exists(x, x == 1) && input.b.exists(y, y == 1)",
        ] {
            assert_eq!(found(source), 0, "{source}");
        }
    }
}
