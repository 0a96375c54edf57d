//! Finds comparisons with a constant result.

use serde_json::Value as Json;

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::super::super::suggest;
use super::extent::Text;
use super::kind::Kinds;
use super::report;
use super::value::Typed;
use cel::IdedExpr;

/// Checks `left == right`, or `left != right`.
pub(super) fn equality(
    text: &Text<'_>,
    whole: &IdedExpr,
    left: &Typed<'_>,
    right: &Typed<'_>,
    is_equal: bool,
) -> Option<Diagnostic> {
    let outcome = if is_equal { "never true" } else { "always true" };
    if !left.of.kinds.may_equal(right.of.kinds) {
        return Some(by_kind(text, whole, left, right, outcome, is_equal));
    }
    let (ours, theirs) = (left.of.values.as_ref()?, right.of.values.as_ref()?);
    // A comparison of two constants is a usual way to switch something on or off.
    if left.of.schema.is_none() && right.of.schema.is_none() || may_meet(ours, theirs) {
        return None;
    }
    Some(by_value(text, whole, left, right, outcome))
}

/// Checks `item in list`.
pub(super) fn membership(
    text: &Text<'_>,
    whole: &IdedExpr,
    item: &Typed<'_>,
    list: &Typed<'_>,
) -> Option<Diagnostic> {
    if list.of.kinds != Kinds::LIST {
        return None;
    }
    let items = Typed { expression: list.expression, of: list.of.items() };
    if !items.of.kinds.may_equal(item.of.kinds) {
        let label = format!("{}; the items of the list are {}", report::is(text, item), items.of.kinds);
        return Some(report::declared(always(text, whole, "never true", label), [item, &items]));
    }
    let (ours, theirs) = (item.of.values.as_ref()?, items.of.values.as_ref()?);
    if item.of.schema.is_none() && items.of.schema.is_none() || may_meet(ours, theirs) {
        return None;
    }
    Some(by_value(text, whole, item, &items, "never true"))
}

fn by_kind(
    text: &Text<'_>,
    whole: &IdedExpr,
    left: &Typed<'_>,
    right: &Typed<'_>,
    outcome: &str,
    is_equal: bool,
) -> Diagnostic {
    let diagnostic = always(text, whole, outcome, report::both(text, left, right));
    let sign = if is_equal { "==" } else { "!=" };
    report::declared(diagnostic, [left, right]).maybe_help(help_by_kind(text, left, right, sign))
}

fn help_by_kind(text: &Text<'_>, left: &Typed<'_>, right: &Typed<'_>, sign: &str) -> Option<String> {
    let (ours, theirs) = (text.of(left.expression), text.of(right.expression));
    if let Some((other, name)) = [(left, right), (right, left)].into_iter().find_map(|(null, other)| {
        let name = other.of.schema.as_ref()?;
        (null.of.kinds == Kinds::NULL).then(|| (text.of(other.expression), name.called().to_owned()))
    }) {
        return Some(format!(
            "remove it; if `{other}` can be null, allow it in {name}, like `type: [string, 'null']`"
        ));
    }
    let (typed, literal, is_left) = match (&left.of.values, &right.of.values) {
        (_, Some(values)) if right.of.schema.is_none() => (left, values.first()?, true),
        (Some(values), _) if left.of.schema.is_none() => (right, values.first()?, false),
        _ => return None,
    };
    let plain = match literal {
        Json::String(value) if typed.of.kinds.is(Kinds::NUMERIC) => {
            value.parse::<f64>().is_ok().then(|| value.clone())?
        }
        Json::String(value)
            if typed.of.kinds.is(Kinds::BOOL) && ["true", "false"].contains(&value.as_str()) =>
        {
            value.clone()
        }
        Json::Number(_) | Json::Bool(_) if typed.of.kinds.is(Kinds::TEXT) => format!("'{literal}'"),
        _ => return None,
    };
    Some(match is_left {
        true => format!("write `{ours} {sign} {plain}`"),
        false => format!("write `{plain} {sign} {theirs}`"),
    })
}

fn by_value(
    text: &Text<'_>,
    whole: &IdedExpr,
    left: &Typed<'_>,
    right: &Typed<'_>,
    outcome: &str,
) -> Diagnostic {
    let (declared, given) = if left.of.schema.is_some() { (left, right) } else { (right, left) };
    let can_be: Vec<_> = declared.of.values.iter().flatten().map(plain).collect();
    let label = match can_be.as_slice() {
        [only] => format!("`{}` is always `{only}`", text.of(declared.expression)),
        _ => format!(
            "`{}` is {}",
            text.of(declared.expression),
            suggest::one_of(can_be.iter().map(String::as_str))
        ),
    };
    let meant = given.of.values.iter().flatten().find_map(|value| {
        let meant =
            suggest::nearest(value.as_str()?, declared.of.values.iter().flatten().filter_map(Json::as_str))?;
        Some(format!("did you mean `'{meant}'`?"))
    });
    report::declared(always(text, whole, outcome, label), [declared, given]).maybe_help(meant)
}

fn always(text: &Text<'_>, whole: &IdedExpr, outcome: &str, label: String) -> Diagnostic {
    let message = format!("`{}` is {outcome}", text.of(whole));
    Diagnostic::new(code::ALWAYS_SAME, text.extent(whole), message).warning().label(label)
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

fn may_meet(ours: &[Json], theirs: &[Json]) -> bool {
    let equal =
        |one: &Json, other: &Json| one == other || one.as_f64().is_some() && one.as_f64() == other.as_f64();
    ours.iter().any(|one| theirs.iter().any(|other| equal(one, other)))
}
