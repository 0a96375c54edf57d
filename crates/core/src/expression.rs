//! CEL between `${ }`.
//!
//! An expression is total, does no IO, and is bounded: its source by [`MAX_SOURCE_BYTES`], its nesting when its definition is
//! checked, the lists that it computes with by [`MAX_LIST_ITEMS`], and its evaluation by a budget of [`MAX_STEPS`] and
//! [`MAX_BYTES`]. It is compiled once, when its definition is loaded.
//!
//! Two rules are Snorri's own. The output of a step without an output (it was skipped, or is optional and did not succeed) is
//! null: reading a field of it is an error, except in the step's own compensation, where the whole expression is null instead,
//! because there the outcome may be unknown. A path into an output that the participant sent as null is null, too. `has(a.b)`
//! is false where `a` is null, so that one `has` checks both.

pub(super) mod budget;
pub(super) mod counting;
mod exact;
mod metered;
pub mod pattern;
pub mod template;
#[cfg(test)]
mod tests;
pub(super) mod values;
pub mod variables;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, Env, Program};
use serde_json::Value;

pub use budget::{Budget, MAX_BYTES, MAX_STEPS};
use counting::{Meter, Patterns};
use values::Reads;
pub use values::parts;

/// Longest source of one expression.
pub const MAX_SOURCE_BYTES: usize = 4 * 1024;
/// Longest list that an expression computes with. A list that it only names may be longer.
pub const MAX_LIST_ITEMS: usize = 1_000;
/// Deepest nesting of an expression that is evaluated, because evaluation recurses. The check of a definition allows less.
const MAX_DEPTH: usize = 400;
/// Longest message of an error. CEL's messages repeat the values.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// The variables that an expression sees.
pub trait Scope {
    fn variable(&self, name: &str) -> Option<Variable<'_>>;
}

#[derive(Debug, Clone, Copy)]
pub enum Variable<'a> {
    Json(&'a Value),
    /// A step: an object whose only field is `output`.
    Step {
        output: Option<&'a Value>,
    },
    /// As `Step`, for the step that the expression compensates: if it has no output, a path into it is null.
    Compensated {
        output: Option<&'a Value>,
    },
    /// The saga's own `id` and business `key`.
    Saga {
        id: &'a str,
        key: Option<&'a str>,
    },
}

/// A compiled CEL expression.
pub struct Expression {
    source: String,
    program: Program,
    metered: Box<Metered>,
    env: Arc<Env>,
    references: Vec<String>,
    /// The names in `a.b.c`, by far the most common kind of expression.
    path: Option<Vec<String>>,
}

/// The expression that is evaluated instead of CEL's program, and its least cost.
struct Metered {
    /// `None`: it nests too deep.
    root: Option<IdedExpr>,
    /// The least number of steps that it takes.
    steps: u64,
    reads: BTreeMap<String, Reads>,
    patterns: Arc<Patterns>,
    may_take_long: bool,
}

impl Metered {
    fn of(root: &IdedExpr) -> Self {
        let rewrite = || metered::metered(&null_has_nothing(root.clone()));
        Self {
            root: (depth(root) <= MAX_DEPTH).then(rewrite),
            steps: metered::steps(root),
            reads: Reads::of(root),
            patterns: Arc::new(Patterns::of(root)),
            may_take_long: metered::may_take_long(root),
        }
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {message}")]
pub struct EvaluationError {
    pub expression: String,
    pub message: String,
}

/// The environment in which expressions are compiled and evaluated: CEL's standard library, with exact numbers.
pub fn environment() -> Env {
    let mut env = Env::stdlib();
    exact::extend(&mut env);
    counting::extend(&mut env);
    env
}

/// Expressions with the same source are equal.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Expression {
    /// `env` is an [`environment`].
    pub fn compile(env: &Arc<Env>, source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(format!("longer than {MAX_SOURCE_BYTES} bytes"));
        }
        if let Some(literal) = exact::inexact_literal(source) {
            return Err(format!("a double cannot hold `{literal}` exactly: write it with fewer digits"));
        }
        let program = env.compile(source).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(|| errors.to_string(), |error| error.msg.clone())
        })?;
        let mut references: Vec<_> =
            program.references().variables().into_iter().map(str::to_owned).collect();
        references.sort_unstable();
        let path = path_of(&program.expression().expr);
        let metered = Box::new(Metered::of(program.expression()));
        Ok(Self { source: source.to_owned(), program, metered, env: Arc::clone(env), references, path })
    }

    /// The variables that the expression names.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether evaluation may take long: the expression has macros, or patterns that are made of data.
    pub fn may_take_long(&self) -> bool {
        self.metered.may_take_long
    }

    /// The compiled program, for checks of what it refers to.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Evaluates the expression with a budget of its own.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        match self.follow(scope) {
            Some(value) => Ok(value.clone()),
            None => self.compute(scope, &Arc::default()),
        }
    }

    /// Evaluates the expression within a shared budget.
    pub(super) fn evaluate_within(
        &self,
        scope: &dyn Scope,
        budget: &Arc<Budget>,
    ) -> Result<Value, EvaluationError> {
        match self.follow(scope) {
            Some(value) => {
                budget.make(values::json_size(value)).map_err(|exceeded| self.wrong(&exceeded))?;
                Ok(value.clone())
            }
            None => self.compute(scope, budget),
        }
    }

    fn follow<'a>(&self, scope: &'a dyn Scope) -> Option<&'a Value> {
        self.path.as_deref().and_then(|path| follow(path, scope))
    }

    fn wrong(&self, why: &dyn fmt::Display) -> EvaluationError {
        let mut message = Bounded(String::new());
        // Writing fails where the message is cut.
        let _ = write!(message, "{why}");
        EvaluationError { expression: self.source.clone(), message: message.0 }
    }

    fn compute(&self, scope: &dyn Scope, budget: &Arc<Budget>) -> Result<Value, EvaluationError> {
        let before = budget.bytes();
        let expression = self.metered.root.as_ref().ok_or_else(|| self.wrong(&"it nests too deep"))?;
        budget.spend(self.metered.steps).map_err(|exceeded| self.wrong(&exceeded))?;
        let mut context = Context::with_env(Arc::clone(&self.env));
        let meter = Meter { budget: Arc::clone(budget), patterns: Arc::clone(&self.metered.patterns) };
        context.add_variable_as_val(counting::BUDGET, Box::new(meter));
        // A path into a null that the participant sent is null.
        let mut reads_null = false;
        let mut missing = None;
        for name in &self.references {
            let Some(variable) = scope.variable(name) else { continue };
            match variable {
                Variable::Compensated { output: None } => reads_null = true,
                Variable::Step { output: None } => missing = missing.or(Some(name)),
                Variable::Step { output: Some(Value::Null) }
                | Variable::Compensated { output: Some(Value::Null) } => reads_null = true,
                _ => {}
            }
            let reads = self.metered.reads.get(name).unwrap_or(&Reads::All);
            let value = variable.to_cel(reads, budget).map_err(|why| self.wrong(&why))?;
            context.add_variable_as_val(name.as_str(), value);
        }
        let result = cel::Value::resolve_val(expression, &context);
        // An operator or a macro may have absorbed the error.
        budget.check().map_err(|exceeded| self.wrong(&exceeded))?;
        let value = match (result, missing) {
            (Ok(value), _) => {
                budget.make(values::size(value.as_ref())).map_err(|exceeded| self.wrong(&exceeded))?;
                values::to_json(value.as_ref()).map_err(|why| self.wrong(&why))?
            }
            (Err(error), Some(step)) => {
                return Err(self.wrong(&format_args!("`{step}` has no output here: {error}")));
            }
            (Err(_), None) if reads_null => Value::Null,
            (Err(error), None) => return Err(self.wrong(&error)),
        };
        budget.release_to(before.saturating_add(values::json_size(&value).bytes));
        Ok(value)
    }
}

