//! Exact numbers in CEL.
//!
//! CEL's implementation compares an integer with a double after it has rounded the integer to a double, so that
//! `9007199254740993 == 9007199254740992.0` is true, and its arithmetic yields infinities and NaN, which JSON cannot hold.
//! So the operators of a compiled expression are replaced by functions that compare exactly and fail where there is no number.
//! They otherwise behave as CEL's. Their first argument is the budget of the evaluation.

#![expect(clippy::needless_pass_by_value, reason = "it is the form that CEL calls functions in")]

mod literal;

use std::cmp::Ordering;

use cel::common::ast::{CallExpr, operators};
use cel::common::functions::Function;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelString, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use crate::expression::budget::Budget;
use crate::expression::counting::{budget_of, failure};
use crate::expression::values::{length, size};
use crate::json;

pub(crate) use literal::inexact_literal;

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type ExactResult<T, E = ExecutionError> = std::result::Result<T, E>;

/// An operator or a function of CEL, its number of arguments, and its replacement, whose first argument is the budget.
const REPLACED: [(&str, usize, &str, Function); 13] = [
    (operators::EQUALS, 2, "snorri_equal", equal),
    (operators::NOT_EQUALS, 2, "snorri_not_equal", not_equal),
    (operators::LESS, 2, "snorri_less", less),
    (operators::LESS_EQUALS, 2, "snorri_less_or_equal", less_or_equal),
    (operators::GREATER, 2, "snorri_greater", greater),
    (operators::GREATER_EQUALS, 2, "snorri_greater_or_equal", greater_or_equal),
    (operators::IN, 2, "snorri_in", is_in),
    (operators::ADD, 2, "snorri_add", add),
    (operators::SUBSTRACT, 2, "snorri_subtract", subtract),
    (operators::MULTIPLY, 2, "snorri_multiply", multiply),
    (operators::DIVIDE, 2, "snorri_divide", divide),
    (operators::MODULO, 2, "snorri_modulo", modulo),
    ("double", 1, "snorri_double", double),
];

/// Adds the replacements of CEL's operators.
pub(crate) fn extend(env: &mut Env) {
    for (_, arity, name, function) in REPLACED {
        // It fails only if there is such a function already.
        let _ = env.add_overload(name, name, (0..=arity).map(|_| DYN_TYPE).collect(), function);
    }
}

/// The replacement of a call.
pub(crate) fn replacement(call: &CallExpr) -> Option<&'static str> {
    let name = call.func_name.trim_start_matches('.');
    let found = REPLACED.iter().find(|(known, arity, ..)| *known == name && *arity == call.args.len());
    found.filter(|_| call.target.is_none()).map(|(_, _, replacement, _)| *replacement)
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i128),
    Double(f64),
}

fn number(value: &dyn Val) -> Option<Number> {
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return Some(Number::Integer((*value.inner()).into()));
    }
    if let Some(value) = value.downcast_ref::<CelUInt>() {
        return Some(Number::Integer((*value.inner()).into()));
    }
    value.downcast_ref::<CelDouble>().map(|value| Number::Double(*value.inner()))
}

/// `None`: one of the two is NaN.
fn compare_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
        (Number::Double(left), Number::Double(right)) => left.partial_cmp(&right),
        (Number::Integer(left), Number::Double(right)) => compare_to_double(left, right),
        (Number::Double(left), Number::Integer(right)) => {
            compare_to_double(right, left).map(Ordering::reverse)
        }
    }
}

