//! `snorri check`: holds everything against definitions before they run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::live;
use super::output::{self, counted};
use super::sarif;
use super::sources::{self, Checked};
use super::story::{color_of, paint};
use crate::proof::{Bounds, End, Held};
use crate::saga::Direction;

/// Most ends that are listed of one definition; the most frequent come first.
const MOST_ENDS: usize = 15;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Definitions are checked together. Of a file, the others in its directory are read as well, and only the file is reported.
Beside what stands in them, every outcome of every step is tried, at every point, on the code that decides when they run:
what their sagas can end in is listed with the number of ways that lead there.

Exit codes: 0 nothing wrong (there may be warnings), 1 something is wrong, 2 wrong usage.
`snorri explain CODE` tells more about what was found.

Examples:
  snorri check
  snorri check sagas/order.yaml --stories
  snorri check --live --config /etc/snorri/snorri.toml
  snorri check --format sarif > snorri.sarif")]
pub struct Args {
    /// Definitions, and directories of them
    #[arg(default_value = "sagas")]
    paths: Vec<PathBuf>,
    /// For people, for programs, or for code review (SARIF 2.1.0)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Tell a shortest way to each end
    #[arg(long)]
    stories: bool,
    /// Have warnings fail, too
    #[arg(long)]
    deny_warnings: bool,
    /// Most states that are tried of each definition [default: 200,000; fewer from 20 steps on]
    #[arg(long, value_name = "NUMBER", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    states: Option<usize>,
    /// Most attempts of each command that are tried
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().attempts, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Most items of each list that are tried
    #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().items)]
    items: u32,
    #[command(flatten)]
    live: live::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

pub async fn run(args: Args) -> Outcome {
    let mut reports = tokio::task::block_in_place(|| reports(&args))?;
    // If the broker does not answer, what was found without it is told all the same.
    let looked = look_at_broker(&args, &mut reports).await;
    let errors: usize = reports.iter().map(|report| report.findings.errors()).sum();
    let warnings: usize = reports.iter().map(|report| report.findings.warnings()).sum();
    match args.format {
        Format::Text => {
            for report in &reports {
                output::print(&told(report, args.stories))?;
            }
            output::line(&summary(reports.len(), errors, warnings))?;
        }
        Format::Json => {
            let definitions: Vec<_> = reports.iter().map(as_json).collect();
            output::json(&json!({ "definitions": definitions, "errors": errors, "warnings": warnings }))?;
        }
        Format::Sarif => {
            let findings: Vec<_> = reports.iter().map(|report| &report.findings).collect();
            output::json(&sarif::log(&findings))?;
        }
    }
    looked?;
    let is_wrong = errors > 0 || args.deny_warnings && warnings > 0;
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn reports(args: &Args) -> Result<Vec<Checked>, Failure> {
    let loaded = sources::load(&args.paths).map_err(|error| Failure::usage(format!("{error:#}")))?;
    if loaded.asked_for.is_empty() {
        return Err(Failure::usage(
            "there is no definition here: name a file, or a directory with `*.yaml` in it",
        ));
    }
    let few = Bounds { attempts: args.attempts, items: args.items, ..Bounds::default() };
    let bounds = args.states.map_or(few, |states| Bounds { states, work: usize::MAX, ..few });
    Ok(sources::checked(&loaded, &bounds))
}

/// Adds what a running broker lacks, if it is asked for.
async fn look_at_broker(args: &Args, reports: &mut [Checked]) -> Result<(), Failure> {
    let mut compiled: Vec<_> = reports.iter_mut().filter(|report| report.definition.is_some()).collect();
    let definitions: Vec<_> =
        compiled.iter().filter_map(|report| Some(Arc::clone(&report.definition.as_ref()?.0))).collect();
    let missing = args.live.look(&definitions).await?;
    compiled.iter_mut().zip(missing).for_each(|(report, missing)| report.findings.extend(missing.list));
    Ok(())
}

fn told(report: &Checked, stories: bool) -> String {
    let mut text = report.findings.pretty();
    if !text.is_empty() {
        text.push('\n');
    }
    let Some((compiled, proof)) = &report.definition else { return text };
    let sign = match (report.findings.errors(), report.findings.warnings()) {
        (0, 0) => paint(AnsiColor::Green, "✓"),
        (0, _) => paint(AnsiColor::Yellow, "!"),
        _ => paint(AnsiColor::Red, "✗"),
    };
    let bold = Style::new().bold();
    let count = |count: usize, what: &str| {
        format!("{} {what}{}", number(count as f64), if count == 1 { "" } else { "s" })
    };
    let (states, transitions) = (count(proof.states, "state"), count(proof.transitions, "decision"));
    text.push_str(&format!("{sign} {bold}{}{bold:#}  {states}, {transitions}\n", compiled.label()));
    let shown = if stories { proof.ends.len() } else { proof.ends.len().min(MOST_ENDS) };
    let (ends, more) = proof.ends.split_at(shown);
    let width = ends.iter().map(|end| name_of(end).chars().count()).max().unwrap_or_default();
    for end in ends {
        let name = name_of(end);
        let padding = " ".repeat(width - name.chars().count());
        let name = paint(color_of(end.status), &name);
        let ways = if end.paths > 1.0 { "ways" } else { "way" };
        text.push_str(&format!("    {name}{padding}  {:>16} {ways}\n", number(end.paths)));
        if stories {
            end.story.iter().for_each(|line| text.push_str(&format!("        {line}\n")));
        }
    }
    if !more.is_empty() {
        text.push_str(&format!("    ... and {} more ways to be stuck (--stories tells all)\n", more.len()));
    }
    if !proof.left_out.is_empty() {
        let dim = Style::new().dimmed();
        text.push_str(&format!("    {dim}not tried: {}{dim:#}\n", proof.left_out.join("; ")));
    }
    text
}

/// `completed`, or `stuck: ship, the undo of reserve`.
fn name_of(end: &End) -> String {
    let status = end.status.as_str();
    if end.held.is_empty() {
        return status.to_owned();
    }
    let held = |held: &Held| match held.direction {
        Some(Direction::Compensate) => format!("the undo of {}", held.step),
        Some(Direction::Forward) => held.step.clone(),
        None => format!("late {}", held.step),
    };
    format!("{status}: {}", end.held.iter().map(held).collect::<Vec<_>>().join(", "))
}

/// `1,533,492`, or `5.4e17` where nobody counts digits any more.
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
    let mut told = serde_json::to_value(&report.findings).unwrap_or_default();
    let Some((compiled, proof)) = &report.definition else { return told };
    let held = |held: &Held| json!({ "step": held.step, "direction": held.direction });
    let end = |end: &End| {
        let all: Vec<_> = end.held.iter().map(held).collect();
        json!({ "status": end.status, "held": all, "ways": end.paths, "story": end.story })
    };
    told["definition"] = compiled.definition.name.as_ref().into();
    told["version"] = compiled.definition.version.into();
    told["proof"] = json!({
        "states": proof.states,
        "transitions": proof.transitions,
        "ends": proof.ends.iter().map(end).collect::<Vec<_>>(),
        "left_out": proof.left_out,
        "is_cut": proof.is_cut,
    });
    told
}
