//! Diagnostics for parts of the wrong type.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::extent::Text;
use super::kind::Kinds;
use super::operators::is_ordering;
use super::value::Typed;

/// "`input.amount` is an integer".
pub(super) fn is(text: &Text<'_>, typed: &Typed<'_>) -> String {
    let kinds = typed.of.kinds;
    match typed.expression.expr {
        Expr::Literal(LiteralValue::Null) => "the other is null".into(),
        _ => format!("`{}` is {kinds}", text.of(typed.expression)),
    }
}

/// Formats the types of both sides of a comparison.
pub(super) fn both(text: &Text<'_>, left: &Typed<'_>, right: &Typed<'_>) -> String {
    match (&left.expression.expr, &right.expression.expr) {
        (Expr::Literal(LiteralValue::Null), _) => format!("{}, never null", is(text, right)),
        (_, Expr::Literal(LiteralValue::Null)) => format!("{}, never null", is(text, left)),
        _ => format!("{}, {}", is(text, left), is(text, right)),
    }
}

/// Adds the place of the schema that declares the type: of the first of these that has one.
pub(super) fn declared<'a, 'b: 'a>(
    diagnostic: Diagnostic,
    all: impl IntoIterator<Item = &'a Typed<'b>>,
) -> Diagnostic {
    let mut parts = all.into_iter().filter_map(|typed| {
        let part = typed.of.schema.as_ref()?;
        Some((part, part.place()?))
    });
    let Some((part, place)) = parts.next() else { return diagnostic };
    let label = match part.name() {
        Some(name) => format!("`{name}` is declared here in {}", part.called()),
        None => format!("declared here in {}", part.called()),
    };
    diagnostic.also(place, label)
}

/// Reports a test for an outcome that has already rolled the saga back.
pub(super) fn rolled_back_before(
    text: &Text<'_>,
    whole: &IdedExpr,
    step: &str,
    is_equal: bool,
) -> Diagnostic {
    let outcome = if is_equal { "never true" } else { "always true" };
    let message = format!("`{}` is {outcome}, unless `{step}` is answered with null", text.of(whole));
    Diagnostic::new(code::ALWAYS_SAME, text.extent(whole), message)
        .label(format!("if `{step}` is not answered in time, the saga is rolled back before this"))
        .help(format!("for a saga that continues without `{step}` write `optional: true` in it"))
        .warning()
}

/// Reports a test that every step passes.
pub(super) fn always_has_output(text: &Text<'_>, whole: &IdedExpr, step: &str) -> Diagnostic {
    let message = format!("`{}` is always true", text.of(whole));
    Diagnostic::new(code::ALWAYS_SAME, text.extent(whole), message)
        .label("an output that is missing is null")
        .help(format!("write `{step}.output != null`"))
        .warning()
}

/// Reports a part of the wrong type.
pub(super) fn argument(
    text: &Text<'_>,
    place: &str,
    wanted: &str,
    typed: &Typed<'_>,
    help: Option<String>,
) -> Diagnostic {
    let at = text.extent(typed.expression);
    let kinds = typed.of.kinds;
    let (message, label) = match kinds {
        Kinds::JSON => {
            (format!("{place} takes {wanted}, which JSON does not have"), "comes from JSON".into())
        }
        _ => (format!("{place} takes {wanted}, not {kinds}"), format!("this is {kinds}")),
    };
    let diagnostic = Diagnostic::new(code::OPERANDS, at, message).label(label).maybe_help(help);
    declared(diagnostic, [typed])
}

pub(super) fn operands(
    text: &Text<'_>,
    whole: &IdedExpr,
    sign: &str,
    left: &Typed<'_>,
    right: &Typed<'_>,
) -> Diagnostic {
    let (ours, theirs) = (left.of.kinds, right.of.kinds);
    let message = format!("`{sign}` cannot take {ours} and {theirs}");
    let label = match ours == theirs {
        true => format!("both are {ours}"),
        false => format!("{}, {}", is(text, left), is(text, right)),
    };
    let diagnostic = Diagnostic::new(code::OPERANDS, text.extent(whole), message)
        .label(label)
        .maybe_help(remedy(text, sign, left, right));
    declared(diagnostic, [left, right])
}

