//! `snorri diff`: what a new version of a definition changes, and whom that breaks.

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;

use super::failure::Failure;
use super::output::{self, ReportFormat};
use super::sources;
use super::story::paint;
use crate::catalog::diff::{Change, Diff, Whom, diff};

/// Something breaks.
const BREAKING: u8 = 1;
/// There is no answer.
const FAILED: u8 = 2;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Sagas that run keep their version. A change is breaking if it concerns somebody around them:
  senders       who starts sagas, or sends them signals or events: more is asked of them, or less is taken
  participants  who handles commands: other commands, or less in them; other replies are asked for
  readers       who reads outputs or published events: something is missing, or may be
  rollback      who relies on what is undone: less is, or the pivot moved
What cannot be judged, such as two patterns, counts as breaking.

Exit codes: 0 no difference or compatible, 1 breaking, 2 no answer (a file is not a definition, or it is another saga's).

Examples:
  snorri diff order.old.yaml sagas/order.yaml
  snorri diff <(git show main:sagas/order.yaml) sagas/order.yaml
  snorri diff --format json old.yaml new.yaml | jq '.changes[] | select(.breaks)'")]
pub struct Args {
    /// The definition as it was
    old: PathBuf,
    /// The definition as it shall be
    new: PathBuf,
    /// For people or for programs
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
        ReportFormat::Text => output::print(&told(&diff))?,
        ReportFormat::Json => output::json(&diff)?,
    }
    Ok(diff)
}

fn told(diff: &Diff) -> String {
    let versions = format!("{} {} → {}", diff.saga, diff.old, diff.new);
    let breaking = diff.changes.iter().filter(|change| change.breaks.is_some()).count();
    let summary = match (diff.changes.len(), breaking) {
        (0, _) => "no difference".to_owned(),
        (all, 0) => format!("{}, all compatible", output::counted(all as u64, "change")),
        (all, breaking) => format!("{}, {breaking} breaking", output::counted(all as u64, "change")),
    };
    let width = diff.changes.iter().map(|change| change.place.chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{versions}: {summary}")];
    // What matters first, and otherwise in the order of the file.
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
