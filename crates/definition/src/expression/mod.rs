//! Checks expressions: the names that they may use in their place, and their types.
//!
//! An expression sees `input`, `saga`, and the steps that are guaranteed to have run when it is evaluated. Names that a
//! macro binds (`lines.map(line, line.sku)`) are local to it. Diagnostics have their place in bytes of the expression.

mod function;
mod growth;
mod path;
mod reads;
pub(super) mod reserved;
mod scope;
mod sight;
mod syntax;
mod types;

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::{Env, Program};

use super::code;
use super::diagnostic::Diagnostic;
use path::Path;
use snorri_core::expression::Expression;
use snorri_core::expression::template::Template;

pub(super) use growth::check as check_growth;
pub(super) use reads::reads;
pub(super) use scope::{Hop, ListOf, Named, Names, Scope};
pub(super) use types::{Known, Wanted, Why, check as check_types};

/// Deepest nesting of an expression's parts. Evaluating recurses, and two thousand `+` in a row, which fit the longest
/// source, overflow the stack of a thread.
const MAX_DEPTH: usize = 200;

/// The diagnostic for a `source` that is not CEL.
pub(super) fn explain(env: &Env, source: &str, message: String) -> Diagnostic {
    syntax::explain(env, source, message)
}

/// Checks the names, fields and functions of a compiled expression.
pub(super) fn check(source: &str, program: &Program, scope: Scope, names: &Names) -> Vec<Diagnostic> {
    let mut check =
        Check { source, program, scope, names, bound: Vec::new(), todo: Vec::new(), found: Vec::new() };
    check.todo.push((program.expression(), Around { bound: None, depth: 0, macros: 0 }));
    // A work list instead of recursion: a chain of a thousand operators nests a thousand deep.
    while let Some((expression, around)) = check.todo.pop() {
        if around.depth > MAX_DEPTH {
            return vec![
                Diagnostic::new(code::TOO_DEEP, 0..source.len(), "an expression nests too deep")
                    .label("each operator and each call nests")
                    .help(format!("at most {MAX_DEPTH} of them can be chained")),
            ];
        }
        check.visit(expression, around);
    }
    check.found
}

/// Records the facts of an expression under a key of a step, for other expressions. `None` if it is invalid.
pub(super) fn learn(key: &str, expression: Option<&Expression>, scope: Scope, names: &mut Names) {
    let Some(own) = scope.step_of() else { return };
    match key {
        "when" => {
            let facts = expression.map(|expression| types::facts(expression.source(), expression.program()));
            names.steps[own].conditions.push(facts.unwrap_or_default());
        }
        "for_each" => {
            let list = expression
                .map(|expression| types::of_program(expression.source(), expression.program(), scope, names));
            names.steps[own].items = list.map(|list| list.items());
        }
        _ => {}
    }
}

/// Records the type of the output of a `for_each`: a list of its `output`, or of the outputs of its steps.
pub(super) fn learn_output(each: usize, output: Option<&Template>, names: &mut Names) {
    let scope = Scope::item(each);
    let of_item = match output {
        Some(output) => types::of_template(output, scope, names),
        None => types::Type::object(names.steps_of(each).map(|step| {
            let name = &names.steps[step].name;
            (name.clone(), types::of_output(name, scope, names))
        })),
    };
    names.steps[each].output = Some(types::Type::list(of_item));
}

/// Most macros over lists within each other: each multiplies the time that evaluating takes.
const MAX_MACRO_DEPTH: usize = 2;

/// The surroundings of a part of an expression.
#[derive(Clone, Copy)]
struct Around {
    bound: Bound,
    /// The number of parts around it.
    depth: usize,
    /// The number of macros around it.
    macros: usize,
}

/// The innermost of the names bound around an expression: an index into [`Check::bound`].
type Bound = Option<usize>;

