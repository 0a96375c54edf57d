//! The paths that an expression reads, for comparisons between expressions.

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr};

use super::path::Path;
use snorri_core::expression::Expression;

/// The paths that an expression reads, like `input.order.id`: the name first. Without names that a macro binds.
/// The expression must have passed [`check`](super::check), which bounds its nesting.
pub(in super::super) fn reads(expression: &Expression) -> Vec<Vec<String>> {
    let mut reads = Reads { expression, bound: Vec::new(), paths: Vec::new() };
    reads.visit(expression.program().expression());
    let Reads { bound, mut paths, .. } = reads;
    paths.retain(|path| !bound.contains(&path[0]));
    paths
}

struct Reads<'a> {
    expression: &'a Expression,
    bound: Vec<String>,
    paths: Vec<Vec<String>>,
}

impl Reads<'_> {
    fn visit(&mut self, part: &IdedExpr) {
        let info = self.expression.program().source_info();
        if let Some(path) = Path::of(part, info, self.expression.source()) {
            let fields = path.fields.into_iter().map(|field| field.name);
            self.paths.push(std::iter::once(path.root.to_owned()).chain(fields).collect());
            return;
        }
        match &part.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.visit(target));
                call.args.iter().for_each(|argument| self.visit(argument));
            }
            Expr::Select(select) => self.visit(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Struct(literal) => literal.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Comprehension(loops) => {
                self.bound.extend([&loops.iter_var, &loops.accu_var].map(Clone::clone));
                self.bound.extend(loops.iter_var2.clone());
                let parts = [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step];
                parts.into_iter().chain([&loops.result]).for_each(|part| self.visit(part));
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }

    fn entry(&mut self, entry: &IdedEntryExpr) {
        match &entry.expr {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }
}
