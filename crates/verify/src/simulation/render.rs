//! Renders a report as text.

use super::histogram::{Bucket, edge};
use super::report::{Durations, ENDS, Report};
use super::table::{aligned, bar, count, percent, some, table, time};
use comfy_table::CellAlignment;
use snorri_core::Direction;

/// The width of the bars.
const BAR: u64 = 40;

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
    table(rows)
}

fn bars(report: &Report) -> String {
    let sum = |bucket: &Bucket| bucket.runs.values().sum::<u64>();
    let most = report.histogram.iter().map(sum).max().unwrap_or_default();
    let rows = report.histogram.iter().map(|bucket| {
        let runs = sum(bucket);
        let mix = match report.ends.len() {
            0 | 1 => String::new(),
            _ => {
                let parts = ENDS.iter().filter_map(|end| Some((end, bucket.runs.get(end)?)));
                let parts: Vec<_> = parts.map(|(end, runs)| format!("{} {end}", count(*runs))).collect();
                format!("  {}", parts.join(", "))
            }
        };
        let range = format!("{} – {}", edge(bucket.from), edge(bucket.to));
        vec![range, count(runs), format!("{}{mix}", bar(runs, most, BAR))]
    });
    aligned(rows.collect(), &[CellAlignment::Right, CellAlignment::Right, CellAlignment::Left])
}

fn causes(report: &Report) -> String {
    let rows: Vec<_> = report
        .causes
        .iter()
        .map(|cause| {
            let of = report.ends.iter().find(|end| end.end == cause.end).map_or(report.runs, |end| end.runs);
            let step = match (&cause.step, cause.direction) {
                (Some(step), Direction::Forward) => format!("{step}: "),
                (Some(step), Direction::Compensate) => format!("compensation of {step}: "),
                (None, _) => String::new(),
            };
            vec![
                format!("{}, {step}{}", cause.end, cause.what.replace('_', " ")),
                count(cause.runs),
                percent(cause.runs, of),
            ]
        })
        .collect();
    table(rows)
}

fn steps(report: &Report) -> String {
    const HEAD: [&str; 12] = [
        "step",
        "begun",
        "retries",
        "refused",
        "unknown",
        "held",
        "late",
        "compensated",
        "compensation retries",
        "p50",
        "p99",
        "max",
    ];
    let mut rows = vec![row(HEAD)];
    for step in report.steps.iter().filter(|step| step.begun > 0) {
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
            step.compensated,
            step.undo_retries,
        ];
        let took = [step.took.p50, step.took.p99, step.took.max].map(time);
        rows.push(std::iter::once(name).chain(counts.map(some)).chain(took).collect());
    }
    table(rows)
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