struct Check<'a> {
    source: &'a str,
    program: &'a Program,
    scope: Scope,
    names: &'a Names,
    /// Names that macros bind, each with the next outer one.
    bound: Vec<(&'a str, Bound)>,
    todo: Vec<(&'a IdedExpr, Around)>,
    found: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn visit(&mut self, expression: &'a IdedExpr, around: Around) {
        let Around { bound, depth, macros } = around;
        let within = Around { depth: depth + 1, ..around };
        if let Some(path) = Path::of(expression, self.program.source_info(), self.source)
            && path.fields.len() <= MAX_DEPTH
        {
            if !self.is_bound(path.root, bound) {
                self.found.extend(self.path(&path));
            }
            return;
        }
        match &expression.expr {
            Expr::Call(call) => self.call(expression, call, within),
            Expr::Select(select) => self.todo.push((&select.operand, within)),
            Expr::List(list) => self.todo.extend(list.elements.iter().map(|element| (element, within))),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(entry, within)),
            Expr::Struct(literal) => {
                let at = self.place(expression);
                let message = format!("there is no type `{}`", literal.type_name);
                self.found.push(
                    Diagnostic::new(code::UNKNOWN_NAME, at, message)
                        .label("not a type")
                        .help("write an object like `{'sku': input.sku}`"),
                );
                literal.entries.iter().for_each(|entry| self.entry(entry, within));
            }
            Expr::Comprehension(_) if macros == MAX_MACRO_DEPTH => {
                let message = "macros over lists within each other take too long";
                self.found.push(
                    Diagnostic::new(code::TOO_DEEP, 0..self.source.len(), message)
                        .label("this nests too deep")
                        .help(format!("at most {MAX_MACRO_DEPTH} of `map`, `filter`, `all`, `exists` may be within each other")),
                );
            }
            Expr::Comprehension(loops) => {
                self.todo.extend([(&loops.iter_range, within), (&loops.accu_init, within)]);
                let mut inner = bound;
                let names = [Some(&loops.iter_var), loops.iter_var2.as_ref(), Some(&loops.accu_var)];
                for name in names.into_iter().flatten() {
                    self.bound.push((name, inner));
                    inner = Some(self.bound.len() - 1);
                }
                let parts = [&loops.loop_cond, &loops.loop_step, &loops.result];
                self.todo
                    .extend(parts.map(|part| (part, Around { bound: inner, macros: macros + 1, ..within })));
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }

    fn entry(&mut self, entry: &'a IdedEntryExpr, around: Around) {
        match &entry.expr {
            EntryExpr::StructField(field) => self.todo.push((&field.value, around)),
            EntryExpr::MapEntry(entry) => self.todo.extend([(&entry.key, around), (&entry.value, around)]),
        }
    }

    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr, around: Around) {
        self.todo.extend(call.target.as_deref().map(|target| (target, around)));
        let arguments = call.args.iter().map(|argument| (argument, around));
        let Some(name) = function::name(&call.func_name) else {
            self.todo.extend(arguments);
            return;
        };
        let namespace = call.target.as_deref().and_then(|target| match &target.expr {
            Expr::Ident(namespace) if !self.is_bound(namespace, around.bound) => Some(namespace.as_str()),
            _ => None,
        });
        if namespace.is_some_and(|namespace| function::is_qualified(namespace, name)) {
            self.todo.extend(arguments);
            return;
        }
        // The arguments of a macro that was not expanded may be names that it would have bound.
        if !function::is_macro(name) {
            self.todo.extend(arguments);
        }
        if let Some((message, help)) = function::check(name, call) {
            // The call's own place is its parenthesis; the name stands right before it.
            let end = self.place(expression).start.min(self.source.len());
            let start = self.source.get(..end).and_then(|before| before.rfind(name)).unwrap_or(end);
            let span = start..(start + name.len()).min(self.source.len());
            self.found.push(
                Diagnostic::new(code::UNKNOWN_FUNCTION, span, message)
                    .label("cannot be called like this")
                    .maybe_help(help),
            );
        }
    }

    fn is_bound(&self, name: &str, mut bound: Bound) -> bool {
        while let Some((inner, outer)) = bound.and_then(|index| self.bound.get(index)) {
            if *inner == name {
                return true;
            }
            bound = *outer;
        }
        false
    }

    fn place(&self, expression: &IdedExpr) -> Range<usize> {
        path::place(expression, self.program.source_info(), self.source)
    }

    fn path(&self, path: &Path<'_>) -> Option<Diagnostic> {
        sight::check(path, self.scope, self.names)
    }
}
