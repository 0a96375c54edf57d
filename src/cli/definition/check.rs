//! `snorri check`: checks definitions before they run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use crate::cli::color::{color_of, paint};
use crate::cli::definition::sarif;
use crate::cli::definition::sources::{self, Checked};
use crate::cli::definition::topology;
use crate::cli::failure::{CommandResult, Failure};
use crate::cli::output::{self, counted};
use snorri_core::Direction;
use snorri_verify::model_check::{Bounds, End, Held};

/// Maximum number of listed outcomes of one definition, the most frequent first.
const MOST_ENDS: usize = 15;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Definitions are checked together. For a file, the other definitions of its directory are read as well, but not reported.
The model check explores every outcome of every step, at every point, with the code that decides at run time. It lists
the possible outcomes of sagas, each with the number of paths that lead to it.

Exit codes: 0 no errors (there may be warnings), 1 errors, 2 wrong usage.
`snorri explain CODE` explains a finding.

Examples:
  snorri check
  snorri check sagas/order.yaml --traces
  snorri check --topology --config /etc/snorri/snorri.toml
  snorri check --format sarif > snorri.sarif")]
pub struct Args {
    /// Definitions, and directories of definitions
    #[arg(default_value = "sagas")]
    paths: Vec<PathBuf>,
    /// Output for people, for programs, or for code review (SARIF 2.1.0)
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
    /// Show a shortest path to each outcome
    #[arg(long)]
    traces: bool,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Maximum number of explored states of each definition [default: 200,000; fewer from 20 steps on]
    #[arg(long, value_name = "NUMBER", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    states: Option<usize>,
    /// Maximum number of explored attempts of each command
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().attempts, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Maximum number of explored items of each list
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().items)]
    items: u32,
    #[command(flatten)]
    topology: topology::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Text,
    Json,
    Sarif,
}

