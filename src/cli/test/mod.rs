//! `snorri test`: runs the scenarios beside definitions, and tells what no scenario tried.

mod files;
mod json;
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args as ClapArgs;
use tokio::time::Instant;

use super::failure::{Failure, Outcome, exit};
use super::output::{self, ReportFormat};
use crate::catalog::{Compiled, Diagnostics, suggest};
use crate::scenario::{self, Coverage, Observed, Scenario, Section, Suite, Updated};
use files::Definitions;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Scenarios stand beside their definition: those of order.yaml in order.test.yaml. How they are written: docs/testing.md.

Exit codes: 0 all pass, 1 a scenario fails or too little is covered, 2 wrong usage or a file that is broken.

Examples:
  snorri test
  snorri test sagas/order.test.yaml --filter refused
  snorri test --coverage --min-coverage 90
  snorri test sagas/order.yaml --update && git diff sagas
  snorri test --format json | jq '.coverage[] | select(.percent < 100)'")]
pub struct Args {
    /// Directories, files of scenarios, and definitions that have scenarios beside them
    #[arg(default_value = "sagas")]
    paths: Vec<PathBuf>,
    /// Only scenarios with this in their name, in capitals or not; coverage is left out
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Tell of every outcome of every step which scenario tried it
    #[arg(long)]
    coverage: bool,
    /// Fail if less of any definition is tried
    #[arg(long, value_name = "PERCENT", conflicts_with = "filter", value_parser = percent)]
    min_coverage: Option<u8>,
    /// Write what really happens into the files, where it is not what they expect
    #[arg(long)]
    update: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// `90` or `90%`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse();
    number
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "write a whole number from 0 to 100, like `90` or `90%`".to_owned())
}

/// All that came of it.
#[derive(Debug, Default)]
struct Report {
    files: Vec<FileReport>,
    /// Of each definition that was looked at, in the order of their files.
    covered: Vec<Covered>,
    /// What keeps scenarios from being run.
    broken: Vec<Diagnostics>,
    updated: Vec<PathBuf>,
    /// The scenarios that were not asked for.
    passed_over: Vec<String>,
    /// The scenarios that could not be updated.
    left: Vec<(PathBuf, String)>,
    took: Duration,
}

#[derive(Debug)]
struct FileReport {
    path: PathBuf,
    compiled: Arc<Compiled>,
    runs: Vec<Run>,
}

/// One scenario, and what became of it.
#[derive(Debug)]
struct Run {
    scenario: Scenario,
    observed: Observed,
    differing: Vec<Section>,
    /// Whether what happened was written into it.
    is_updated: bool,
    took: Duration,
}

#[derive(Debug)]
struct Covered {
    compiled: Arc<Compiled>,
    coverage: Coverage,
}

impl Run {
    fn of(compiled: &Compiled, scenario: Scenario) -> Self {
        let began = Instant::now();
        let observed = scenario::run(compiled, &scenario);
        let took = began.elapsed();
        let differing = scenario::expect::differing(&scenario, &observed);
        Self { scenario, observed, differing, is_updated: false, took }
    }

    fn passes(&self) -> bool {
        self.scenario.expects_something() && self.differing.is_empty() && self.observed.objections.is_empty()
    }
}

impl Report {
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.files.iter().flat_map(|file| &file.runs)
    }

    fn failed(&self) -> usize {
        self.runs().filter(|run| !run.passes()).count()
    }

    /// The definitions of which less than this is tried.
    fn below(&self, percent: Option<u8>) -> impl Iterator<Item = &Covered> {
        let least = usize::from(percent.unwrap_or(0));
        self.covered.iter().filter(move |covered| covered.coverage.percent() < least)
    }
}

pub fn run(args: &Args) -> Outcome {
    let report = made(args)?;
    match args.format {
        ReportFormat::Text => output::print(&report::text(&report, args))?,
        ReportFormat::Json => output::json(&json::document(&report))?,
    }
    Ok(match () {
        () if !report.broken.is_empty() => ExitCode::from(exit::USAGE),
        () if report.failed() > 0 || report.below(args.min_coverage).next().is_some() => ExitCode::FAILURE,
        () => ExitCode::SUCCESS,
    })
}