/// Compares an integer of 64 bits with a double without rounding either.
fn compare_to_double(integer: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Doubles beyond what it holds become its ends, which no integer of 64 bits reaches.
    let floor = double.floor() as i128;
    Some(integer.cmp(&floor).then(if double.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}

/// Lists and maps are equal if all their parts are.
fn are_equal(left: &cel::Value, right: &cel::Value) -> bool {
    use cel::Value::{List, Map};
    match (left, right) {
        (List(left), List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| are_equal(left, right))
        }
        (Map(left), Map(right)) => {
            left.map.len() == right.map.len()
                && left
                    .map
                    .iter()
                    .all(|(key, left)| right.map.get(key).is_some_and(|right| are_equal(left, right)))
        }
        (left, right) => match (value_number(left), value_number(right)) {
            (Some(left), Some(right)) => compare_numbers(left, right) == Some(Ordering::Equal),
            _ => left == right,
        },
    }
}

fn value_number(value: &cel::Value) -> Option<Number> {
    match value {
        cel::Value::Int(value) => Some(Number::Integer((*value).into())),
        cel::Value::UInt(value) => Some(Number::Integer((*value).into())),
        cel::Value::Float(value) => Some(Number::Double(*value)),
        _ => None,
    }
}

fn is_equal(left: &dyn Val, right: &dyn Val) -> ExactResult<bool> {
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok(compare_numbers(left, right) == Some(Ordering::Equal));
    }
    let can_hold_numbers = |value: &dyn Val| value.as_container().is_some();
    if can_hold_numbers(left) && can_hold_numbers(right) {
        return Ok(are_equal(&left.try_into()?, &right.try_into()?));
    }
    Ok(left.equals(right))
}

fn compare(operator: &str, arguments: &Arguments<'_, '_>) -> ExactResult<Ordering> {
    let (left, right) = operands(arguments)?;
    let cannot = || {
        let types = vec![left.get_type().name().to_owned(), right.get_type().name().to_owned()];
        ExecutionError::no_such_overload(operator, types)
    };
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return compare_numbers(left, right).ok_or_else(|| {
            ExecutionError::function_error(operator, "one of the values is not a number (NaN)")
        });
    }
    left.as_comparer().ok_or_else(cannot)?.compare(right).map_err(|_| cannot())
}

fn pair<'a, 'v>(arguments: &'a Arguments<'_, 'v>) -> ExactResult<(&'a (dyn Val + 'v), &'a (dyn Val + 'v))> {
    match &arguments[..] {
        [_, left, right] => Ok((left.as_ref(), right.as_ref())),
        others => Err(ExecutionError::invalid_argument_count(3, others.len())),
    }
}

/// Two values to be compared for equality: lists and maps are copied for that.
fn compared<'a, 'v>(
    arguments: &'a Arguments<'_, 'v>,
) -> ExactResult<(&'a (dyn Val + 'v), &'a (dyn Val + 'v))> {
    let (left, right) = pair(arguments)?;
    let budget = budget_of(arguments)?;
    if is_container(left) && is_container(right) {
        budget.make_for_now(size(left) + size(right)).map_err(failure)?;
    }
    budget.read(length(left).min(length(right))).map_err(failure)?;
    Ok((left, right))
}

/// Two operands that should be scalars: others are copied into an error.
fn operands<'a, 'v>(
    arguments: &'a Arguments<'_, 'v>,
) -> ExactResult<(&'a (dyn Val + 'v), &'a (dyn Val + 'v))> {
    let (left, right) = pair(arguments)?;
    let budget = budget_of(arguments)?;
    if is_container(left) || is_container(right) {
        budget.make_for_now(size(left) + size(right)).map_err(failure)?;
    }
    budget.read(length(left).max(length(right))).map_err(failure)?;
    Ok((left, right))
}

fn is_container(value: &dyn Val) -> bool {
    value.as_sizer().is_some() && length(value) == 0
}

fn truth<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(value))
}

fn equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = compared(&arguments)?;
    is_equal(left, right).map(truth)
}

fn not_equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = compared(&arguments)?;
    Ok(truth(!is_equal(left, right)?))
}

fn less<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    Ok(truth(compare(operators::LESS, &arguments)?.is_lt()))
}

fn less_or_equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    Ok(truth(compare(operators::LESS_EQUALS, &arguments)?.is_le()))
}

fn greater<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    Ok(truth(compare(operators::GREATER, &arguments)?.is_gt()))
}

fn greater_or_equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    Ok(truth(compare(operators::GREATER_EQUALS, &arguments)?.is_ge()))
}