pub async fn run(args: Args) -> CommandResult {
    let mut reports = tokio::task::block_in_place(|| reports(&args))?;
    // The other findings are reported even if the broker does not answer.
    let checked_topology = add_topology_findings(&args, &mut reports).await;
    let errors: usize = reports.iter().map(|report| report.findings.errors()).sum();
    let warnings: usize = reports.iter().map(|report| report.findings.warnings()).sum();
    match args.format {
        CheckFormat::Text => {
            for report in &reports {
                output::print(&render_report(report, args.traces))?;
            }
            output::line(&summary(reports.len(), errors, warnings))?;
        }
        CheckFormat::Json => {
            let definitions: Vec<_> = reports.iter().map(as_json).collect();
            output::json(&json!({ "definitions": definitions, "errors": errors, "warnings": warnings }))?;
        }
        CheckFormat::Sarif => {
            let findings: Vec<_> = reports.iter().map(|report| &report.findings).collect();
            output::json(&sarif::log(&findings))?;
        }
    }
    checked_topology?;
    let is_wrong = errors > 0 || args.deny_warnings && warnings > 0;
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn reports(args: &Args) -> Result<Vec<Checked>, Failure> {
    let loaded = sources::load(&args.paths).map_err(|error| Failure::usage(format!("{error:#}")))?;
    if loaded.asked_for.is_empty() {
        return Err(Failure::usage(
            "there are no definitions: name a file, or a directory with `*.yaml` files",
        ));
    }
    let few = Bounds { attempts: args.attempts, items: args.items, ..Bounds::default() };
    let bounds = args.states.map_or(few, |states| Bounds { states, work: usize::MAX, ..few });
    Ok(sources::checked(&loaded, &bounds))
}

/// Adds the findings about the topology of a running broker, if requested.
async fn add_topology_findings(args: &Args, reports: &mut [Checked]) -> Result<(), Failure> {
    let mut compiled: Vec<_> = reports.iter_mut().filter(|report| report.definition.is_some()).collect();
    let definitions: Vec<_> =
        compiled.iter().filter_map(|report| Some(Arc::clone(&report.definition.as_ref()?.0))).collect();
    let missing = args.topology.check(&definitions).await?;
    compiled.iter_mut().zip(missing).for_each(|(report, missing)| report.findings.extend(missing.list));
    Ok(())
}

fn render_report(report: &Checked, traces: bool) -> String {
    let mut text = report.findings.pretty();
    if !text.is_empty() {
        text.push('\n');
    }
    let Some((compiled, model)) = &report.definition else { return text };
    let sign = match (report.findings.errors(), report.findings.warnings()) {
        (0, 0) => paint(AnsiColor::Green, "✓"),
        (0, _) => paint(AnsiColor::Yellow, "!"),
        _ => paint(AnsiColor::Red, "✗"),
    };
    let bold = Style::new().bold();
    let count = |count: usize, what: &str| {
        format!("{} {what}{}", number(count as f64), if count == 1 { "" } else { "s" })
    };
    let (states, transitions) = (count(model.states, "state"), count(model.transitions, "decision"));
    text.push_str(&format!("{sign} {bold}{}{bold:#}  {states}, {transitions}\n", compiled.label()));
    let shown = if traces { model.ends.len() } else { model.ends.len().min(MOST_ENDS) };
    let (ends, more) = model.ends.split_at(shown);
    let width = ends.iter().map(|end| name_of(end).chars().count()).max().unwrap_or_default();
    for end in ends {
        let name = name_of(end);
        let padding = " ".repeat(width - name.chars().count());
        let name = paint(color_of(end.status), &name);
        let paths = if end.paths > 1.0 { "paths" } else { "path" };
        text.push_str(&format!("    {name}{padding}  {:>16} {paths}\n", number(end.paths)));
        if traces {
            end.trace.iter().for_each(|line| text.push_str(&format!("        {line}\n")));
        }
    }
    if !more.is_empty() {
        text.push_str(&format!("    ... and {} more outcomes (--traces lists all)\n", more.len()));
    }
    if !model.left_out.is_empty() {
        let dim = Style::new().dimmed();
        text.push_str(&format!("    {dim}not explored: {}{dim:#}\n", model.left_out.join("; ")));
    }
    text
}

/// The name of an outcome: `completed`, or `stuck: ship, the compensation of reserve`.
fn name_of(end: &End) -> String {
    let status = end.status.as_str();
    if end.held.is_empty() {
        return status.to_owned();
    }
    let held = |held: &Held| match held.direction {
        Some(Direction::Compensate) => format!("the compensation of {}", held.step),
        Some(Direction::Forward) => held.step.clone(),
        None => format!("late {}", held.step),
    };
    format!("{status}: {}", end.held.iter().map(held).collect::<Vec<_>>().join(", "))
}

/// Formats a count: `1,533,492`, or `5.4e17` from 10^12 on.
fn number(count: f64) -> String {
    const MOST: f64 = 1e12;
    if count >= MOST {
        return format!("{count:.1e}");
    }
    let digits = format!("{count:.0}");
    let first = digits.len() % 3;
    let mut grouped = digits[..first].to_owned();
    for (index, digit) in digits[first..].chars().enumerate() {
        if index % 3 == 0 && !grouped.is_empty() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn summary(definitions: usize, errors: usize, warnings: usize) -> String {
    let all = counted(definitions as u64, "definition");
    let found = match (errors, warnings) {
        (0, 0) => paint(AnsiColor::Green, "nothing wrong"),
        (0, warnings) => paint(AnsiColor::Yellow, &counted(warnings as u64, "warning")),
        (errors, warnings) => {
            let errors = paint(AnsiColor::Red, &counted(errors as u64, "error"));
            format!("{errors}, {}", counted(warnings as u64, "warning"))
        }
    };
    format!("{all}: {found}")
}

fn as_json(report: &Checked) -> Value {
    let mut document = serde_json::to_value(&report.findings).unwrap_or_default();
    let Some((compiled, model)) = &report.definition else { return document };
    let held = |held: &Held| json!({ "step": held.step, "direction": held.direction });
    let end = |end: &End| {
        let all: Vec<_> = end.held.iter().map(held).collect();
        json!({ "status": end.status, "held": all, "paths": end.paths, "trace": end.trace })
    };
    document["definition"] = compiled.definition.name.as_ref().into();
    document["version"] = compiled.definition.version.into();
    document["model_check"] = json!({
        "states": model.states,
        "transitions": model.transitions,
        "ends": model.ends.iter().map(end).collect::<Vec<_>>(),
        "left_out": model.left_out,
        "is_cut": model.is_cut,
    });
    document
}
