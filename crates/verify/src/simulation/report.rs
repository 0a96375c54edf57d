//! The report on many runs: ends, durations, causes, and figures of each step.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::histogram::{Bucket, histogram};
use super::plan::Plan;
use super::table::time;
use super::tally::{StepTally, Tally};
use snorri_core::Direction;
use snorri_core::definition::Action;

/// The ends, in the order of the report.
pub(super) const ENDS: [&str; 5] = ["completed", "compensated", "stuck", "abandoned", "unfinished"];

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub definition: String,
    pub version: u32,
    pub runs: u64,
    pub seed: u64,
    pub ends: Vec<EndReport>,
    /// The durations of all runs.
    pub durations: Durations,
    pub histogram: Vec<Bucket>,
    pub causes: Vec<CauseReport>,
    pub steps: Vec<StepReport>,
    pub input: Value,
    pub outputs: BTreeMap<String, Value>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct EndReport {
    pub end: &'static str,
    pub runs: u64,
    pub durations: Durations,
}

/// In milliseconds of virtual time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Durations {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct CauseReport {
    pub end: &'static str,
    pub step: Option<String>,
    pub direction: Direction,
    pub what: String,
    pub runs: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// The name of its definition.
    pub definition: String,
    pub step: String,
    pub begun: u64,
    pub attempts: u64,
    pub retries: u64,
    pub refused: u64,
    pub unknown: u64,
    pub held: u64,
    pub undos: u64,
    pub undo_retries: u64,
    /// The commands that were sent for it, compensations included.
    pub commands: u64,
    pub compensated: u64,
    pub late: u64,
    pub took: Durations,
    pub undo_took: Durations,
}

impl Durations {
    /// Percentiles: the smallest value that the given share of all values does not exceed.
    pub fn of(millis: &mut [u64]) -> Self {
        millis.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (millis.len() * per_mille).div_ceil(1_000).max(1);
            millis.get(rank - 1).copied().unwrap_or_default()
        };
        Self { p50: at(500), p90: at(900), p99: at(990), p999: at(999), max: at(1_000) }
    }

    pub(super) fn cells(self) -> [String; 5] {
        [self.p50, self.p90, self.p99, self.p999, self.max].map(time)
    }
}

pub fn report(plan: &Plan, tally: Tally) -> Report {
    let definition = &plan.compiled.definition;
    let histogram = histogram(&tally.ends);
    let mut all: Vec<_> = tally.ends.values().flatten().copied().collect();
    let ends = ENDS.into_iter().filter_map(|end| {
        let mut took = tally.ends.get(end)?.clone();
        Some(EndReport { end, runs: took.len() as u64, durations: Durations::of(&mut took) })
    });
    let mut causes: Vec<_> = tally
        .causes
        .iter()
        .map(|(cause, runs)| CauseReport {
            end: cause.end,
            step: cause.step.clone(),
            direction: cause.direction,
            what: cause.what.clone(),
            runs: *runs,
        })
        .collect();
    causes.sort_by_key(|cause| (cause.end, std::cmp::Reverse(cause.runs)));
    let (own, others): (Vec<_>, Vec<_>) =
        tally.steps.into_iter().partition(|((name, _), _)| **name == *definition.name);
    let notes = tally.notes.into_iter().chain(never_begun(plan, &own)).collect();
    Report {
        definition: definition.name.to_string(),
        version: definition.version,
        runs: tally.runs,
        seed: plan.seed,
        ends: ends.collect(),
        durations: Durations::of(&mut all),
        histogram,
        causes,
        steps: own
            .into_iter()
            .chain(others)
            .map(|((definition, _), step)| step_report(definition, step))
            .collect(),
        input: plan.input.as_ref().clone(),
        outputs: plan.outputs.iter().map(|(name, output)| (name.clone(), output.as_ref().clone())).collect(),
        notes,
    }
}

/// A note on the steps that no run reached.
fn never_begun(plan: &Plan, seen: &[((String, usize), StepTally)]) -> Option<String> {
    let steps = plan.compiled.definition.steps().iter().enumerate();
    let missing: Vec<_> = steps
        .filter(|(_, step)| {
            !matches!(step.action, Action::Choice(_) | Action::ForEach(_) | Action::Fail { .. })
        })
        .filter(|(index, _)| !seen.iter().any(|((_, at), tally)| at == index && tally.begun > 0))
        .map(|(_, step)| &*step.name)
        .collect();
    (!missing.is_empty())
        .then(|| format!("no run reached {}: try another input or other replies", missing.join(", ")))
}

fn step_report(definition: String, mut step: StepTally) -> StepReport {
    StepReport {
        definition,
        begun: step.begun,
        attempts: step.attempts,
        retries: step.attempts.saturating_sub(step.begun),
        refused: step.refused,
        unknown: step.unknown,
        held: step.held,
        undos: step.undos,
        undo_retries: step.undo_attempts.saturating_sub(step.undos),
        commands: step.commands,
        compensated: step.compensated,
        late: step.late,
        took: Durations::of(&mut step.took),
        undo_took: Durations::of(&mut step.undo_took),
        step: step.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_those_there_are() {
        let mut millis: Vec<_> = (1..=1_000).rev().collect();
        let durations = Durations::of(&mut millis);
        assert_eq!(durations, Durations { p50: 500, p90: 900, p99: 990, p999: 999, max: 1_000 });
        assert_eq!(Durations::of(&mut []), Durations::default());
        assert_eq!(Durations::of(&mut [7]).p50, 7);
    }
}
