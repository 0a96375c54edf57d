//! `snorri simulate`: simulates sagas with failure rates, in virtual time.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::cli::definition::named;
use crate::cli::failure::Failure;
use crate::cli::output::{self, ReportFormat};
use snorri_definition::InvalidInput;
use snorri_verify::simulation::{self, Faults, Plan, Rate, Report, Tally};

/// Maximum number of threads that share the runs.
const MOST_THREADS: u64 = 8;
const MOST_RUNS: u64 = 1_000_000;
/// Number of runs of a thread between two updates of the progress bar.
const STRIDE: usize = 100;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Rates apply to each attempt. `*` is the rate of every step without its own.
A duration such as 20ms..300ms is the range of 90% of all values (log-normal); uniform:20ms..300ms, 50ms and never are
possible as well.

Exit codes: 0 done, 1 the definition has errors (see `snorri check`), 2 wrong usage, or not readable.

Examples:
  snorri simulate order --failure charge=2% --timeout '*=0.5%'
  snorri simulate order --compare 'failure charge=2%' --compare 'timeout charge=2%'
  snorri simulate travel-booking --signal approved=5m..2h --latency seat=100ms..2s")]
pub struct Args {
    /// The definition: a file, or the name of a definition in `sagas`
    definition: String,
    /// Number of sagas, from 1 to 1,000,000
    #[arg(long, default_value_t = 10_000, value_parser = number_of_runs)]
    runs: u64,
    /// The seed; the same seed gives the same runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The input of the sagas, as JSON; default: the smallest that its schema allows
    #[arg(long, conflicts_with = "input_file")]
    input: Option<String>,
    /// A file with the input
    #[arg(long)]
    input_file: Option<PathBuf>,
    /// A JSON file with the outputs of the steps: an object by step
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// Rate of failures: the participant refuses
    #[arg(long, value_name = "STEP=RATE")]
    failure: Vec<Rate>,
    /// Rate of errors: the attempt fails and can be retried
    #[arg(long, value_name = "STEP=RATE")]
    error: Vec<Rate>,
    /// Rate of missing replies
    #[arg(long, value_name = "STEP=RATE")]
    timeout: Vec<Rate>,
    /// Rate of successes after the deadline
    #[arg(long, value_name = "STEP=RATE")]
    late: Vec<Rate>,
    /// Rate of refused compensations
    #[arg(long, value_name = "STEP=RATE")]
    compensation_failure: Vec<Rate>,
    /// Rate of cancelled sagas, each at a random moment
    #[arg(long, value_name = "RATE")]
    cancel: Option<String>,
    /// Latency of replies; default: 10ms..100ms
    #[arg(long, value_name = "STEP=RANGE")]
    latency: Vec<String>,
    /// Time from the start of a wait until its signal or event; default: 1m..10m
    #[arg(long, value_name = "NAME=RANGE")]
    signal: Vec<String>,
    /// Repeat the simulation with these additional faults, and compare the results
    #[arg(long, value_name = "FAULTS")]
    compare: Vec<String>,
    /// Output for people or for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let plan = plan(args)?;
    let base = if plan.faults == Faults::default() { "no faults" } else { "as given" };
    let mut plans = vec![(base.to_owned(), plan.clone())];
    for faults in &args.compare {
        let mut plan = plan.clone();
        plan.faults.add(faults).map_err(|why| Failure::usage(format!("--compare '{faults}': {why}")))?;
        check(&plan)?;
        plans.push((faults.clone(), plan));
    }
    let bar = output::progress(args.runs * plans.len() as u64);
    let reports: Vec<_> =
        plans.into_iter().map(|(name, plan)| (name, simulate(&plan, args.runs, &bar))).collect();
    bar.finish_and_clear();
    match (args.format, reports.as_slice()) {
        (ReportFormat::Json, [(_, report)]) => output::json(report),
        (ReportFormat::Json, reports) => output::json(&reports),
        (ReportFormat::Text, [(_, report)]) => {
            output::raw(&format!("{}{}", simulation::text(report), generated_notes(args, report)))
        }
        (ReportFormat::Text, reports) => {
            let text = simulation::comparison(reports);
            output::raw(&format!("{text}{}", generated_notes(args, &reports[0].1)))
        }
    }
}