fn is_in<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (item, all) = pair(&arguments)?;
    if let Some(items) = all.downcast_ref::<CelList<'_>>() {
        return is_any(budget_of(&arguments)?, items, item).map(truth);
    }
    // The keys of maps are found exactly.
    let types = || vec![item.get_type().name().to_owned(), all.get_type().name().to_owned()];
    let container =
        all.as_container().ok_or_else(|| ExecutionError::no_such_overload(operators::IN, types()))?;
    container.contains(item).map(truth)
}

fn is_any(budget: &Budget, items: &CelList<'_>, item: &dyn Val) -> ExactResult<bool> {
    let text = item.downcast_ref::<CelString<'_>>();
    budget.make_for_now(size(item)).map_err(failure)?;
    let value = cel::Value::try_from(item)?;
    for one in items.inner() {
        let one = one.as_ref();
        budget.spend(1).map_err(failure)?;
        let is_equal = match (text, one.downcast_ref::<CelString<'_>>()) {
            (Some(text), Some(one)) => {
                budget.read(text.inner().len().min(one.inner().len())).map_err(failure)?;
                text.inner() == one.inner()
            }
            _ => {
                budget.make_for_now(size(one) + size(item)).map_err(failure)?;
                are_equal(&cel::Value::try_from(one)?, &value)
            }
        };
        if is_equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = pair(&arguments)?;
    if is_container(left) || is_container(right) || length(left) > 0 {
        budget_of(&arguments)?.make(size(left) + size(right)).map_err(failure)?;
    }
    finite("add", left.as_adder().ok_or_else(|| unsupported("add", left, right))?.add(right)?.into_owned())
}

fn subtract<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = operands(&arguments)?;
    let subtractor = left.as_subtractor().ok_or_else(|| unsupported("sub", left, right))?;
    finite("sub", subtractor.sub(right)?.into_owned())
}

fn multiply<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = operands(&arguments)?;
    let multiplier = left.as_multiplier().ok_or_else(|| unsupported("mul", left, right))?;
    finite("mul", multiplier.mul(right)?.into_owned())
}

fn divide<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = operands(&arguments)?;
    let divider = left.as_divider().ok_or_else(|| unsupported("div", left, right))?;
    finite("div", divider.div(right)?.into_owned())
}

fn modulo<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let (left, right) = operands(&arguments)?;
    let modder = left.as_modder().ok_or_else(|| unsupported("rem", left, right))?;
    Ok(CowVal::Owned(modder.modulo(right)?.into_owned()))
}

/// CEL's `double`, which fails where it would round.
fn double<'b, 'v>(arguments: Arguments<'b, 'v>) -> ExactResult<CowVal<'b, 'v>> {
    let [_, value] = &arguments[..] else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    let value = value.as_ref();
    budget_of(&arguments)?.read(length(value)).map_err(failure)?;
    let inexact = || ExecutionError::function_error("double", "a double cannot hold this number exactly");
    let double = match number(value) {
        Some(Number::Double(double)) => double,
        Some(Number::Integer(integer)) => {
            let double = integer as f64;
            if double as i128 != integer {
                return Err(inexact());
            }
            double
        }
        None => {
            let types = || vec![value.get_type().name().to_owned()];
            let text = value
                .downcast_ref::<CelString<'_>>()
                .ok_or_else(|| ExecutionError::no_such_overload("double", types()))?;
            let double = text.inner().parse::<f64>();
            let double =
                double.map_err(|_| ExecutionError::function_error("double", "the text is no number"))?;
            if !json::is_exact_double(text.inner()) {
                return Err(inexact());
            }
            double
        }
    };
    Ok(CowVal::owned(CelDouble::from(double)))
}

fn unsupported(operator: &'static str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    let value = |value: &dyn Val| value.try_into().unwrap_or(cel::Value::Null);
    ExecutionError::UnsupportedBinaryOperator(operator, value(left), value(right))
}

fn finite<'b, 'v>(operator: &str, value: Box<dyn Val + 'v>) -> ExactResult<CowVal<'b, 'v>> {
    match value.downcast_ref::<CelDouble>() {
        Some(double) if !double.inner().is_finite() => {
            Err(ExecutionError::function_error(operator, "the result is too large, or not a number"))
        }
        _ => Ok(CowVal::Owned(value)),
    }
}

#[cfg(test)]
mod tests;
