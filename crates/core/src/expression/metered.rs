//! Expressions that count what they use.
//!
//! CEL's implementation evaluates without a bound: a macro over a list of a macro over a list, a text that is added to itself
//! again and again, a pattern that comes with the data. So a compiled expression is rewritten: calls of counting functions are
//! put around whatever can take long or make large values, and exact operators replace CEL's. The result of an expression stays
//! the same.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, SelectExpr, operators,
};

use super::counting::{BUDGET, matched};
use super::values::parts;
use crate::expression::exact;

/// The number of parts of an expression that are evaluated once, without those within macros.
pub(super) fn steps(expression: &IdedExpr) -> u64 {
    let mut steps = 0;
    let mut todo = vec![expression];
    while let Some(part) = todo.pop() {
        steps += 1;
        match &part.expr {
            Expr::Comprehension(each) => todo.extend([&each.iter_range, &each.accu_init, &each.result]),
            other => todo.extend(parts(other)),
        }
    }
    steps
}

/// Whether an expression has macros, or patterns that are made of data.
pub(super) fn may_take_long(expression: &IdedExpr) -> bool {
    let mut todo = vec![expression];
    while let Some(part) = todo.pop() {
        let takes_long = match &part.expr {
            Expr::Comprehension(_) => true,
            Expr::Call(call) => {
                matched(call).is_some_and(|(_, pattern)| !matches!(pattern.expr, Expr::Literal(_)))
            }
            _ => false,
        };
        if takes_long {
            return true;
        }
        todo.extend(parts(&part.expr));
    }
    false
}

/// Rewrites an expression to one that counts. It must not nest too deep: this recurses.
pub(super) fn metered(expression: &IdedExpr) -> IdedExpr {
    let mut has_optionals = false;
    let mut todo = vec![expression];
    while let Some(part) = todo.pop() {
        has_optionals |= match &part.expr {
            Expr::Call(call) => {
                [operators::OPT_INDEX, operators::OPT_SELECT].contains(&call.func_name.as_str())
            }
            Expr::Ident(name) => name == "optional",
            _ => false,
        };
        todo.extend(parts(&part.expr));
    }
    Rewrite { has_optionals }.part(expression)
}

struct Rewrite {
    /// Whether selecting a field may copy it: it does within an optional.
    has_optionals: bool,
}

impl Rewrite {
    fn part(&self, part: &IdedExpr) -> IdedExpr {
        let expr = match &part.expr {
            Expr::Call(call) => return self.call(part.id, call),
            Expr::Select(select) => {
                let operand = Box::new(self.part(&select.operand));
                let (field, test) = (select.field.clone(), select.test);
                let select = Expr::Select(SelectExpr { operand, field, test });
                if self.has_optionals && !test {
                    return counted("@keep", part.id, vec![IdedExpr { id: part.id, expr: select }]);
                }
                select
            }
            Expr::List(list) => Expr::List(self.list(list, Self::copied)),
            Expr::Map(map) => {
                Expr::Map(MapExpr { entries: map.entries.iter().map(|entry| self.entry(entry)).collect() })
            }
            Expr::Comprehension(each) => Expr::Comprehension(Box::new(self.comprehension(part.id, each))),
            // There are no types to make a value of.
            Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => part.expr.clone(),
        };
        IdedExpr { id: part.id, expr }
    }

    fn list(&self, list: &ListExpr, element: impl Fn(&Self, &IdedExpr) -> IdedExpr) -> ListExpr {
        let elements = list.elements.iter().map(|one| element(self, one)).collect();
        ListExpr { elements, optional_indices: list.optional_indices.clone() }
    }

    fn entry(&self, entry: &IdedEntryExpr) -> IdedEntryExpr {
        let expr = match &entry.expr {
            EntryExpr::MapEntry(entry) => EntryExpr::MapEntry(MapEntryExpr {
                key: self.copied(&entry.key),
                value: self.copied(&entry.value),
                optional: entry.optional,
            }),
            EntryExpr::StructField(_) => entry.expr.clone(),
        };
        IdedEntryExpr { id: entry.id, expr }
    }

    /// A part whose value is copied into a list or an object, unless it is new.
    fn copied(&self, part: &IdedExpr) -> IdedExpr {
        let is_new =
            matches!(part.expr, Expr::Literal(_) | Expr::List(_) | Expr::Map(_) | Expr::Comprehension(_));
        let rewritten = self.part(part);
        if is_new { rewritten } else { counted("@copy", part.id, vec![rewritten]) }
    }