/// Notes about the generated input and outputs.
fn generated_notes(args: &Args, report: &Report) -> String {
    let mut lines = String::new();
    if args.input.is_none() && args.input_file.is_none() {
        lines.push_str(&format!("\nnote: the input is generated ({}); set it with --input\n", report.input));
    }
    if args.outputs.is_none() {
        let outputs: Vec<_> =
            report.outputs.iter().filter(|(_, value)| **value != serde_json::json!({})).collect();
        if !outputs.is_empty() {
            let generated: Vec<_> = outputs.iter().map(|(name, value)| format!("{name} {value}")).collect();
            lines.push_str(&format!(
                "note: replies are generated ({}); set them with --outputs\n",
                generated.join(", ")
            ));
        }
    }
    lines
}

/// Simulates the runs on a few threads. The result does not depend on their number.
fn simulate(plan: &Plan, runs: u64, bar: &ProgressBar) -> Report {
    let threads =
        thread::available_parallelism().map_or(1, |count| count.get() as u64).clamp(1, MOST_THREADS);
    let part = runs.div_ceil(threads);
    let tally = thread::scope(|scope| {
        let parts = (0..threads).map(|index| (index * part).min(runs)..((index + 1) * part).min(runs));
        let running: Vec<_> = parts.map(|runs| scope.spawn(move || in_strides(plan, runs, bar))).collect();
        running.into_iter().filter_map(|part| part.join().ok()).fold(Tally::default(), Tally::with)
    });
    simulation::report(plan, tally)
}

fn in_strides(plan: &Plan, runs: Range<u64>, bar: &ProgressBar) -> Tally {
    let end = runs.end;
    runs.step_by(STRIDE).fold(Tally::default(), |tally, from| {
        let to = from.saturating_add(STRIDE as u64).min(end);
        let tally = tally.with(simulation::simulate(plan, from..to));
        bar.inc(to - from);
        tally
    })
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let (compiled, neighbours) = named::with_neighbours(&args.definition)?;
    let mut plan = Plan::new(compiled, neighbours, args.seed);
    if let Some(text) = text_of(args.input.as_deref(), args.input_file.as_deref())? {
        plan.input = Arc::new(crate::cli::saga::interventions::json("the input", &text)?);
    }
    if let Err(invalid) = plan.compiled.check_input(&plan.input) {
        let why: Vec<_> = invalid.iter().map(complaint).collect();
        return Err(Failure::usage(format!(
            "a saga cannot start with the input {}: {}. Set another with --input",
            plan.input,
            why.join("; ")
        )));
    }
    let key = plan.compiled.key(&plan.input).map_err(|error| {
        Failure::usage(format!(
            "the input {} has no business key: {error}. Set another with --input",
            plan.input
        ))
    })?;
    plan.key = key;
    if let Some(path) = &args.outputs {
        let Value::Object(outputs) =
            crate::cli::saga::interventions::json(&path.display().to_string(), &read(path)?)?
        else {
            return Err(Failure::usage(format!(
                "{} is not a JSON object of outputs by step",
                path.display()
            )));
        };
        plan.outputs.extend(outputs.into_iter().map(|(name, output)| (name, Arc::new(output))));
    }
    let faults = &mut plan.faults;
    let given = [
        (&args.failure, &mut faults.failure),
        (&args.error, &mut faults.error),
        (&args.timeout, &mut faults.timeout),
        (&args.late, &mut faults.late),
        (&args.compensation_failure, &mut faults.compensation_failure),
    ];
    for (rates, into) in given {
        rates.iter().cloned().for_each(|rate| into.set(rate));
    }
    if let Some(cancel) = &args.cancel {
        plan.faults.add(&format!("cancel {cancel}")).map_err(Failure::usage)?;
    }
    args.latency.iter().try_for_each(|text| plan.latency.set(text)).map_err(Failure::usage)?;
    args.signal.iter().try_for_each(|text| plan.arrival.set(text)).map_err(Failure::usage)?;
    check(&plan)?;
    Ok(plan)
}

fn check(plan: &Plan) -> Result<(), Failure> {
    let mistakes = plan.mistakes();
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::usage(mistakes.join("\n"))) }
}

fn text_of(text: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Failure> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.to_owned())),
        (None, Some(path)) => Ok(Some(read(path)?)),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

/// Formats an error of an input, with its place.
fn complaint(invalid: &InvalidInput) -> String {
    match invalid.path.as_str() {
        "" => invalid.message.clone(),
        path => format!("at {path}, {}", invalid.message),
    }
}

fn number_of_runs(text: &str) -> Result<u64, String> {
    let runs = text.parse().ok().filter(|runs| (1..=MOST_RUNS).contains(runs));
    runs.ok_or_else(|| "it must be a number from 1 to 1,000,000".to_owned())
}
