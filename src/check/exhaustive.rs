//! What the exploration of a definition's sagas found, as findings at their places in the source.

use std::sync::Arc;

use crate::catalog::{Compiled, Diagnostic, code};
use crate::proof::{self, Bounds, Proof, Rule, Surroundings, Violation};
use crate::saga::definition::Step;
use crate::saga::walk::comes_after;
use crate::saga::{Definition, StepPath};

pub(super) fn prove(compiled: &Compiled, beside: &[Arc<Compiled>], bounds: &Bounds) -> Proof {
    let definition = &compiled.definition;
    let all = || beside.iter().map(|other| &other.definition).chain([definition]);
    let id = |definition: &Arc<Definition>| (definition.name.to_string(), definition.version);
    let has_pivot = |definition: &&Arc<Definition>| definition.steps().iter().any(Step::is_pivot);
    let around = Surroundings {
        committed: all().filter(has_pivot).map(id).collect(),
        known: all().map(id).collect(),
        is_child: all()
            .flat_map(|other| other.children())
            .any(|(_, child)| child.undone && child.is_of(definition)),
    };
    proof::prove(definition, &around, bounds)
}

pub(super) fn findings(compiled: &Compiled, beside: &[Arc<Compiled>], proof: &Proof) -> Vec<Diagnostic> {
    let missed = if proof.is_cut { not_reached(compiled, beside, proof) } else { Vec::new() };
    let found = proof.violations.iter().chain(&missed).map(|violation| finding(compiled, violation));
    found.chain(proof.is_cut.then(|| not_all_tried(compiled, proof))).collect()
}

fn not_all_tried(compiled: &Compiled, proof: &Proof) -> Diagnostic {
    let at = compiled.places.first().cloned().unwrap_or(0..0);
    let message =
        format!("{} has more than {} states: not all of them were tried", compiled.label(), proof.states);
    Diagnostic::new(code::NOT_ALL_TRIED, at, message)
        .label("what can happen from here on is too much")
        .help("`snorri check --states` tries more; or move a part of it to a saga of its own")
        .warning()
}

/// What strands a saga in any case, where the exploration may not have come so far.
fn not_reached(compiled: &Compiled, beside: &[Arc<Compiled>], proof: &Proof) -> Vec<Violation> {
    let definition = &compiled.definition;
    let strands = beside.iter().flat_map(|part| stranding(definition, &part.definition));
    let found = strands.map(|step| Violation {
        rule: Rule::ChildPastPivot,
        step: Some(proof.called(&step.name).to_owned()),
        story: vec![
            "somebody cancels the saga while the child is under way, and its pivot succeeds".to_owned(),
        ],
    });
    let is_new = |violation: &Violation| {
        !proof.violations.iter().any(|known| known.rule == violation.rule && known.step == violation.step)
    };
    found.filter(is_new).collect()
}

/// The steps of a definition that are sagas of `part`, have to be undone, and cannot be: somebody may cancel while one is
/// under way, and its pivot may succeed.
fn stranding<'a>(definition: &'a Definition, part: &'a Definition) -> impl Iterator<Item = &'a Step> {
    let path = |step: &Step| StepPath::new(Arc::clone(&step.name));
    let is_after_pivot = move |step: &Step| {
        let mut pivots = definition.steps().iter().filter(|pivot| pivot.is_pivot() && pivot.when.is_none());
        step.within.is_empty() && pivots.any(|pivot| comes_after(definition, &path(step), &path(pivot)))
    };
    let has_pivot = part.steps().iter().any(Step::is_pivot);
    let parts =
        definition.children().filter(move |(_, child)| child.undone && has_pivot && child.is_of(part));
    parts.map(|(index, _)| definition.step_at(index)).filter(move |step| !is_after_pivot(step))
}