    fn call(&self, id: u64, call: &CallExpr) -> IdedExpr {
        let name = call.func_name.trim_start_matches('.');
        if let Some((text, pattern)) = matched(call) {
            return counted("@matches", id, vec![self.part(text), self.part(pattern)]);
        }
        let args = call.args.iter().map(|argument| self.part(argument));
        if let Some(exact) = exact::replacement(call) {
            return counted(exact, id, args.collect());
        }
        let is_function = name.starts_with(|first: char| first.is_ascii_alphabetic());
        let args: Vec<_> = match name {
            operators::INDEX | operators::OPT_INDEX => {
                args.enumerate().map(|(at, part)| if at == 1 { indexing(part) } else { part }).collect()
            }
            _ if is_function => args.map(reading).collect(),
            _ => args.collect(),
        };
        let target = call.target.as_deref().map(|target| {
            // The name before the point may be that of a namespace.
            let is_name = matches!(&target.expr, Expr::Ident(name) if name == "optional");
            Box::new(if is_name { target.clone() } else { reading(self.part(target)) })
        });
        let rewritten = call_of(&call.func_name, target, args, id);
        match name {
            operators::OPT_INDEX | operators::OPT_SELECT | "of" | "ofNonZeroValue" | "string" | "bytes" => {
                counted("@keep", id, vec![rewritten])
            }
            _ => rewritten,
        }
    }

    fn comprehension(&self, id: u64, each: &ComprehensionExpr) -> ComprehensionExpr {
        let of_each = steps(&each.loop_cond) + steps(&each.loop_step);
        // The macro visits all items, and CEL must still see that the result is gathered in place.
        let appended = self.appended(each);
        let at_once = if appended.is_some() { of_each } else { 0 };
        let list = vec![number(id, 1), number(id, at_once), self.part(&each.iter_range)];
        let loop_cond = if appended.is_some() {
            each.loop_cond.clone()
        } else {
            let turn = counted("@turn", id, vec![number(id, of_each)]);
            let no = IdedExpr { id, expr: Expr::Literal(LiteralValue::Boolean(false.into())) };
            call_of(operators::CONDITIONAL, None, vec![turn, self.part(&each.loop_cond), no], id)
        };
        ComprehensionExpr {
            iter_range: counted("@each", id, list),
            iter_var: each.iter_var.clone(),
            iter_var2: each.iter_var2.clone(),
            accu_var: each.accu_var.clone(),
            accu_init: self.copied(&each.accu_init),
            loop_cond,
            loop_step: appended.unwrap_or_else(|| self.part(&each.loop_step)),
            result: self.part(&each.result),
        }
    }

    /// The step of `map` or `filter`: `result + [item]`, or `condition ? result + [item] : result`. CEL gathers the items in
    /// place of what it would do for any other step, so the form is kept.
    fn appended(&self, each: &ComprehensionExpr) -> Option<IdedExpr> {
        let is_result = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == each.accu_var);
        let append = |part: &IdedExpr| {
            let Expr::Call(call) = &part.expr else { return None };
            match &call.args[..] {
                [result, IdedExpr { id, expr: Expr::List(list) }]
                    if call.func_name == operators::ADD && call.target.is_none() && is_result(result) =>
                {
                    let kept = |own: &Self, item: &IdedExpr| counted("@keep", item.id, vec![own.part(item)]);
                    let list = IdedExpr { id: *id, expr: Expr::List(self.list(list, kept)) };
                    Some(call_of(operators::ADD, None, vec![result.clone(), list], part.id))
                }
                _ => None,
            }
        };
        let is_literal = matches!(each.loop_cond.expr, Expr::Literal(_));
        let starts_empty = matches!(&each.accu_init.expr, Expr::List(list) if list.elements.is_empty());
        if !is_literal || !starts_empty || !is_result(&each.result) {
            return None;
        }
        match &each.loop_step.expr {
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => match &call.args[..] {
                [condition, step, otherwise] if is_result(otherwise) => {
                    let args = vec![self.part(condition), append(step)?, otherwise.clone()];
                    Some(call_of(operators::CONDITIONAL, None, args, each.loop_step.id))
                }
                _ => None,
            },
            _ => append(&each.loop_step),
        }
    }
}

fn reading(part: IdedExpr) -> IdedExpr {
    if matches!(part.expr, Expr::Literal(_)) { part } else { counted("@read", part.id, vec![part]) }
}

fn indexing(part: IdedExpr) -> IdedExpr {
    let is_whole = matches!(part.expr, Expr::Literal(LiteralValue::Int(_) | LiteralValue::String(_)));
    if is_whole { part } else { counted("@index", part.id, vec![part]) }
}

fn number(id: u64, number: u64) -> IdedExpr {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(number.into())) }
}

/// A call of a function whose first argument is the budget.
fn counted(function: &str, id: u64, args: Vec<IdedExpr>) -> IdedExpr {
    let budget = IdedExpr { id, expr: Expr::Ident(BUDGET.to_owned()) };
    call_of(function, None, std::iter::once(budget).chain(args).collect(), id)
}

fn call_of(function: &str, target: Option<Box<IdedExpr>>, args: Vec<IdedExpr>, id: u64) -> IdedExpr {
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target, args }) }
}
