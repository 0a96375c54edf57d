//! Outputs that may be missing when an expression reads into them: of a step that is optional, of one that is skipped if its
//! condition is false, or of a wait that continues after its timeout.

use cel::IdedExpr;
use cel::common::ast::Expr;

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::extent::Text;
use super::infer::Typing;
use super::missing::{self, Place};
use super::value::{Absence, Missing, Type, Typed, Why};
use super::wanted::Wanted;
use super::{guard, report};

impl<'a> Typing<'a> {
    /// Removes the absence of a value that is known not to be null.
    pub(super) fn unless_present(&self, expression: &IdedExpr, of: Type) -> Type {
        let is_present =
            || guard::path(expression).is_some_and(|path| self.present.contains(&guard::is_not_null(&path)));
        if of.absence.is_some() && (of.is_vouched || is_present()) { of.absent(None) } else { of }
    }

    /// Notes that `whole` needs `part`, which may be an output that is missing.
    pub(super) fn needs(&mut self, part: &Typed<'a>, whole: &'a IdedExpr) {
        let Some(absence) = part.of.absence else { return };
        let path = guard::path(part.expression).unwrap_or_else(|| self.text.of(part.expression).to_owned());
        // A second read of the same output fails for the same reason.
        if self.missing.iter().any(|missing| missing.absence.is_some() && missing.path == path) {
            return;
        }
        self.missing.push(Missing {
            expression: whole,
            path,
            of: part.of.clone(),
            meant: None,
            is_compared_with_null: None,
            absence: Some((absence, part.expression)),
        });
    }

    /// The step whose output this is, if it is unknown after a timeout and the saga does not continue without it.
    pub(super) fn given_up(&self, output: &IdedExpr) -> Option<&'a str> {
        let path = guard::path(output)?;
        let name = path.strip_suffix(".output").filter(|name| !self.is_bound(name))?;
        let index = self.names.position(name)?;
        let step = &self.names.steps[index];
        let is_seen = self.names.absence(index, self.scope, &self.present).is_none();
        (step.gives_up && step.reply.is_none() && is_seen).then_some(step.name.as_str())
    }

    /// Reports `has(look.output)`: a step always has an output, but it may be null.
    pub(super) fn always_has(&self, whole: &IdedExpr, operand: &IdedExpr, field: &str) -> Option<Diagnostic> {
        let Expr::Ident(name) = &operand.expr else { return None };
        let is_step = field == "output" && !self.is_bound(name) && self.names.position(name).is_some();
        is_step.then(|| report::always_has_output(&self.text, whole, name))
    }
}

/// The diagnostic for reading into `output`, which may be missing. `None` if it may be missing here.
pub(super) fn report_absence(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    (absence, output): (Absence, &IdedExpr),
    place: &Place<'_>,
) -> Option<Diagnostic> {
    if absence.why == Why::Compensated {
        // A compensation reads its own step's output as null if that is unknown, but a text cannot hold null.
        return (place.wanted == Wanted::InText)
            .then(|| own_in_text(text, root, missing, (absence, output), place));
    }
    let harm = missing::harm(place.scope, place.names, place.wanted);
    let message = format!("`{}` may be missing: {}", text.of(output), harm.what);
    let diagnostic = Diagnostic::new(code::MAY_HAVE_NO_OUTPUT, text.extent(missing.expression), message)
        .label("without it, this expression fails");
    let diagnostic = if harm.is_stuck { diagnostic } else { diagnostic.warning() };
    let diagnostic = diagnostic.maybe_help(match place.wanted {
        Wanted::Time => Some(format!("leave the step out with `when: ${{ {} != null }}`", text.of(output))),
        _ => guarded(text, root, missing, output, place).map(|guarded| format!("write `{guarded}`")),
    });
    let cause = place.names.steps[absence.step].absences.iter().find(|(why, _)| *why == absence.why);
    Some(match cause {
        Some((why, at)) => diagnostic.also(at.clone(), reason(*why, &place.names.called(absence.step))),
        None => diagnostic,
    })
}

fn reason(why: Why, step: &str) -> String {
    match why {
        Why::Optional => format!("the saga continues without {step}, and its output is null then"),
        Why::Skipped => format!("{step} is left out if this is false, and its output is null then"),
        Why::TimedOut => format!("if nothing comes in time, the output of {step} is null"),
        Why::Compensated => format!("if the outcome of {step} is unknown, its output is null"),
    }
}

fn own_in_text(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    (absence, output): (Absence, &IdedExpr),
    place: &Place<'_>,
) -> Diagnostic {
    let step = place.names.called(absence.step);
    let message =
        format!("{step} could not be compensated if its outcome is unknown: a text cannot hold null");
    let guarded = guarded(text, root, missing, output, place);
    let write = guarded.map(|guarded| format!(", or write `{guarded}`")).unwrap_or_default();
    Diagnostic::new(code::OWN_OUTPUT_IN_TEXT, text.extent(missing.expression), message)
        .label("null after a timeout, whether the command was carried out or not")
        .help(format!(
            "send it alone, `\"${{ {} }}\"` with nothing around it, which gives null{write}",
            text.of(missing.expression)
        ))
        .warning()
}

/// The same expression, guarded against a missing output.
fn guarded(
    text: &Text<'_>,
    root: &IdedExpr,
    missing: &Missing<'_>,
    output: &IdedExpr,
    place: &Place<'_>,
) -> Option<String> {
    let wanted = place.wanted;
    if missing.is_compared_with_null.is_some() {
        return missing::guarded(text, root, missing, wanted);
    }
    let has = format!("{} != null", text.of(output));
    let name = guard::path(output).and_then(|path| path.split('.').next().map(str::to_owned));
    let is_known = |name: String| {
        place.names.position(&name).is_some() || place.names.items(place.scope).any(|item| item == name)
    };
    if !name.is_some_and(is_known) {
        // A name of a macro means nothing outside of it.
        return Some(format!("({has} ? {} : null)", text.of(missing.expression)));
    }
    let source = text.source.split_whitespace().collect::<Vec<_>>().join(" ");
    // What comes after `? :` or `||` in the source would be taken for a part of it.
    let grouped = if source.contains(['?', '|']) { format!("({source})") } else { source };
    Some(match wanted {
        Wanted::Key(_) | Wanted::Time => return None,
        Wanted::Condition(_) | Wanted::Match => {
            let at = text.extent(missing.expression).start;
            match missing::conjunct(text, root, at).filter(|_| !text.source.contains('\n')) {
                Some(start) => {
                    let (before, rest) = text.source.split_at(start);
                    format!("{before}{has} && {rest}")
                }
                None => format!("{has} && {grouped}"),
            }
        }
        Wanted::InText => format!("{has} ? {grouped} : ''"),
        // YAML takes a colon for its own, where there are no quotes.
        Wanted::List => format!("\"${{ {has} ? {grouped} : [] }}\""),
        Wanted::Anything | Wanted::Attribute => format!("\"${{ {has} ? {grouped} : null }}\""),
    })
}
