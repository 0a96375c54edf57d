//! The violations that the model check found, as diagnostics at their places in the source.

use std::sync::Arc;

use crate::model_check::{self, Bounds, ModelCheck, Rule, Surroundings, Violation};
use snorri_core::definition::Step;
use snorri_core::walk::comes_after;
use snorri_core::{Definition, StepPath};
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;

pub(super) fn check_model(compiled: &Compiled, others: &[Arc<Compiled>], bounds: &Bounds) -> ModelCheck {
    let definition = &compiled.definition;
    let all = || others.iter().map(|other| &other.definition).chain([definition]);
    let id = |definition: &Arc<Definition>| (definition.name.to_string(), definition.version);
    let has_pivot = |definition: &&Arc<Definition>| definition.steps().iter().any(Step::is_pivot);
    let around = Surroundings {
        committed: all().filter(has_pivot).map(id).collect(),
        known: all().map(id).collect(),
        is_child: all()
            .flat_map(|other| other.children())
            .any(|(_, child)| child.compensated && child.is_of(definition)),
    };
    model_check::check_model(definition, &around, bounds)
}

pub(super) fn findings(
    compiled: &Compiled,
    others: &[Arc<Compiled>],
    model_check: &ModelCheck,
) -> Vec<Diagnostic> {
    let missed = if model_check.is_cut { not_reached(compiled, others, model_check) } else { Vec::new() };
    let found = model_check.violations.iter().chain(&missed).map(|violation| finding(compiled, violation));
    found.chain(model_check.is_cut.then(|| not_all_tried(compiled, model_check))).collect()
}

fn not_all_tried(compiled: &Compiled, model_check: &ModelCheck) -> Diagnostic {
    let at = compiled.places.first().cloned().unwrap_or(0..0);
    let message = format!(
        "{} has more than {} states: not all of them were explored",
        compiled.label(),
        model_check.states
    );
    Diagnostic::new(code::NOT_ALL_TRIED, at, message)
        .label("the state space exceeds the bound")
        .help("raise the bound with `snorri check --states`, or move some of the steps to a child saga")
        .warning()
}

/// Steps that are certain to strand the saga, which an exploration that reached its bound may have missed.
fn not_reached(compiled: &Compiled, others: &[Arc<Compiled>], model_check: &ModelCheck) -> Vec<Violation> {
    let definition = &compiled.definition;
    let strands = others.iter().flat_map(|part| stranding(definition, &part.definition));
    let found = strands.map(|step| Violation {
        rule: Rule::ChildPastPivot,
        step: Some(model_check.called(&step.name).to_owned()),
        trace: vec![
            "the saga is cancelled while the child runs, and the pivot of the child succeeds".to_owned(),
        ],
    });
    let is_new = |violation: &Violation| {
        !model_check
            .violations
            .iter()
            .any(|known| known.rule == violation.rule && known.step == violation.step)
    };
    found.filter(is_new).collect()
}

/// The steps of a definition that start sagas of `part`, have to be compensated, and cannot be: the saga may be cancelled while
/// the child runs, and the pivot of the child may succeed.
fn stranding<'a>(definition: &'a Definition, part: &'a Definition) -> impl Iterator<Item = &'a Step> {
    let path = |step: &Step| StepPath::new(Arc::clone(&step.name));
    let is_after_pivot = move |step: &Step| {
        let mut pivots = definition.steps().iter().filter(|pivot| pivot.is_pivot() && pivot.when.is_none());
        step.within.is_empty() && pivots.any(|pivot| comes_after(definition, &path(step), &path(pivot)))
    };
    let has_pivot = part.steps().iter().any(Step::is_pivot);
    let parts =
        definition.children().filter(move |(_, child)| child.compensated && has_pivot && child.is_of(part));
    parts.map(|(index, _)| definition.step_at(index)).filter(move |step| !is_after_pivot(step))
}

