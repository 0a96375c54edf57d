//! The types of calls: of functions, and of the macros that go through lists.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, operators};

use super::super::function;
use super::guard::{self, facts};
use super::infer::Typing;
use super::kind::Kinds;
use super::value::{Type, Typed};
use super::{operators as table, report};

impl<'a> Typing<'a> {
    pub(super) fn function(&mut self, whole: &'a IdedExpr, call: &'a CallExpr) -> Type {
        let name = function::name(&call.func_name).unwrap_or_default();
        let target = call.target.as_deref();
        let namespace = target.and_then(|target| match &target.expr {
            Expr::Ident(namespace) if !self.is_bound(namespace) => Some(namespace.as_str()),
            _ => None,
        });
        let is_qualified = namespace.is_some_and(|namespace| function::is_qualified(namespace, name));
        let target = target.filter(|_| !is_qualified);
        let arguments: Vec<_> =
            target.into_iter().chain(&call.args).map(|argument| self.typed(argument)).collect();
        if is_qualified {
            return Type::of(Kinds::OPTIONAL);
        }
        // These take null as well.
        if !["type", "dyn", "hasValue"].contains(&name) {
            arguments.iter().for_each(|argument| self.needs(argument, argument.expression));
        }
        let Some(known) = table::known(name) else {
            return Type::of(if name == "hasValue" { Kinds::BOOL } else { Kinds::ANY });
        };
        let most = known.takes.len();
        if arguments.len() > most || arguments.len() + known.optional < most {
            let hidden = usize::from(target.is_some());
            self.found.push(report::count(&self.text, whole, name, most - hidden, arguments.len() - hidden));
            return Type::of(known.gives);
        }
        let wrong =
            |(argument, takes): &(&Typed<'a>, &Kinds)| !argument.of.kinds.may_be(**takes | Kinds::OPTIONAL);
        if let Some((argument, takes)) = arguments.iter().zip(known.takes).find(wrong) {
            let help = report::as_argument(&self.text, name, &arguments, argument);
            let takes = takes.to_string();
            self.found.push(report::argument(&self.text, &format!("`{name}`"), &takes, argument, help));
        }
        Type::of(known.gives)
    }

    pub(super) fn comprehension(&mut self, whole: &'a IdedExpr, loops: &'a ComprehensionExpr) -> Type {
        let name = self.text.name_before(whole);
        let range = self.typed(&loops.iter_range);
        if !range.of.kinds.may_be(Kinds::any_of(&[Kinds::LIST, Kinds::OBJECT, Kinds::OPTIONAL])) {
            let place = format!("`{name}`");
            self.found.push(report::argument(&self.text, &place, "a list or an object", &range, None));
        }
        self.needs(&range, range.expression);
        let items = range.of.items();
        let path = guard::path(&loops.iter_range);
        let is_vouched = path.is_some_and(|path| self.present.contains(&guard::items(&path)));
        let item = if is_vouched { items.vouched() } else { items };
        let before = self.bound.len();
        self.bound.push((&loops.iter_var, item));
        self.bound.extend(loops.iter_var2.as_deref().map(|name| (name, Type::unknown())));
        let of = self.loop_step(name, loops);
        self.bound.truncate(before);
        of
    }

    /// The type of an expanded macro: `@result || body`, `@result + [item]`, or that behind a condition.
    fn loop_step(&mut self, name: &str, loops: &'a ComprehensionExpr) -> Type {
        let Expr::Call(step) = &loops.loop_step.expr else { return Type::unknown() };
        let of = format!("the condition of `{name}`");
        match (step.func_name.as_str(), step.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, body]) => {
                self.condition(body, &of);
                Type::of(Kinds::BOOL)
            }
            (operators::ADD, [_, appended]) => self.infer(appended),
            (operators::CONDITIONAL, [condition, then, _]) => {
                self.condition(condition, &of);
                let Expr::Call(then) = &then.expr else { return Type::unknown() };
                let Some(appended @ IdedExpr { expr: Expr::List(_), .. }) = then.args.get(1) else {
                    // `exists_one` counts, and compares at the end.
                    return Type::of(Kinds::BOOL);
                };
                // A filter is assumed to have checked the fields of the items.
                self.typed_behind(facts(&self.text, condition, true), appended).of.vouched()
            }
            _ => Type::unknown(),
        }
    }
}
