//! `snorri test`: runs the scenarios of definitions, and reports the outcomes that no scenario covers.

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

use crate::cli::failure::{CommandResult, Failure, exit};
use crate::cli::output::{self, ReportFormat};
use files::LoadedDefinitions;
use snorri_definition::Compiled;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::suggest;
use snorri_verify::scenario::{self, Coverage, Observed, Scenario, Section, Suite};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The scenarios of order.yaml are in order.test.yaml in the same directory. Their format: docs/testing.md.

Exit codes: 0 all scenarios pass, 1 a scenario fails or the coverage is too low, 2 wrong usage or a file with errors.

Examples:
  snorri test
  snorri test sagas/order.test.yaml --filter refused
  snorri test --coverage --min-coverage 90
  snorri test sagas/order.yaml --update && git diff sagas
  snorri test --format json | jq '.coverage[] | select(.percent < 100)'")]
pub struct Args {
    /// Directories, files of scenarios, and definitions with scenarios
    #[arg(default_value = "sagas")]
    paths: Vec<PathBuf>,
    /// Only scenarios with this text in their name, ignoring case; omits coverage
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// List every outcome of every step, with the scenario that covers it
    #[arg(long)]
    coverage: bool,
    /// Fail if the coverage of a definition is lower
    #[arg(long, value_name = "PERCENT", conflicts_with = "filter", value_parser = percent)]
    min_coverage: Option<u8>,
    /// Write the observed results into the files where they differ from the expectations
    #[arg(long)]
    update: bool,
    /// Output for people or for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// Parses `90` or `90%`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse();
    number
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "it must be a whole number from 0 to 100, such as `90` or `90%`".to_owned())
}

/// The results of all files.
#[derive(Debug, Default)]
struct TestReport {
    files: Vec<FileReport>,
    /// The coverage of each requested definition, in the order of their files.
    covered: Vec<Covered>,
    /// The errors that prevent scenarios from running.
    broken: Vec<Diagnostics>,
    updated: Vec<PathBuf>,
    /// The names of the scenarios that the filter excludes.
    passed_over: Vec<String>,
    /// The scenarios that `--update` could not update.
    left: Vec<(PathBuf, String)>,
    took: Duration,
}

#[derive(Debug)]
struct FileReport {
    path: PathBuf,
    compiled: Arc<Compiled>,
    runs: Vec<Run>,
}

/// The result of one scenario.
#[derive(Debug)]
struct Run {
    scenario: Scenario,
    observed: Observed,
    differing: Vec<Section>,
    /// Whether the observed result was written into it.
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

impl TestReport {
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.files.iter().flat_map(|file| &file.runs)
    }

    fn failed(&self) -> usize {
        self.runs().filter(|run| !run.passes()).count()
    }

    /// The definitions with a lower coverage.
    fn below(&self, percent: Option<u8>) -> impl Iterator<Item = &Covered> {
        let least = usize::from(percent.unwrap_or(0));
        self.covered.iter().filter(move |covered| covered.coverage.percent() < least)
    }
}

pub fn run(args: &Args) -> CommandResult {
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

fn made(args: &Args) -> Result<TestReport, Failure> {
    let began = Instant::now();
    let mut definitions = LoadedDefinitions::default();
    let paths = files::find(&args.paths, &mut definitions)?;
    let mut report = TestReport::default();
    for path in paths {
        if let Some(file) = tested(&path, args, &mut definitions, &mut report)? {
            report.files.push(file);
        }
    }
    if let Some(text) = &args.filter
        && report.runs().next().is_none()
        && report.broken.is_empty()
    {
        return Err(no_match(text, &report.passed_over));
    }
    if args.filter.is_none() {
        report.covered = covered(&report.files, &definitions);
    }
    report.broken.extend(definitions.into_broken());
    if !report.broken.is_empty() {
        // Coverage is meaningless if some scenarios did not run.
        report.covered.clear();
    }
    report.took = began.elapsed();
    Ok(report)
}

fn no_match(text: &str, names: &[String]) -> Failure {
    let there_is = match names.len() {
        0 => "there are no scenarios".to_owned(),
        1 => format!("the only one is {}", suggest::all_of(names.iter().map(String::as_str))),
        all => format!("the {all} are {}", suggest::all_of(names.iter().map(String::as_str))),
    };
    Failure::usage(format!("no scenario has `{text}` in its name: {there_is}"))
}

/// Runs the scenarios of one file. `None`: they cannot run, and the report has the errors.
fn tested(
    path: &PathBuf,
    args: &Args,
    definitions: &mut LoadedDefinitions,
    report: &mut TestReport,
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
        let updated = scenario::updated(&source, &observed);
        suite = read(&updated.text)
            .map_err(|wrong| anyhow!("{name} is unchanged: the updated text would not be valid\n{wrong}"))?;
        if !updated.is_intended(&source, &suite, &observed) {
            Err(anyhow!(
                "{name} is unchanged: the update would not give the observed values, or would change other values as \
                 well; write out what scenarios share by an anchor"
            ))?;
        }
        report.left.extend(updated.left.into_iter().map(|scenario| (path.clone(), scenario)));
        if updated.text != source {
            std::fs::write(path, &updated.text)
                .map_err(|error| Failure::usage(format!("cannot write {name}: {error}")))?;
            report.updated.push(path.clone());
            written.extend(updated.changed);
        }
    }
    let (mut runs, passed_over) = runs(&compiled, suite, args);
    runs.iter_mut().for_each(|run| run.is_updated = written.contains(&run.scenario.name));
    report.passed_over.extend(passed_over);
    Ok(Some(FileReport { path: path.clone(), compiled, runs }))
}

/// Runs the scenarios that match the filter, and returns the names of the others.
fn runs(compiled: &Compiled, suite: Suite, args: &Args) -> (Vec<Run>, Vec<String>) {
    let text = args.filter.as_ref().map(|text| text.to_lowercase());
    let is_wanted = |scenario: &Scenario| {
        text.as_ref().is_none_or(|text| scenario.name.to_lowercase().contains(text.as_str()))
    };
    let (wanted, others): (Vec<_>, Vec<_>) = suite.scenarios.into_iter().partition(is_wanted);
    let runs = wanted.into_iter().map(|scenario| Run::of(compiled, scenario)).collect();
    (runs, others.into_iter().map(|scenario| scenario.name).collect())
}

fn covered(files: &[FileReport], definitions: &LoadedDefinitions) -> Vec<Covered> {
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