/// Reports the parents of this definition that it would strand. They may have been registered before it.
pub(super) fn stranded_parents(compiled: &Compiled, others: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let own = &compiled.definition;
    let pivot = own.steps().iter().position(Step::is_pivot);
    let at = pivot.and_then(|pivot| compiled.places.get(pivot)).cloned().unwrap_or(0..0);
    let stranded = others.iter().flat_map(|whole| {
        stranding(&whole.definition, own).map(|step| format!("`{}` of {}", step.name, whole.label()))
    });
    let findings = stranded.map(|step| {
        let message = format!("{step} starts this saga, and may have to compensate it after its pivot");
        Diagnostic::new(code::CHILD_PAST_PIVOT, at.clone(), message)
            .label("cannot be compensated after its pivot")
            .help("fix the parent definition, or give this one a new `version`")
    });
    findings.collect()
}

fn finding(compiled: &Compiled, violation: &Violation) -> Diagnostic {
    let (code, message, help) = describe_violation(violation);
    let first = violation.step.as_deref().and_then(|names| names.split('/').next());
    let index = first.and_then(|name| compiled.definition.index_of(name));
    let span = index.and_then(|index| compiled.places.get(index.0)).or(compiled.places.first());
    Diagnostic::new(code, span.cloned().unwrap_or(0..0), message)
        .label(label(violation.rule))
        .help(help)
        .trace(violation.trace.clone())
}

/// The help for violations that no definition can cause.
const OURS: &str =
    "this is a bug in Snorri, not in the definition: please report it with this counterexample";

fn describe_violation(violation: &Violation) -> (&'static str, String, &'static str) {
    let step = violation.step.as_deref().unwrap_or("the saga");
    match violation.rule {
        Rule::ChildPastPivot => (
            code::CHILD_PAST_PIVOT,
            format!("the saga of `{step}` may have to be compensated after it has passed its own pivot"),
            "make the step the pivot of this saga, put it after the pivot, or set `compensate: none` if it may remain",
        ),
        Rule::RefusedBesidePivot => (
            code::REFUSED_NEXT_TO_PIVOT,
            format!("`{step}` can be refused after the pivot parallel to it has succeeded"),
            "move it before the pivot, or after it as a step that is retried until it succeeds",
        ),
        Rule::HalfUndone => {
            (code::HALF_UNDONE, format!("a saga can end as compensated although `{step}` is not"), OURS)
        }
        Rule::HalfDone => (code::HALF_DONE, format!("a saga can end as completed without `{step}`"), OURS),
        Rule::WaitsForEver => (code::WAITS_FOR_EVER, "a saga can wait forever".to_owned(), OURS),
        Rule::CommandTooEarly => (
            code::COMMAND_TOO_EARLY,
            format!("`{step}` can be sent before the steps that precede it have ended"),
            OURS,
        ),
        Rule::CommandAfterUndo => {
            (code::COMMAND_AFTER_UNDO, format!("`{step}` can be sent after it was compensated"), OURS)
        }
        Rule::UndoOutOfOrder => (
            code::UNDO_OUT_OF_ORDER,
            format!("`{step}` can be compensated before a step that came after it"),
            OURS,
        ),
        Rule::OutcomeChanged => {
            (code::OUTCOME_CHANGED, format!("the outcome of `{step}` can change afterwards"), OURS)
        }
        Rule::IncidentLost => {
            let message = format!("`{step}` can stop waiting for an operator without an intervention");
            (code::INCIDENT_LOST, message, OURS)
        }
        Rule::UnknownAsRefused => (
            code::UNKNOWN_AS_REFUSED,
            format!("`{step}` can count as refused although no participant refused it"),
            OURS,
        ),
        Rule::WrongIntervention => (
            code::WRONG_INTERVENTION,
            format!("an operator's intervention on `{step}` is accepted, refused or offered wrongly"),
            OURS,
        ),
        Rule::PauseChanges => (
            code::PAUSE_CHANGES,
            "a paused saga can act, or take another path once it is resumed".to_owned(),
            OURS,
        ),
        Rule::NoWayOut => {
            let message = "a saga can reach a state in which an operator can only abandon it";
            (code::NO_WAY_OUT, message.to_owned(), OURS)
        }
        Rule::MigrationChanges => (
            code::MIGRATION_CHANGES,
            "a saga can be changed by a migration to the same definition".to_owned(),
            OURS,
        ),
    }
}

fn label(rule: Rule) -> &'static str {
    match rule {
        Rule::ChildPastPivot => "cannot be compensated after its pivot",
        Rule::RefusedBesidePivot => "the saga can then neither roll back nor complete",
        _ => "violated at this step",
    }
}
