//! Fields that may be missing when an expression reads them, and what that would do to the saga.

use cel::IdedExpr;
use cel::common::ast::{Expr, operators};

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::super::function;
use super::super::scope::{At, Names, Scope};
use super::extent::Text;
use super::kind::Kinds;
use super::value::Missing;
use super::wanted::Wanted;

/// The place of an expression, and the type that it must have there.
pub(super) struct Place<'a> {
    pub(super) scope: Scope,
    pub(super) names: &'a Names,
    pub(super) wanted: Wanted,
}

/// The effect of a failing expression.
pub(super) struct Harm {
    pub(super) what: String,
    /// The saga can neither continue nor roll back.
    pub(super) is_stuck: bool,
}

/// The diagnostic for a value that may be missing. `None` if it may be missing here.
pub(super) fn report_missing(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    place: &Place<'_>,
) -> Option<Diagnostic> {
    let &Place { scope, names, wanted } = place;
    let harm = harm(scope, names, wanted);
    let name = missing.path.rsplit('.').next().unwrap_or_default();
    if let Some(meant) = &missing.meant {
        return Some(unknown(text, missing, name, meant, &harm, scope));
    }
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
    let required = format!("add `{name}` to `required` in {schema}");
    Some(diagnostic.help(match guarded(text, root, missing, wanted) {
        Some(guarded) => format!("{required}, or write `{guarded}`"),
        None => required,
    }))
}

/// Reports a field that the schema does not list, while it lists one with a similar name.
fn unknown(
    text: &Text<'_>,
    missing: &Missing<'_>,
    name: &str,
    meant: &str,
    harm: &Harm,
    scope: Scope,
) -> Diagnostic {
    let whole = missing.expression;
    let owner = match &whole.expr {
        Expr::Select(select) => text.of(&select.operand),
        _ => operand(text, missing),
    };
    let message = format!("the schema of `{owner}` has no `{name}`: without it, {}", harm.what);
    let schema = missing.of.schema.as_ref().map_or("the schema", |part| part.called());
    let diagnostic = Diagnostic::new(code::UNKNOWN_TO_SCHEMA, text.field(whole, name), message)
        .label(format!("not in {schema}"))
        .help(format!("did you mean `{meant}`? if not, add `{name}` to `properties` in {schema}"));
    // Without a key, no saga can ever be started.
    if harm.is_stuck || scope.at == At::Key { diagnostic } else { diagnostic.warning() }
}

/// The same expression, guarded against a missing field.
pub(super) fn guarded(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    wanted: Wanted,
) -> Option<String> {
    let written = text.of(missing.expression);
    let has = match &missing.expression.expr {
        Expr::Select(select) => format!("has({}.{})", text.of(&select.operand), select.field),
        _ => format!("{} in {}", name_of(missing), operand(text, missing)),
    };
    if let Some(is_equal) = missing.is_compared_with_null {
        return Some(if is_equal { format!("!{has}") } else { has });
    }
    let is_whole = std::ptr::eq(root, missing.expression);
    match wanted {
        // Every saga needs one.
        Wanted::Key(_) => return None,
        Wanted::Condition(_) | Wanted::Match if !text.source.contains('\n') => {
            let at = text.extent(missing.expression).start;
            if let Some(start) = conjunct(text, root, at) {
                let (before, rest) = text.source.split_at(start);
                return Some(format!("{before}{has} && {rest}"));
            }
        }
        _ => {}
    }
    let may_be_null = is_whole && matches!(wanted, Wanted::Anything | Wanted::Attribute);
    let choice = format!("{has} ? {written} : {}", instead(missing.of.kinds, may_be_null));
    Some(match wanted {
        Wanted::InText if is_whole => choice,
        // YAML takes a colon for its own, where there are no quotes.
        _ if is_whole => format!("\"${{ {choice} }}\""),
        _ => format!("({choice})"),
    })
}

/// The start of the part of `a && b && c` around `at`, if that is a comparison or a call.
pub(super) fn conjunct(text: &Text<'_>, root: &IdedExpr, at: usize) -> Option<usize> {
    let mut part = root;
    while let Expr::Call(call) = &part.expr
        && call.func_name == operators::LOGICAL_AND
    {
        part = call.args.iter().find(|side| text.extent(side).contains(&at))?;
    }
    let is_simple = match &part.expr {
        Expr::Select(_) => true,
        Expr::Call(call) => is_comparison(&call.func_name) || function::name(&call.func_name).is_some(),
        _ => false,
    };
    is_simple.then(|| text.extent(part).start)
}

fn is_comparison(function: &str) -> bool {
    [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::IN,
    ]
    .contains(&function)
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

/// The value to use if it is missing.
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

pub(super) fn harm(scope: Scope, names: &Names, wanted: Wanted) -> Harm {
    let certain = |what: &str| Harm { what: what.into(), is_stuck: true };
    let harmless = |what: &str| Harm { what: what.into(), is_stuck: false };
    if wanted == Wanted::Match {
        return harmless("the event would not be taken for this step");
    }
    match scope.at {
        At::Key | At::Attribute => harmless("the saga could not be started"),
        At::Event(_) => harmless("the event would be refused"),
        At::Schedule => harmless("the saga could not be started"),
        At::Compensation(step) => certain(&format!(
            "{} could not be compensated, and the saga would be stuck half compensated",
            names.called(step)
        )),
        At::Output => certain("all would be done, and the saga would be stuck without its output"),
        At::Step(own) if names.steps[own].is_optional => {
            harmless("the step would fail, and the saga continue without it")
        }
        At::Step(_) | At::Item(_) => match names.pivot_before(scope) {
            Some(pivot) => certain(&format!(
                "the saga would be stuck, as there is no way back after {}",
                names.called(pivot)
            )),
            None => harmless("the saga would be rolled back here"),
        },
    }
}
