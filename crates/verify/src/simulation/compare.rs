//! Compares reports of the same runs with different faults.

use super::render::row;
use super::report::Report;
use super::table::{count, percent, table, time};

/// One of a report's durations.
type Pick = fn(&Report) -> u64;

/// Renders reports as columns under their names. The first is the base of the comparison.
pub fn comparison(reports: &[(String, Report)]) -> String {
    let Some((_, base)) = reports.first() else { return String::new() };
    let mut rows = vec![row([""])];
    rows[0].extend(reports.iter().map(|(name, _)| name.clone()));
    let mut ends: Vec<&str> = Vec::new();
    for end in reports.iter().flat_map(|(_, report)| &report.ends) {
        if !ends.contains(&end.end) {
            ends.push(end.end);
        }
    }
    for name in &ends {
        let share = |report: &Report| {
            let runs = report.ends.iter().find(|end| end.end == *name).map_or(0, |end| end.runs);
            percent(runs, report.runs)
        };
        rows.push(line(name, reports, share));
    }
    let picks: [(&str, Pick); 5] = [
        ("p50", |report| report.durations.p50),
        ("p90", |report| report.durations.p90),
        ("p99", |report| report.durations.p99),
        ("p99.9", |report| report.durations.p999),
        ("max", |report| report.durations.max),
    ];
    for (name, pick) in picks {
        rows.push(line(name, reports, |report| times(pick(report), pick(base), time(pick(report)))));
    }
    rows.push(line("commands a run", reports, |report| {
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let each =
            report.steps.iter().map(|step| step.commands).sum::<u64>() as f64 / report.runs.max(1) as f64;
        format!("{each:.2}")
    }));
    format!(
        "{} v{}: the same {} runs, seed {}\n\n{}{}",
        base.definition,
        base.version,
        count(base.runs),
        base.seed,
        table(rows),
        notes(reports)
    )
}

/// The notes of all reports, each once, with the name of its report unless it is the first.
fn notes(reports: &[(String, Report)]) -> String {
    let mut seen: Vec<&String> = Vec::new();
    let mut text = String::new();
    for (index, (name, report)) in reports.iter().enumerate() {
        for note in &report.notes {
            if seen.contains(&note) {
                continue;
            }
            seen.push(note);
            match index {
                0 => text.push_str(&format!("\nnote: {note}\n")),
                _ => text.push_str(&format!("\nnote: {name}: {note}\n")),
            }
        }
    }
    text
}

fn line(name: &str, reports: &[(String, Report)], cell: impl Fn(&Report) -> String) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(reports.iter().map(|(_, report)| cell(report))).collect()
}

/// Appends the factor to the base, unless it is about 1.
fn times(millis: u64, base: u64, text: String) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let factor = millis as f64 / base.max(1) as f64;
    if (0.95..1.05).contains(&factor) { text } else { format!("{text} (×{factor:.1})") }
}
