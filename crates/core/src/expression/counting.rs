//! The functions that count what an expression uses.
//!
//! The first argument of each is the variable [`BUDGET`]. Neither its name nor theirs can be written in an expression.

#![expect(clippy::needless_pass_by_value, reason = "it is the form that CEL calls functions in")]

use std::any::Any;
use std::sync::{Arc, OnceLock};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use cel::common::functions::Function;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};

use super::budget::{Budget, Exceeded, Size};
use super::values::{length, parts, size};
use crate::expression::pattern::Pattern;

/// The variable that holds the budget.
pub(super) const BUDGET: &str = "@budget";

type CountedArguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type CountedResult<T, E = ExecutionError> = std::result::Result<T, E>;

/// The counting functions: their names, their numbers of arguments, the budget included, and what they do.
const COUNTING: [(&str, usize, Function); 7] = [
    ("@each", 4, each),
    ("@turn", 2, turn),
    ("@copy", 2, copy),
    ("@keep", 2, keep),
    ("@read", 2, read),
    ("@index", 2, index),
    ("@matches", 3, matches),
];

/// Adds the functions that expressions are rewritten with.
pub(super) fn extend(env: &mut Env) {
    for (name, arity, function) in COUNTING {
        // It fails only if there is such a function already.
        let _ = env.add_overload(name, name, (0..arity).map(|_| DYN_TYPE).collect(), function);
    }
}

/// The budget as a value of CEL, with the patterns that the expression itself has.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    pub(super) budget: Arc<Budget>,
    pub(super) patterns: Arc<Patterns>,
}

/// The literal patterns of an expression. They are few and do not come from the data, so that compiling them is not
/// counted: each is compiled once, when it is matched for the first time.
#[derive(Debug, Default)]
pub(super) struct Patterns(Vec<(String, OnceLock<Compiled>)>);

/// A pattern, or the reason why the text is not one.
type Compiled = CountedResult<Arc<Pattern>, String>;

impl Patterns {
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut patterns = Vec::new();
        let mut todo = vec![expression];
        while let Some(part) = todo.pop() {
            if let Expr::Call(call) = &part.expr
                && let Some((_, pattern)) = matched(call)
                && let Expr::Literal(LiteralValue::String(source)) = &pattern.expr
            {
                patterns.push((source.inner().to_owned(), OnceLock::new()));
            }
            todo.extend(parts(&part.expr));
        }
        Self(patterns)
    }

    /// `None`: the source is not a literal pattern of the expression.
    fn get(&self, source: &str) -> Option<Compiled> {
        let (_, pattern) = self.0.iter().find(|(known, _)| known == source)?;
        let compile = || Pattern::compile(source, Pattern::weigh(source)?).map(Arc::new);
        Some(pattern.get_or_init(compile).clone())
    }
}

/// The text and the pattern of a call of `matches`.
pub(super) fn matched(call: &CallExpr) -> Option<(&IdedExpr, &IdedExpr)> {
    let operands: Vec<_> = call.target.as_deref().into_iter().chain(&call.args).collect();
    match operands[..] {
        [text, pattern] if call.func_name.trim_start_matches('.') == "matches" => Some((text, pattern)),
        _ => None,
    }
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        <CelNull as Val>::cel_type()
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

fn meter_of<'a>(arguments: &'a CountedArguments<'_, '_>) -> CountedResult<&'a Meter> {
    let meter = arguments.first().and_then(|first| first.as_ref().downcast_ref::<Meter>());
    meter.ok_or_else(|| ExecutionError::function_error("budget", "the evaluation has no budget"))
}

/// The budget among the arguments of a function.
pub(crate) fn budget_of<'a>(arguments: &'a CountedArguments<'_, '_>) -> CountedResult<&'a Budget> {
    meter_of(arguments).map(|meter| &*meter.budget)
}

/// A budget that is used up, as an error of CEL.
pub(crate) fn failure(exceeded: Exceeded) -> ExecutionError {
    ExecutionError::function_error("budget", exceeded)
}

