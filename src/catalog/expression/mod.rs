//! What an expression may reach for, at the place where it stands.
//!
//! An expression sees `input`, `saga`, and the steps that are guaranteed to have run when it is evaluated. All of
//! it is looked at: names that a macro binds (`lines.map(line, line.sku)`) are its own. What is found has its place
//! in bytes of the expression.

mod function;
mod path;
mod syntax;

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::{Env, Program};

use super::code;
use super::diagnostic::Diagnostic;
use super::schema::{self, Lookup};
use super::suggest;
use path::{Field, Path};

/// The names that mean something in an expression already, so that no step can have them.
pub(super) const RESERVED: [&str; 39] = [
    "input",
    "saga",
    "item", // ours
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while", // CEL's words
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
    "optional",
    "optional_type", // CEL's types
];
/// How many of them, at the end, are types: an expression may name those.
const TYPES: usize = 15;

/// Deepest nesting of an expression's parts. Evaluating recurses, and two thousand `+` in a row, which fit the longest
/// source, overflow the stack of a thread.
const MAX_DEPTH: usize = 200;

/// Where an expression stands. Steps are meant by their index, in the order written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The saga's `key`, made before there is a saga.
    Key,
    Payload(usize),
    Compensation(usize),
    /// The saga's `output`.
    Output,
}

/// What there is to be named in a definition.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// The names of all steps, in the order written.
    pub(super) steps: Vec<&'a str>,
    pub(super) schema: Option<serde_json::Value>,
}

/// Why `source` is not CEL.
pub(super) fn explain(env: &Env, source: &str, message: String) -> Diagnostic {
    syntax::explain(env, source, message)
}

/// All that a compiled expression names and cannot have.
pub(super) fn check(source: &str, program: &Program, scope: Scope, names: &Names<'_>) -> Vec<Diagnostic> {
    let mut check =
        Check { source, program, scope, names, bound: Vec::new(), todo: Vec::new(), found: Vec::new() };
    check.todo.push((program.expression(), Around { bound: None, depth: 0, macros: 0 }));
    // A list of what is left instead of recursion: a chain of a thousand operators nests a thousand deep.
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

/// Most macros over lists within each other: each multiplies the time that evaluating takes.
const MAX_MACRO_DEPTH: usize = 2;

/// What is around a part of an expression.
#[derive(Clone, Copy)]
struct Around {
    bound: Bound,
    /// How many parts it is within.
    depth: usize,
    /// How many macros it is within.
    macros: usize,
}

/// The innermost of the names bound around an expression: an index into [`Check::bound`].
type Bound = Option<usize>;

struct Check<'a> {
    source: &'a str,
    program: &'a Program,
    scope: Scope,
    names: &'a Names<'a>,
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
        match path.root {
            "input" => self.input(path),
            "saga" if self.scope != Scope::Key => fields_of("saga", &["id", "key"], path.fields.first()?),
            name if RESERVED[RESERVED.len() - TYPES..].contains(&name) => None,
            name => match self.names.steps.iter().position(|step| *step == name) {
                Some(step) if step < self.visible() => fields_of(name, &["output"], path.fields.first()?),
                Some(step) => Some(self.not_run_yet(name, step, path)),
                None => Some(self.unknown(name, path)),
            },
        }
    }

    /// How many steps, from the first, are guaranteed to have run.
    fn visible(&self) -> usize {
        match self.scope {
            Scope::Key => 0,
            Scope::Payload(step) => step,
            Scope::Compensation(step) => step + 1,
            Scope::Output => self.names.steps.len(),
        }
    }

    /// What can be named here.
    fn nameable(&self) -> impl Iterator<Item = &'a str> {
        let saga = (self.scope != Scope::Key).then_some("saga");
        let steps = self.names.steps.iter().take(self.visible()).copied().filter(|step| !step.is_empty());
        std::iter::once("input").chain(saga).chain(steps)
    }

    fn nameable_help(&self) -> String {
        format!("what can be used here: {}", suggest::all_of(self.nameable()))
    }

    fn input(&self, path: &Path<'_>) -> Option<Diagnostic> {
        let mut schema = self.names.schema.as_ref()?;
        let mut owner = "the input".to_owned();
        for Field { name, span } in &path.fields {
            match schema::lookup(schema, name) {
                Lookup::Known(next) => schema = next,
                Lookup::Open => return None,
                Lookup::Impossible(known) => {
                    let message = format!("{owner} cannot have `{name}`");
                    return Some(
                        Diagnostic::new(code::UNKNOWN_FIELD, span.clone(), message)
                            .label("not in the `input` schema")
                            .maybe_help(suggest::did_you_mean(name, known)),
                    );
                }
            }
            owner = format!("`{name}`");
        }
        None
    }

    fn not_run_yet(&self, name: &str, step: usize, path: &Path<'_>) -> Diagnostic {
        let (message, label) = match self.scope {
            Scope::Key => {
                (format!("`key` cannot use `{name}`"), "no step has run when the key is made".to_owned())
            }
            Scope::Payload(here) if here == step => {
                (format!("`{name}` cannot use its own output"), "not there before it has run".to_owned())
            }
            _ => {
                let here = match self.scope {
                    Scope::Payload(here) | Scope::Compensation(here) => self.names.steps.get(here),
                    _ => None,
                };
                let here = here.copied().filter(|here| !here.is_empty()).unwrap_or("this step");
                (format!("`{name}` may not have run yet"), format!("`{name}` comes after `{here}`"))
            }
        };
        let help = self.nameable_help();
        Diagnostic::new(code::NOT_RUN_YET, path.span.clone(), message).label(label).help(help)
    }

    fn unknown(&self, name: &str, path: &Path<'_>) -> Diagnostic {
        let diagnostic = |message| Diagnostic::new(code::UNKNOWN_NAME, path.span.clone(), message);
        if name == "saga" {
            return diagnostic("`key` cannot use `saga`".into())
                .label("there is no saga yet when the key is made")
                .help("a key is made from the input alone");
        }
        let near = suggest::nearest(name, self.nameable());
        diagnostic(format!("there is no `{name}` here"))
            .label("stands for nothing")
            .help(near.map_or_else(|| self.nameable_help(), |near| format!("did you mean `{near}`?")))
    }
}

/// Whether `owner`, whose fields are known, has `field`.
fn fields_of(owner: &str, known: &[&str], field: &Field) -> Option<Diagnostic> {
    let name = &field.name;
    if known.contains(&name.as_str()) {
        return None;
    }
    let help = match known {
        ["output"] => format!("write `{owner}.output.{name}`"),
        _ => format!("it has {}", suggest::all_of(known.iter().copied())),
    };
    Some(
        Diagnostic::new(code::UNKNOWN_FIELD, field.span.clone(), format!("`{owner}` has no `{name}`"))
            .label("no such field")
            .help(help),
    )
}
