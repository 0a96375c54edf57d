//! The results of scenarios as text.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::{Args, Covered, FileReport, Run, TestReport};
use crate::cli::color::paint;
use crate::cli::output::{counted, tame};
use crate::cli::saga::render::{JournalRenderer, lasted};
use snorri_definition::Diagnostics;
use snorri_verify::scenario::Section;

/// Maximum width of the column of names.
const WIDEST: usize = 90;

pub(super) fn text(report: &TestReport, args: &Args) -> String {
    let mut text = String::new();
    for diagnostics in &report.broken {
        text.push_str(&diagnostics.pretty());
        text.push('\n');
    }
    for file in report.files.iter().filter(|file| !file.runs.is_empty()) {
        of_file(&mut text, file);
    }
    for path in &report.updated {
        let runs = report.files.iter().filter(|file| file.path == *path).flat_map(|file| &file.runs);
        let scenarios = counted(runs.filter(|run| run.is_updated).count() as u64, "scenario");
        line(
            &mut text,
            &format!("{} {}: {scenarios} (~)", paint(AnsiColor::Yellow, "updated"), path.display()),
        );
    }
    for (path, scenario) in &report.left {
        let why = "it has no lines of its own, as in braces: write it as a block mapping";
        let left = paint(AnsiColor::Yellow, "not updated");
        line(&mut text, &format!("{left} {}: `{}`: {why}", path.display(), tame(scenario)));
    }
    if !report.covered.is_empty() {
        coverage(&mut text, report, args);
    }
    summary(&mut text, report, args);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn of_file(text: &mut String, file: &FileReport) {
    let dim = Style::new().dimmed();
    line(text, &format!("{}  {dim}{}{dim:#}", file.path.display(), file.compiled.label()));
    let names = file.runs.iter().map(|run| run.scenario.name.chars().count());
    let width = names.filter(|&width| width <= WIDEST).max().unwrap_or_default();
    for run in &file.runs {
        let sign = match (run.passes(), run.is_updated) {
            (false, _) => paint(AnsiColor::Red, "✗"),
            (true, true) => paint(AnsiColor::Yellow, "~"),
            (true, false) => paint(AnsiColor::Green, "✓"),
        };
        let name = tame(&run.scenario.name);
        let times = format!("{:>9}  {:.1} ms", lasted(run.observed.lasted), millis(run.took));
        line(text, &format!("  {sign} {name:width$}  {dim}{times}{dim:#}"));
        if !run.passes() {
            failure(text, file, run);
        }
    }
    text.push('\n');
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn failure(text: &mut String, file: &FileReport, run: &Run) {
    if !run.scenario.expects_something() {
        line(text, "      it has no expectations: write `expect:`, or add it with --update");
    }
    for objection in &run.observed.objections {
        line(text, &format!("      {}", paint(AnsiColor::Red, &tame(objection))));
    }
    for section in &run.differing {
        difference(text, section);
    }
    line(text, "      what happened:");
    let mut renderer = JournalRenderer::new(&file.compiled.definition);
    for entry_line in run.observed.entries.iter().flat_map(|entry| renderer.render_entry(entry)) {
        line(text, &format!("      {entry_line}"));
    }
}

/// Renders a difference: `-` is expected, `+` is observed.
fn difference(text: &mut String, section: &Section) {
    let joined = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (expected, got) = (section.expected.lines(section.key), section.got.lines(section.key));
    let (expected, got) = (joined(expected), joined(got));
    for change in TextDiff::from_lines(&expected, &got).iter_all_changes() {
        let value = tame(change.value().trim_end());
        line(
            text,
            &match change.tag() {
                ChangeTag::Equal => format!("        {value}"),
                ChangeTag::Delete => format!("      {}", paint(AnsiColor::Red, &format!("- {value}"))),
                ChangeTag::Insert => format!("      {}", paint(AnsiColor::Green, &format!("+ {value}"))),
            },
        );
    }
}

fn coverage(text: &mut String, report: &TestReport, args: &Args) {
    line(text, "Covered outcomes:");
    let width = report.covered.iter().map(|covered| covered.compiled.label().len()).max().unwrap_or_default();
    for Covered { compiled, coverage } in &report.covered {
        let percent = coverage.percent();
        let color = if percent == 100 { AnsiColor::Green } else { AnsiColor::Yellow };
        let all = format!("{} of {}", coverage.tried(), coverage.outcomes.len());
        let percent = paint(color, &format!("{percent:>3}%"));
        line(text, &format!("  {:width$}  {percent}  {all}", compiled.label()));
        if args.coverage {
            each_outcome(text, &coverage.outcomes);
        } else {
            let never = coverage.never_tried();
            let width = never.iter().map(|(step, _)| step.len()).max().unwrap_or_default();
            for (step, outcomes) in never {
                let never = paint(AnsiColor::Yellow, &format!("never tried: {}", outcomes.join(", ")));
                line(text, &format!("      {step:width$}  {never}"));
            }
        }
    }
    text.push('\n');
}

fn each_outcome(text: &mut String, outcomes: &[snorri_verify::scenario::coverage::Outcome]) {
    let steps = outcomes.iter().map(|outcome| outcome.step.len()).max().unwrap_or_default();
    let names = outcomes.iter().map(|outcome| outcome.outcome.len()).max().unwrap_or_default();
    for outcome in outcomes {
        let (step, name) = (&outcome.step, &outcome.outcome);
        let outcome_line = match &outcome.tried_by {
            Some(scenario) => {
                let dim = Style::new().dimmed();
                let sign = paint(AnsiColor::Green, "✓");
                format!("{sign} {step:steps$}  {name:names$}  {dim}{}{dim:#}", tame(scenario))
            }
            None => paint(AnsiColor::Yellow, &format!("· {step:steps$}  {name:names$}  never tried")),
        };
        line(text, &format!("      {outcome_line}"));
    }
}

fn summary(text: &mut String, report: &TestReport, args: &Args) {
    let (all, failed) = (report.runs().count(), report.failed());
    let broken: usize = report.broken.iter().map(Diagnostics::errors).sum();
    let passed = match failed {
        0 if all > 0 => paint(AnsiColor::Green, "all pass"),
        0 => "nothing to run".to_owned(),
        failed => paint(AnsiColor::Red, &format!("{failed} failed")),
    };
    let virtual_time: Duration = report.runs().map(|run| run.observed.lasted).sum();
    let scenarios = counted(all as u64, "scenario");
    let _ = write!(
        text,
        "{scenarios}: {passed}; {} of virtual time in {:.0} ms",
        lasted(virtual_time),
        millis(report.took)
    );
    text.push('\n');
    if broken > 0 {
        let errors = counted(broken as u64, "error");
        line(text, &paint(AnsiColor::Red, &format!("{errors} in files: their scenarios did not run")));
    }
    for covered in report.below(args.min_coverage) {
        let (name, percent) = (covered.compiled.label(), covered.coverage.percent());
        let least = args.min_coverage.unwrap_or_default();
        line(
            text,
            &paint(AnsiColor::Red, &format!("{name} has a coverage of {percent}%, and needs {least}%")),
        );
    }
}