/// A text of at most [`MAX_MESSAGE_BYTES`].
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = MAX_MESSAGE_BYTES.saturating_sub(self.0.len());
        if text.len() <= left {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(left)]);
        self.0.push_str(" ...");
        Err(fmt::Error)
    }
}

/// The nesting depth of an expression.
fn depth(root: &IdedExpr) -> usize {
    let mut deepest = 0;
    let mut todo = vec![(root, 1)];
    while let Some((part, depth)) = todo.pop() {
        deepest = depth.max(deepest);
        todo.extend(values::parts(&part.expr).into_iter().map(|part| (part, depth + 1)));
    }
    deepest
}

/// Rewrites `has(a.b)` to `a != null && has(a.b)`: for CEL, asking for a field of null is an error.
fn null_has_nothing(mut root: IdedExpr) -> IdedExpr {
    let mut todo = vec![&mut root];
    while let Some(part) = todo.pop() {
        if let Expr::Select(select) = &part.expr
            && select.test
        {
            let operand = (*select.operand).clone();
            let null = IdedExpr { id: part.id, expr: Expr::Literal(LiteralValue::Null) };
            let is_there = call(part.id, operators::NOT_EQUALS, vec![operand, null]);
            *part = call(part.id, operators::LOGICAL_AND, vec![is_there, part.clone()]);
            continue;
        }
        match &mut part.expr {
            Expr::Select(select) => todo.push(&mut select.operand),
            Expr::Call(call) => {
                todo.extend(call.target.as_deref_mut());
                todo.extend(&mut call.args);
            }
            Expr::List(list) => todo.extend(&mut list.elements),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => todo.extend([&mut entry.key, &mut entry.value]),
                        EntryExpr::StructField(field) => todo.push(&mut field.value),
                    }
                }
            }
            Expr::Comprehension(loops) => {
                let parts = [&mut loops.iter_range, &mut loops.accu_init, &mut loops.loop_cond];
                todo.extend(parts.into_iter().chain([&mut loops.loop_step, &mut loops.result]));
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
        }
    }
    root
}

fn call(id: u64, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }) }
}

/// The names in `a.b.c`, if the expression has that form.
fn path_of(expression: &Expr) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = expression;
    loop {
        match rest {
            Expr::Ident(name) => {
                names.push(name.clone());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) if !select.test => {
                names.push(select.field.clone());
                rest = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

/// Follows a path in the JSON itself: making CEL values of everything around it would cost far more. `None` where CEL has to
/// decide.
fn follow<'a>(path: &[String], scope: &'a dyn Scope) -> Option<&'a Value> {
    let (name, fields) = path.split_first()?;
    let (root, fields) = match (scope.variable(name)?, fields) {
        (Variable::Json(value), fields) => (value, fields),
        (
            Variable::Step { output: Some(value) } | Variable::Compensated { output: Some(value) },
            [output, fields @ ..],
        ) if output == "output" => (value, fields),
        _ => return None,
    };
    fields.iter().try_fold(root, |value, field| value.as_object()?.get(field))
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.source)
    }
}