/// What a definition would do to those that have its sagas for parts, and that may have been registered before it.
pub(super) fn as_part(compiled: &Compiled, beside: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let own = &compiled.definition;
    let pivot = own.steps().iter().position(Step::is_pivot);
    let at = pivot.and_then(|pivot| compiled.places.get(pivot)).cloned().unwrap_or(0..0);
    let stranded = beside.iter().flat_map(|whole| {
        stranding(&whole.definition, own).map(|step| format!("`{}` of {}", step.name, whole.label()))
    });
    let told = stranded.map(|step| {
        let message = format!("{step} is this saga, and may have to undo it after its pivot");
        Diagnostic::new(code::CHILD_PAST_PIVOT, at.clone(), message)
            .label("cannot be undone any more then")
            .help("mend the saga that it is a part of, or give this one a new `version`")
    });
    told.collect()
}

fn finding(compiled: &Compiled, violation: &Violation) -> Diagnostic {
    let (code, message, help) = told(violation);
    let first = violation.step.as_deref().and_then(|names| names.split('/').next());
    let index = first.and_then(|name| compiled.definition.index_of(name));
    let span = index.and_then(|index| compiled.places.get(index.0)).or(compiled.places.first());
    Diagnostic::new(code, span.cloned().unwrap_or(0..0), message)
        .label(label(violation.rule))
        .help(help)
        .story(violation.story.clone())
}

/// What a definition cannot be the cause of.
const OURS: &str = "this is a mistake in Snorri, not in the definition: please report it, with this story";

fn told(violation: &Violation) -> (&'static str, String, &'static str) {
    let step = violation.step.as_deref().unwrap_or("the saga");
    match violation.rule {
        Rule::ChildPastPivot => (
            code::CHILD_PAST_PIVOT,
            format!("the saga of `{step}` may have to be undone after it has passed its own pivot"),
            "make the step the pivot of this saga, put it after the pivot, or say `compensate: none` if it may stand",
        ),
        Rule::RefusedBesidePivot => (
            code::REFUSED_BESIDE_PIVOT,
            format!("`{step}` can be refused after the pivot beside it has succeeded"),
            "do it before the pivot, or after it as a step that is retried until it succeeds",
        ),
        Rule::HalfUndone => {
            (code::HALF_UNDONE, format!("a saga can end compensated with `{step}` not undone"), OURS)
        }
        Rule::HalfDone => (code::HALF_DONE, format!("a saga can end completed without `{step}`"), OURS),
        Rule::WaitsForEver => (code::WAITS_FOR_EVER, "a saga can wait for ever".to_owned(), OURS),
        Rule::CommandTooEarly => (
            code::COMMAND_TOO_EARLY,
            format!("`{step}` can be sent before what comes before it has ended"),
            OURS,
        ),
        Rule::CommandAfterUndo => {
            (code::COMMAND_AFTER_UNDO, format!("`{step}` can be sent after it was undone"), OURS)
        }
        Rule::UndoOutOfOrder => (
            code::UNDO_OUT_OF_ORDER,
            format!("`{step}` can be undone before a step that came after it"),
            OURS,
        ),
        Rule::OutcomeChanged => {
            (code::OUTCOME_CHANGED, format!("what became of `{step}` can change afterwards"), OURS)
        }
        Rule::IncidentLost => {
            (code::INCIDENT_LOST, format!("`{step}` can stop waiting for an operator by itself"), OURS)
        }
        Rule::UnknownAsRefused => (
            code::UNKNOWN_AS_REFUSED,
            format!("`{step}` can count as refused although nobody refused it"),
            OURS,
        ),
        Rule::WrongIntervention => (
            code::WRONG_INTERVENTION,
            format!("an operator's intervention on `{step}` is accepted, refused or offered wrongly"),
            OURS,
        ),
        Rule::PauseChanges => (
            code::PAUSE_CHANGES,
            "a paused saga can do something, or go another way once it is resumed".to_owned(),
            OURS,
        ),
        Rule::NoWayOut => {
            (code::NO_WAY_OUT, "a saga can come to where an operator can only abandon it".to_owned(), OURS)
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
        Rule::ChildPastPivot => "cannot be undone any more then",
        Rule::RefusedBesidePivot => "then there is no way back and none forward",
        _ => "it happens to this step",
    }
}