/// The expression, changed so that it works.
fn remedy(text: &Text<'_>, sign: &str, left: &Typed<'_>, right: &Typed<'_>) -> Option<String> {
    let (ours, theirs) = (left.of.kinds, right.of.kinds);
    let write = |left: String, right: String| Some(format!("write `{left} {sign} {right}`"));
    let (l, r) = (grouped(text, left), grouped(text, right));
    let printable = Kinds::BOOL | Kinds::NUMERIC;
    if (ours | theirs).is(Kinds::NUMERIC) {
        return if sign == "%" {
            write(as_int(text, left), as_int(text, right))
        } else {
            write(as_double(text, left), as_double(text, right))
        };
    }
    match sign {
        "+" if ours.is(Kinds::TEXT) && theirs.is(printable) => write(l, call("string", text, right)),
        "+" if theirs.is(Kinds::TEXT) && ours.is(printable) => write(call("string", text, left), r),
        "+" if ours.is(Kinds::LIST) && !theirs.may_be(Kinds::LIST) => {
            write(l, format!("[{}]", text.of(right.expression)))
        }
        "+" if (ours | theirs).is(Kinds::TEXT | Kinds::NULL) => None,
        _ if ours.is(Kinds::TEXT) && theirs.is(Kinds::TIMESTAMP) => write(call("timestamp", text, left), r),
        _ if theirs.is(Kinds::TEXT) && ours.is(Kinds::TIMESTAMP) => write(l, call("timestamp", text, right)),
        _ if ours == Kinds::JSON && theirs.is(Kinds::TIMESTAMP) => write(call("timestamp", text, left), r),
        _ if theirs == Kinds::JSON && ours.is(Kinds::TIMESTAMP) => write(l, call("timestamp", text, right)),
        _ if theirs.is(Kinds::TEXT) && ours.is(Kinds::NUMERIC) => {
            write(l, as_number(text, right, sign, ours))
        }
        _ if ours.is(Kinds::TEXT) && theirs.is(Kinds::NUMERIC) => {
            write(as_number(text, left, sign, theirs), r)
        }
        _ => None,
    }
}

fn call(function: &str, text: &Text<'_>, typed: &Typed<'_>) -> String {
    format!("{function}({})", text.of(typed.expression))
}

/// The text of an expression, in parentheses if it is an operator with operands.
fn grouped(text: &Text<'_>, typed: &Typed<'_>) -> String {
    let written = text.of(typed.expression);
    let is_operator = match &typed.expression.expr {
        Expr::Call(call) => {
            super::super::function::name(&call.func_name).is_none_or(|name| name.starts_with('_'))
        }
        _ => false,
    };
    let is_index = matches!(&typed.expression.expr, Expr::Call(call) if call.func_name.starts_with("_["));
    if is_operator && !is_index { format!("({written})") } else { written.into() }
}

fn as_double(text: &Text<'_>, typed: &Typed<'_>) -> String {
    match &typed.expression.expr {
        Expr::Literal(LiteralValue::Int(_)) => format!("{}.0", text.of(typed.expression)),
        Expr::Literal(LiteralValue::Double(_)) => text.of(typed.expression).into(),
        _ if typed.of.kinds.is(Kinds::DOUBLE) => grouped(text, typed),
        _ => call("double", text, typed),
    }
}

/// Converts a text that is compared or computed with a number of these kinds.
fn as_number(text: &Text<'_>, typed: &Typed<'_>, sign: &str, other: Kinds) -> String {
    let fits = |digits: &str| match digits.parse::<i64>() {
        Ok(_) => is_ordering(sign) || other == Kinds::INT,
        Err(_) => digits.parse::<f64>().is_ok() && (is_ordering(sign) || other == Kinds::DOUBLE),
    };
    match &typed.expression.expr {
        Expr::Literal(LiteralValue::String(digits)) if fits(digits.inner()) => digits.inner().to_owned(),
        _ => call(if other == Kinds::DOUBLE { "double" } else { "int" }, text, typed),
    }
}

fn as_int(text: &Text<'_>, typed: &Typed<'_>) -> String {
    if typed.of.kinds.is(Kinds::INT) { grouped(text, typed) } else { call("int", text, typed) }
}

/// Reports arithmetic on a `number` of JSON.
pub(super) fn mixed(
    text: &Text<'_>,
    whole: &IdedExpr,
    sign: &str,
    left: &Typed<'_>,
    right: &Typed<'_>,
) -> Diagnostic {
    let mixed = if left.of.kinds.is(Kinds::INT) || left.of.kinds.is(Kinds::DOUBLE) { right } else { left };
    let (message, fixed) = match sign {
        "%" => (
            "`%` takes two integers: this fails if the number has decimals".to_owned(),
            format!("{} % {}", as_int(text, left), as_int(text, right)),
        ),
        _ => (
            format!("`{sign}` takes two integers or two decimal numbers: this fails for some numbers"),
            format!("{} {sign} {}", as_double(text, left), as_double(text, right)),
        ),
    };
    let label = format!("`{}` may be either: 3 is an integer, 3.5 is not", text.of(mixed.expression));
    let diagnostic = Diagnostic::new(code::MIXED_NUMBERS, text.extent(whole), message)
        .warning()
        .label(label)
        .help(format!("write `{fixed}`"));
    declared(diagnostic, [mixed])
}

