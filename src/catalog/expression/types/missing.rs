//! Fields that may not be there when an expression asks for them, and what that would do to the saga.

use cel::IdedExpr;
use cel::common::ast::Expr;

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::super::scope::{At, Names, Scope};
use super::extent::Text;
use super::infer::Missing;
use super::kind::Kinds;
use super::wanted::Wanted;

/// What a failing expression leads to.
struct Harm {
    what: String,
    /// Nobody can go on, and nobody can go back.
    is_stuck: bool,
}

pub(super) fn tell(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    scope: Scope,
    names: &Names,
    wanted: Wanted,
) -> Diagnostic {
    let harm = harm(scope, names, wanted);
    let name = missing.path.rsplit('.').next().unwrap_or_default();
    let diagnostic = Diagnostic::new(
        code::MAY_BE_MISSING,
        text.extent(missing.expression),
        format!("`{name}` may be missing: {}", harm.what),
    )
    .label("without it, this expression fails");
    let diagnostic = if harm.is_stuck { diagnostic } else { diagnostic.warning() };
    let part = missing.of.schema.as_ref();
    let diagnostic = match part.and_then(|part| Some((part, part.place()?))) {
        Some((part, place)) => diagnostic.also(place, format!("{} does not require it", part.called())),
        None => diagnostic,
    };
    let schema = part.map_or("the schema", |part| part.called());
    diagnostic.help(format!(
        "add `{name}` to `required` in {schema}, or write `{}`",
        guarded(text, root, missing, wanted)
    ))
}

/// The same, where it may be missing.
fn guarded(text: &Text<'_>, root: &IdedExpr, missing: &Missing<'_>, wanted: Wanted) -> String {
    let written = text.of(missing.expression);
    let Expr::Select(select) = &missing.expression.expr else {
        return format!("{} in {} ? {written} : null", name_of(missing), operand(text, missing));
    };
    let has = format!("has({}.{})", text.of(&select.operand), select.field);
    if let Some(is_equal) = missing.is_compared_with_null {
        return if is_equal { format!("!{has}") } else { has };
    }
    let is_whole = std::ptr::eq(root, missing.expression);
    let is_condition = matches!(wanted, Wanted::Condition(_));
    let is_one_line = !text.source.contains('\n');
    if is_condition && is_one_line && (is_whole || is_comparison(root)) {
        return format!("{has} && {}", text.source);
    }
    format!("{has} ? {written} : {}", instead(missing.of.kinds, is_whole && wanted == Wanted::Anything))
}

fn name_of(missing: &Missing<'_>) -> String {
    format!("'{}'", missing.path.rsplit('.').next().unwrap_or_default())
}

fn operand<'a>(text: &Text<'a>, missing: &Missing<'_>) -> &'a str {
    match &missing.expression.expr {
        Expr::Call(call) => call.args.first().map_or("", |operand| text.of(operand)),
        _ => "",
    }
}

fn is_comparison(root: &IdedExpr) -> bool {
    let Expr::Call(call) = &root.expr else { return false };
    matches!(call.func_name.as_str(), "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "@in" | "_&&_")
        || super::super::function::name(&call.func_name).is_some()
}

/// What to take if it is not there.
fn instead(kinds: Kinds, may_be_null: bool) -> &'static str {
    match kinds {
        _ if may_be_null => "null",
        _ if kinds.is(Kinds::TEXT) => "''",
        _ if kinds.is(Kinds::NUMERIC) => "0",
        _ if kinds.is(Kinds::BOOL) => "false",
        _ if kinds.is(Kinds::LIST) => "[]",
        _ if kinds.is(Kinds::OBJECT) => "{}",
        _ => "null",
    }
}

fn harm(scope: Scope, names: &Names, wanted: Wanted) -> Harm {
    let certain = |what: &str| Harm { what: what.into(), is_stuck: true };
    let harmless = |what: &str| Harm { what: what.into(), is_stuck: false };
    if wanted == Wanted::Match {
        return harmless("the event would not be taken for this step");
    }
    match scope.at {
        At::Key | At::Attribute => harmless("the saga could not be started"),
        At::Event(_) => harmless("the event would be refused"),
        At::Schedule => harmless("the saga could not be started"),
        At::Undo(step) => certain(&format!(
            "{} could not be undone, and the saga would be stuck half undone",
            names.called(step)
        )),
        At::Output => certain("all would be done, and the saga would be stuck without its output"),
        At::Step(_) | At::Item(_) => match names.pivot_before(scope) {
            Some(pivot) => certain(&format!(
                "the saga would be stuck, as there is no way back after {}",
                names.called(pivot)
            )),
            None => harmless("the saga would be rolled back here"),
        },
    }
}
