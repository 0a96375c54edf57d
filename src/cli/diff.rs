//! `snorri diff`: what a new version of a definition changes, and whom that breaks.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::anyhow;
use clap::{Args as ClapArgs, ValueEnum};

use super::story::paint;
use crate::catalog::diff::{Change, Diff, Whom, diff};
use crate::catalog::{self, Compiled, Source};

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
  snorri diff --output json old.yaml new.yaml | jq '.changes[] | select(.breaks)'")]
pub struct Args {
    /// The definition as it was
    old: PathBuf,
    /// The definition as it shall be
    new: PathBuf,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: &Args) -> ExitCode {
    match compare(args) {
        Ok(diff) if diff.breaking => ExitCode::from(BREAKING),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn compare(args: &Args) -> anyhow::Result<Diff> {
    let (old, new) = (compiled(&args.old)?, compiled(&args.new)?);
    let diff = diff(&old, &new)?;
    let text = match args.output {
        Output::Text => told(&diff),
        Output::Json => serde_json::to_string_pretty(&diff)? + "\n",
    };
    match anstream::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads it may have read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(diff),
    }
}

fn compiled(path: &Path) -> anyhow::Result<Compiled> {
    let Source { text, files, .. } = catalog::read_definition(path)?;
    catalog::compile_with(&path.display().to_string(), &text, &files).map_err(|diagnostics| {
        anstream::eprint!("{}", diagnostics.pretty());
        anyhow!("{} is not a definition that runs", path.display())
    })
}

fn told(diff: &Diff) -> String {
    let versions = format!("{} {} → {}", diff.saga, diff.old, diff.new);
    let breaking = diff.changes.iter().filter(|change| change.breaks.is_some()).count();
    let summary = match (diff.changes.len(), breaking) {
        (0, _) => "no difference".to_owned(),
        (all, 0) => format!("{}, all compatible", counted(all)),
        (all, breaking) => format!("{}, {breaking} breaking", counted(all)),
    };
    let width = diff.changes.iter().map(|change| change.place.chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{versions}: {summary}")];
    // What matters first, and otherwise in the order of the file.
    let (breaks, fits): (Vec<_>, Vec<_>) = diff.changes.iter().partition(|change| change.breaks.is_some());
    lines.extend(breaks.into_iter().chain(fits).map(|change| line(change, width)));
    lines.extend(diff.notes.iter().map(|note| format!("{} {note}", paint(AnsiColor::Yellow, "note:"))));
    lines.join("\n") + "\n"
}

fn counted(changes: usize) -> String {
    if changes == 1 { "1 change".into() } else { format!("{changes} changes") }
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