pub(super) fn zero(text: &Text<'_>, divisor: &Typed<'_>) -> Diagnostic {
    Diagnostic::new(code::OPERANDS, text.extent(divisor.expression), "a division by zero always fails")
        .label("this is zero")
}

pub(super) fn count(text: &Text<'_>, whole: &IdedExpr, name: &str, takes: usize, has: usize) -> Diagnostic {
    let plural = |count: usize| match count {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        _ => format!("{count} arguments"),
    };
    let message = format!("`{name}` takes {}, not {has}", plural(takes));
    Diagnostic::new(code::OPERANDS, text.extent(whole), message).label("called with another number of them")
}

/// The help for a condition that is not a boolean.
pub(super) fn as_condition(text: &Text<'_>, typed: &Typed<'_>) -> Option<String> {
    let written = grouped(text, typed);
    let kinds = typed.of.kinds.without(Kinds::NULL);
    Some(match kinds {
        _ if kinds.is_empty() => return None,
        _ if kinds.is(Kinds::NUMERIC) => format!("compare it, like `{written} > 0`"),
        _ if kinds.is(Kinds::TEXT) => format!("compare it, like `{written} == 'yes'` or `{written} != ''`"),
        _ if kinds.is(Kinds::LIST) => {
            format!("compare its length, like `size({}) > 0`", text.of(typed.expression))
        }
        _ if kinds.is(Kinds::OBJECT) => {
            "use one of its fields, or test whether it has one: `has(input.note)`".into()
        }
        _ => return None,
    })
}

/// The help for a wrong argument of a function.
pub(super) fn as_argument(
    text: &Text<'_>,
    name: &str,
    all: &[Typed<'_>],
    wrong: &Typed<'_>,
) -> Option<String> {
    let is_receiver = all.first().is_some_and(|first| std::ptr::eq(first.expression, wrong.expression));
    let kinds = wrong.of.kinds;
    match (name, all) {
        ("contains", [list, item]) if is_receiver && kinds.is(Kinds::LIST) => {
            Some(format!("write `{} in {}`", text.of(item.expression), text.of(list.expression)))
        }
        ("contains" | "startsWith" | "endsWith" | "matches", _) if kinds.is(Kinds::BOOL | Kinds::NUMERIC) => {
            Some(format!("write `string({})`", text.of(wrong.expression)))
        }
        (name, _) if name.starts_with("get") && is_receiver && kinds.may_be(Kinds::TEXT) => {
            Some(format!("write `timestamp({}).{name}()`", text.of(wrong.expression)))
        }
        ("size", _) if kinds.is(Kinds::NUMERIC) => Some(format!(
            "a text, a list and an object have a size; for digits write `size(string({}))`",
            text.of(wrong.expression)
        )),
        ("int" | "double" | "uint", _) if kinds.is(Kinds::BOOL) => {
            Some(format!("write `({} ? 1 : 0)`", text.of(wrong.expression)))
        }
        ("string", _) if kinds.is(Kinds::LIST) => {
            Some("a list cannot be made a text; send it as it is".into())
        }
        _ => None,
    }
}

/// Reports a field of a value that is no object.
pub(super) fn no_fields(text: &Text<'_>, operand: &Typed<'_>, whole: &IdedExpr, name: &str) -> Diagnostic {
    let kinds = operand.of.kinds;
    let written = text.of(operand.expression);
    let message = format!("`{written}` has no `{name}`: it is {kinds}");
    let is_length = ["length", "size", "count"].contains(&name);
    let help = match kinds {
        Kinds::LIST | Kinds::TEXT if is_length => Some(format!("write `size({written})`")),
        Kinds::LIST => Some(format!(
            "take it from an item, `{written}[0].{name}`, or from all: `{written}.map(item, item.{name})`"
        )),
        _ => None,
    };
    let diagnostic = Diagnostic::new(code::NO_FIELDS, text.field(whole, name), message)
        .label(format!("{kinds} has no fields"))
        .maybe_help(help);
    declared(diagnostic, [operand])
}
