//! `snorri diff`: compares two versions of a definition, and marks breaking changes.

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;

use crate::cli::color::paint;
use crate::cli::definition::sources;
use crate::cli::failure::Failure;
use crate::cli::output::{self, ReportFormat};
use snorri_definition::diff::{Change, Diff, Whom, diff};

/// Exit code: there is a breaking change.
const BREAKING: u8 = 1;
/// Exit code: the comparison failed.
const FAILED: u8 = 2;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Running sagas keep their version. A breaking change affects one of these:
  senders       start sagas, or send signals or events to them: more is required, or less is accepted
  participants  handle commands: commands differ or have fewer fields, or other replies are required
  readers       read outputs or published events: a field is missing, or may be missing
  rollback      the compensation of sagas: fewer steps are compensated, or the pivot moved
A change that cannot be judged, such as from one pattern to another, counts as breaking.

Exit codes: 0 no difference or compatible, 1 breaking, 2 failed (a file is not a definition, or is of another saga).

Examples:
  snorri diff order.old.yaml sagas/order.yaml
  snorri diff <(git show main:sagas/order.yaml) sagas/order.yaml
  snorri diff --format json old.yaml new.yaml | jq '.changes[] | select(.breaks)'")]
pub struct Args {
    /// The old definition
    old: PathBuf,
    /// The new definition
    new: PathBuf,
    /// Output for people or for programs
    #[arg(long, visible_alias = "output", value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub fn run(args: &Args) -> ExitCode {
    match compare(args) {
        Ok(diff) if diff.breaking => ExitCode::from(BREAKING),
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(FAILED)
        }
    }
}

fn compare(args: &Args) -> Result<Diff, Failure> {
    let (old, new) = (sources::definition(&args.old)?, sources::definition(&args.new)?);
    let diff = diff(&old, &new).map_err(anyhow::Error::from)?;
    match args.format {
        ReportFormat::Text => output::print(&render_diff(&diff))?,
        ReportFormat::Json => output::json(&diff)?,
    }
    Ok(diff)
}

fn render_diff(diff: &Diff) -> String {
    let versions = format!("{} {} → {}", diff.saga, diff.old, diff.new);
    let breaking = diff.changes.iter().filter(|change| change.breaks.is_some()).count();
    let summary = match (diff.changes.len(), breaking) {
        (0, _) => "no difference".to_owned(),
        (all, 0) => format!("{}, all compatible", output::counted(all as u64, "change")),
        (all, breaking) => format!("{}, {breaking} breaking", output::counted(all as u64, "change")),
    };
    let width = diff.changes.iter().map(|change| change.place.chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{versions}: {summary}")];
    // Breaking changes first, and otherwise in the order of the file.
    let (breaks, fits): (Vec<_>, Vec<_>) = diff.changes.iter().partition(|change| change.breaks.is_some());
    lines.extend(breaks.into_iter().chain(fits).map(|change| line(change, width)));
    lines.extend(diff.notes.iter().map(|note| format!("{} {note}", paint(AnsiColor::Yellow, "note:"))));
    lines.join("\n") + "\n"
}

fn line(change: &Change, width: usize) -> String {
    let (sign, color) = match change.breaks {
        Some(_) => ("✗", AnsiColor::Red),
        None => ("✓", AnsiColor::Green),
    };
    let dim = Style::new().dimmed();
    let whom = change.breaks.map(|whom| format!("  {dim}breaks {}{dim:#}", name(whom))).unwrap_or_default();
    format!("{}  {}{whom}", paint(color, &format!("{sign} {:width$}", change.place)), change.change)
}

fn name(whom: Whom) -> &'static str {
    match whom {
        Whom::Senders => "senders",
        Whom::Participants => "participants",
        Whom::Readers => "readers",
        Whom::Rollback => "rollback",
    }
}
