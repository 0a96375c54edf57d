//! The interventions of an operator, and those that the core has to accept in a state.
//!
//! They are derived from the state alone, independently of the core, so that the two can be compared.

use std::sync::Arc;

use snorri_core::definition::{Definition, Step};
use snorri_core::id::{Direction, StepPath};
use snorri_core::input::{Input, Intervention, Migrate, Resolution};
use snorri_core::journal::{By, InterventionKind};
use snorri_core::limits::MAX_LIMITS_RAISED;
use snorri_core::state::{Pending, State, StepOutcome};

/// One intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Act {
    Retry,
    /// Resolves a held command as succeeded.
    Succeeded,
    /// Resolves a held command as failed.
    Failed,
    Skip,
    Rollback,
    Abandon,
    RaiseLimits,
    Pause,
    Resume,
    Migrate,
}

/// The interventions that name a step.
pub(super) const OF_STEP: [Act; 4] = [Act::Retry, Act::Succeeded, Act::Failed, Act::Skip];
/// The interventions on the whole saga.
pub(super) const OF_SAGA: [Act; 6] =
    [Act::Retry, Act::Rollback, Act::Abandon, Act::RaiseLimits, Act::Pause, Act::Resume];

impl Act {
    /// Its kind in the journal and in `allowed_actions`.
    pub(super) fn kind(self) -> Option<InterventionKind> {
        match self {
            Self::Retry => Some(InterventionKind::Retry),
            Self::Succeeded | Self::Failed => Some(InterventionKind::Resolve),
            Self::Skip => Some(InterventionKind::Skip),
            Self::Rollback => Some(InterventionKind::Rollback),
            Self::Abandon => Some(InterventionKind::Abandon),
            Self::RaiseLimits => Some(InterventionKind::RaiseLimits),
            Self::Pause | Self::Resume | Self::Migrate => None,
        }
    }

    /// The input of the intervention. `to` is the target of a migration. `None`: it needs a step.
    pub(super) fn input(self, step: Option<&StepPath>, to: &Arc<Definition>) -> Option<Input> {
        let by = By { actor: "an operator".to_owned(), reason: "a decision".to_owned() };
        let resolve = |outcome| Some(Intervention::Resolve { step: step?.clone(), outcome });
        let action = match self {
            Self::Pause => return Some(Input::Pause(by)),
            Self::Resume => return Some(Input::Resume(by)),
            Self::Migrate => return Some(Input::Migrate(Box::new(Migrate { to: Arc::clone(to), by }))),
            Self::Retry => Intervention::Retry { step: step.cloned() },
            Self::Succeeded => resolve(Resolution::Succeeded(Arc::default()))?,
            Self::Failed => resolve(Resolution::Failed)?,
            Self::Skip => Intervention::Skip { step: step.cloned() },
            Self::Rollback => Intervention::Rollback,
            Self::Abandon => Intervention::Abandon,
            Self::RaiseLimits => Intervention::RaiseLimits,
        };
        Some(Input::Intervene { action, by })
    }

    /// Whether the core has to accept it.
    pub(super) fn is_allowed(self, definition: &Definition, state: &State, step: Option<&StepPath>) -> bool {
        let is_stuck = !state.incidents.is_empty();
        let held = || step.and_then(|step| held(state, step));
        let is_loose = || {
            let mut incidents = state.incidents.iter();
            incidents.any(|incident| incident.direction.is_none() && incident.step.as_ref() == step)
        };
        match self {
            _ if state.seq == 0 || state.ended.is_some() => false,
            Self::Migrate => true,
            Self::Pause => state.paused.is_none(),
            Self::Resume => state.paused.is_some(),
            Self::Abandon => is_stuck,
            _ if state.paused.is_some() => false,
            Self::RaiseLimits => state.limits_raised < MAX_LIMITS_RAISED,
            _ if !is_stuck => false,
            Self::Retry if step.is_none() => state.steps.keys().any(|step| self::held(state, step).is_some()),
            Self::Retry | Self::Succeeded => held().is_some(),
            Self::Failed => held() == Some(Direction::Forward),
            Self::Skip => held().is_some() || is_loose(),
            Self::Rollback => {
                let turns_back = state.rolling_back || state.stopping.is_some();
                !turns_back && !state.is_past_pivot(definition) && !is_pivot_held(definition, state)
            }
        }
    }
}

/// The interventions to explore in a state: those that lead to another state. An intervention that names no step is explored
/// only where it does more than one that names a step.
pub(super) fn choices<'a>(
    definition: &Definition,
    state: &'a State,
    with_pauses: bool,
) -> Vec<(Act, Option<&'a StepPath>)> {
    let is_allowed = |act: &Act, step| act.is_allowed(definition, state, step);
    let mut found = Vec::new();
    if !state.incidents.is_empty() {
        for path in steps_with_incidents(state) {
            let acts = OF_STEP.iter().filter(|act| is_allowed(act, Some(path)));
            found.extend(acts.map(|act| (*act, Some(path))));
        }
        let held = state.steps.keys().filter(|step| held(state, step).is_some()).count();
        let acts = [Act::Retry, Act::Rollback, Act::Abandon];
        let acts = acts.iter().filter(|act| is_allowed(act, None) && (**act != Act::Retry || held > 1));
        found.extend(acts.map(|act| (*act, None)));
    }
    if with_pauses && is_allowed(&Act::Pause, None) {
        found.push((Act::Pause, None));
    }
    found
}

fn steps_with_incidents(state: &State) -> Vec<&StepPath> {
    let mut paths: Vec<_> = state.incidents.iter().filter_map(|incident| incident.step.as_ref()).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The direction of a step that waits for an operator.
pub(super) fn held(state: &State, step: &StepPath) -> Option<Direction> {
    let step = state.step(step)?;
    let both = [Direction::Forward, Direction::Compensate];
    both.into_iter().find(|direction| step.pending(*direction) == Some(Pending::Operator))
}

pub(super) fn is_pivot_held(definition: &Definition, state: &State) -> bool {
    state.steps.iter().any(|(path, step)| {
        step.outcome == StepOutcome::Pending(Pending::Operator)
            && definition.step(path).is_some_and(Step::is_pivot)
    })
}