fn made(args: &Args) -> Result<Report, Failure> {
    let began = Instant::now();
    let mut definitions = Definitions::default();
    let paths = files::find(&args.paths, &mut definitions)?;
    let mut report = Report::default();
    for path in paths {
        if let Some(file) = tested(&path, args, &mut definitions, &mut report)? {
            report.files.push(file);
        }
    }
    if let Some(text) = &args.filter
        && report.runs().next().is_none()
        && report.broken.is_empty()
    {
        return Err(nobody_named(text, &report.passed_over));
    }
    if args.filter.is_none() {
        report.covered = covered(&report.files, &definitions);
    }
    report.broken.extend(definitions.into_broken());
    if !report.broken.is_empty() {
        // What was not run covers nothing, and that is nobody's fault.
        report.covered.clear();
    }
    report.took = began.elapsed();
    Ok(report)
}

fn nobody_named(text: &str, names: &[String]) -> Failure {
    let there_is = match names.len() {
        0 => "there are no scenarios at all".to_owned(),
        1 => format!("the only one is {}", suggest::all_of(names.iter().map(String::as_str))),
        all => format!("the {all} are {}", suggest::all_of(names.iter().map(String::as_str))),
    };
    Failure::usage(format!("no scenario has `{text}` in its name: {there_is}"))
}

/// Runs the scenarios of one file. `None`: they cannot be run, and the report says why.
fn tested(
    path: &PathBuf,
    args: &Args,
    definitions: &mut Definitions,
    report: &mut Report,
) -> Result<Option<FileReport>, Failure> {
    let source = files::read(path)?;
    let compiled = match definitions.definition_of(path, &source)? {
        Ok(compiled) => compiled,
        Err(wrong) => {
            report.broken.extend(wrong);
            return Ok(None);
        }
    };
    let name = path.display().to_string();
    let read = |source: &str| scenario::read(&name, source, &compiled);
    let mut suite = match read(&source) {
        Ok(suite) => suite,
        Err(wrong) => {
            report.broken.push(wrong);
            return Ok(None);
        }
    };
    let mut written: BTreeSet<String> = BTreeSet::new();
    if args.update {
        let runs = runs(&compiled, suite, args).0;
        let observed: Vec<_> = runs.iter().map(|run| (&run.scenario, &run.observed)).collect();
        let Updated { text: updated, changed, left } = scenario::updated(&source, &observed);
        report.left.extend(left.into_iter().map(|scenario| (path.clone(), scenario)));
        suite = read(&updated).map_err(|wrong| {
            anyhow!("{name} was left as it is: what would be written cannot be read\n{wrong}")
        })?;
        if updated != source {
            std::fs::write(path, &updated)
                .map_err(|error| Failure::usage(format!("cannot write {name}: {error}")))?;
            report.updated.push(path.clone());
            written.extend(changed);
        }
    }
    let (mut runs, passed_over) = runs(&compiled, suite, args);
    runs.iter_mut().for_each(|run| run.is_updated = written.contains(&run.scenario.name));
    report.passed_over.extend(passed_over);
    Ok(Some(FileReport { path: path.clone(), compiled, runs }))
}

/// The runs of the scenarios that are asked for, and the names of the others.
fn runs(compiled: &Compiled, suite: Suite, args: &Args) -> (Vec<Run>, Vec<String>) {
    let text = args.filter.as_ref().map(|text| text.to_lowercase());
    let is_wanted = |scenario: &Scenario| {
        text.as_ref().is_none_or(|text| scenario.name.to_lowercase().contains(text.as_str()))
    };
    let (wanted, others): (Vec<_>, Vec<_>) = suite.scenarios.into_iter().partition(is_wanted);
    let runs = wanted.into_iter().map(|scenario| Run::of(compiled, scenario)).collect();
    (runs, others.into_iter().map(|scenario| scenario.name).collect())
}

fn covered(files: &[FileReport], definitions: &Definitions) -> Vec<Covered> {
    let of = |compiled: &Arc<Compiled>| {
        let definition = &compiled.definition;
        let mut coverage = Coverage::of(definition);
        for file in files.iter().filter(|file| Arc::ptr_eq(&file.compiled, compiled)) {
            file.runs.iter().for_each(|run| coverage.take(definition, &run.scenario.name, &run.observed));
        }
        Covered { compiled: Arc::clone(compiled), coverage }
    };
    definitions.asked_for().map(of).collect()
}
