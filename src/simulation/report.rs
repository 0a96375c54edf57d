//! What many runs tell: how they ended, how long that took, why, and what each step had to do with it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::plan::Plan;
use super::table::{bar, count, percent, some, table, time};
use super::tally::{StepTally, Tally};
use crate::saga::Direction;

/// How many lines a histogram has at most.
const MOST_BUCKETS: u32 = 14;
/// How wide its bars are.
const BAR: u64 = 40;
/// In this order, whatever else there is after them.
const ENDS: [&str; 5] = ["completed", "compensated", "stuck", "abandoned", "unfinished"];

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub definition: String,
    pub version: u32,
    pub runs: u64,
    pub seed: u64,
    pub ends: Vec<EndReport>,
    /// How long all runs took that ended by themselves.
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
pub struct Bucket {
    pub from: u64,
    pub to: u64,
    pub runs: BTreeMap<&'static str, u64>,
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
    /// Of which definition it is.
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
    pub undone: u64,
    pub late: u64,
    pub took: Durations,
    pub undo_took: Durations,
}

impl Durations {
    /// The smallest that so many of all are not longer than.
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
    let notes = tally.notes.into_keys().collect();
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
        undone: step.undone,
        late: step.late,
        took: Durations::of(&mut step.took),
        undo_took: Durations::of(&mut step.undo_took),
        step: step.name,
    }
}

/// The durations on a logarithmic scale: buckets of 1, 2 and 5, or wider ones if those are too many.
fn histogram(ends: &BTreeMap<&'static str, Vec<u64>>) -> Vec<Bucket> {
    let all = || ends.values().flatten().copied();
    let (Some(least), Some(most)) = (all().min(), all().max()) else { return Vec::new() };
    let mut edges = edges(least, most, &[1, 2, 5]);
    if edges.len() > MOST_BUCKETS as usize {
        edges = self::edges(least, most, &[1]);
    }
    let buckets = edges.windows(2).map(|edge| {
        let count =
            |took: &Vec<u64>| took.iter().filter(|took| (edge[0]..edge[1]).contains(*took)).count() as u64;
        let runs = ends.iter().map(|(end, took)| (*end, count(took))).filter(|(_, count)| *count > 0);
        Bucket { from: edge[0], to: edge[1], runs: runs.collect() }
    });
    buckets.collect()
}

/// From the last edge that is not above `least` to the first that is above `most`.
fn edges(least: u64, most: u64, in_ten: &[u64]) -> Vec<u64> {
    let tens = (0..18).map(|power| 10_u64.pow(power));
    let all: Vec<_> =
        std::iter::once(0).chain(tens.flat_map(|ten| in_ten.iter().map(move |step| step * ten))).collect();
    let first = all.iter().rposition(|edge| *edge <= least).unwrap_or_default();
    let last = all.iter().position(|edge| *edge > most).unwrap_or(all.len() - 1);
    all[first..=last].to_vec()
}

/// For people.
pub fn text(report: &Report) -> String {
    let mut out = format!(
        "{} v{}: {} runs in virtual time, seed {}\n\n",
        report.definition,
        report.version,
        count(report.runs),
        report.seed
    );
    out.push_str(&ends(report));
    out.push_str("\nHow long they took\n");
    out.push_str(&bars(report));
    if !report.causes.is_empty() {
        out.push_str("\nWhy\n");
        out.push_str(&causes(report));
    }
    out.push_str("\nSteps\n");
    out.push_str(&steps(report));
    for note in &report.notes {
        out.push_str(&format!("\nnote: {note}\n"));
    }
    out
}

fn ends(report: &Report) -> String {
    let mut rows = vec![row(["end", "runs", "share", "p50", "p90", "p99", "p99.9", "max"])];
    let mut line = |name: &str, runs: u64, durations: Durations| {
        let cells = [name.to_owned(), count(runs), percent(runs, report.runs)];
        rows.push(cells.into_iter().chain(durations.cells()).collect());
    };
    report.ends.iter().for_each(|end| line(end.end, end.runs, end.durations));
    if report.ends.len() > 1 {
        line("all", report.runs, report.durations);
    }
    table(&rows, 2)
}

fn bars(report: &Report) -> String {
    let sum = |bucket: &Bucket| bucket.runs.values().sum::<u64>();
    let most = report.histogram.iter().map(sum).max().unwrap_or_default();
    let width = |texts: &dyn Fn(&Bucket) -> String| {
        report.histogram.iter().map(|bucket| texts(bucket).chars().count()).max().unwrap_or_default()
    };
    let range = |bucket: &Bucket| format!("{} – {}", edge(bucket.from), edge(bucket.to));
    let (ranges, counts) = (width(&range), width(&|bucket| count(sum(bucket))));
    let lines = report.histogram.iter().map(|bucket| {
        let runs = sum(bucket);
        let mix = match report.ends.len() {
            0 | 1 => String::new(),
            _ => {
                let parts = ENDS.iter().filter_map(|end| Some((end, bucket.runs.get(end)?)));
                let parts: Vec<_> = parts.map(|(end, runs)| format!("{} {end}", count(*runs))).collect();
                format!("  {}", parts.join(", "))
            }
        };
        let bar = bar(runs, most, BAR);
        let line = format!("  {:>ranges$}   {:>counts$}  {bar}{mix}", range(bucket), count(runs));
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// An edge of a bucket is a round number.
fn edge(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        _ if millis < 100_000 => format!("{}s", millis / 1_000),
        _ => time(millis),
    }
}

fn causes(report: &Report) -> String {
    let rows: Vec<_> = report
        .causes
        .iter()
        .map(|cause| {
            let of = report.ends.iter().find(|end| end.end == cause.end).map_or(report.runs, |end| end.runs);
            let step = match (&cause.step, cause.direction) {
                (Some(step), Direction::Forward) => format!("{step}: "),
                (Some(step), Direction::Compensate) => format!("undo of {step}: "),
                (None, _) => String::new(),
            };
            vec![
                format!("{}, {step}{}", cause.end, cause.what.replace('_', " ")),
                count(cause.runs),
                percent(cause.runs, of),
            ]
        })
        .collect();
    table(&rows, 2)
}

fn steps(report: &Report) -> String {
    let head = [
        "step",
        "begun",
        "retries",
        "refused",
        "unknown",
        "held",
        "late",
        "undone",
        "undo retries",
        "p50",
        "p99",
        "max",
    ];
    let mut rows = vec![row(head)];
    for step in &report.steps {
        let name = match step.definition == report.definition {
            true => step.step.clone(),
            false => format!("{}/{}", step.definition, step.step),
        };
        let counts = [
            step.begun,
            step.retries,
            step.refused,
            step.unknown,
            step.held,
            step.late,
            step.undone,
            step.undo_retries,
        ];
        let took = [step.took.p50, step.took.p99, step.took.max].map(time);
        rows.push(std::iter::once(name).chain(counts.map(some)).chain(took).collect());
    }
    table(&rows, 2)
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
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