fn integer(value: Option<&CowVal<'_, '_>>) -> u64 {
    let value = value.and_then(|value| value.as_ref().downcast_ref::<CelInt>());
    value.and_then(|value| u64::try_from(*value.inner()).ok()).unwrap_or_default()
}

/// `@each(budget, steps, steps of each item, list)`: a list that a macro goes through, which copies each item. Of a map, its
/// keys in their order.
fn each<'b, 'v>(mut arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let (once, each) = (integer(arguments.get(1)), integer(arguments.get(2)));
    let list = arguments.pop().ok_or_else(|| ExecutionError::invalid_argument_count(4, 0))?;
    let items = list.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or_default());
    let steps = once.saturating_add(size(list.as_ref()).steps()).saturating_add(items.saturating_mul(each));
    budget_of(&arguments)?.spend(steps).map_err(failure)?;
    let Some(map) = list.as_ref().downcast_ref::<CelMap<'v>>() else { return Ok(list) };
    // CEL iterates the keys of a map in a different order each time.
    let mut keys: Vec<_> = map.inner().keys().collect();
    keys.sort_unstable();
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

/// `@turn(budget, steps)`: one more turn of a macro. True, or an error.
fn turn<'b, 'v>(arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    budget_of(&arguments)?.spend(integer(arguments.get(1))).map_err(failure)?;
    Ok(CowVal::owned(CelBool::from(true)))
}

/// `@copy(budget, value)`: a value that is copied unless it is new.
fn copy<'b, 'v>(mut arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let value = arguments.pop().ok_or_else(|| ExecutionError::invalid_argument_count(2, 0))?;
    if value.is_borrowed() {
        budget_of(&arguments)?.make(size(value.as_ref())).map_err(failure)?;
    }
    Ok(value)
}

/// `@keep(budget, value)`: a value that is copied although it may be new.
fn keep<'b, 'v>(mut arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let value = arguments.pop().ok_or_else(|| ExecutionError::invalid_argument_count(2, 0))?;
    let Size { values, bytes } = size(value.as_ref());
    budget_of(&arguments)?.make(Size { values: values.saturating_mul(2), bytes }).map_err(failure)?;
    Ok(value)
}

/// `@read(budget, value)`: a value that a function reads all of.
fn read<'b, 'v>(mut arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let value = arguments.pop().ok_or_else(|| ExecutionError::invalid_argument_count(2, 0))?;
    budget_of(&arguments)?.read(length(value.as_ref())).map_err(failure)?;
    Ok(value)
}

/// `@index(budget, index)`: what a list is indexed with. For the error that a fraction is no index, CEL copies the list; null is
/// no index either.
fn index<'b, 'v>(mut arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let value = arguments.pop().ok_or_else(|| ExecutionError::invalid_argument_count(2, 0))?;
    let double = value.as_ref().downcast_ref::<CelDouble>();
    let is_fraction = double.is_some_and(|double| double.inner().fract() != 0.0);
    Ok(if is_fraction { CowVal::owned(CelNull) } else { value })
}

/// `@matches(budget, text, pattern)`.
fn matches<'b, 'v>(arguments: CountedArguments<'b, 'v>) -> CountedResult<CowVal<'b, 'v>> {
    let Meter { budget, patterns } = meter_of(&arguments)?;
    let [_, text, pattern] = &arguments[..] else {
        return Err(ExecutionError::invalid_argument_count(3, arguments.len()));
    };
    let (Some(text), Some(source)) =
        (text.as_ref().downcast_ref::<CelString<'_>>(), pattern.as_ref().downcast_ref::<CelString<'_>>())
    else {
        let types = [text, pattern].map(|value| value.get_type().name().to_owned());
        return Err(ExecutionError::no_such_overload("matches", types.into()));
    };
    let pattern = patterns.get(source.inner()).unwrap_or_else(|| budget.pattern(source.inner()));
    let pattern = pattern.map_err(|why| ExecutionError::function_error("matches", why))?;
    budget.spend(pattern.weight().matching_steps(text.inner().len())).map_err(failure)?;
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
}
