//! `snorri bulk`: the same for many sagas. It is always tried out first.

use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::Cell;
use indicatif::ProgressBar;
use reqwest::Method;

use super::failure::{EXIT_CODES, Failure, Outcome, exit};
use super::list::Filter;
use super::output::{self, Format, tame};
use super::remote::{Remote, Session};
use super::story::paint;
use crate::api::bulk::{BulkAction, BulkLine, BulkRequest};
use crate::api::sagas::SagaQuery;

/// Sagas that the dry run shows.
const SHOWN: usize = 20;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
First a dry run shows what would change. Then, if you say yes, it is done, unless the number of sagas it would change is
another one by then. `--output json` prints a line (NDJSON) for what was found, for each saga, and for the end.

Examples:
  snorri bulk retry --definition order --incident unroutable --reason 'shipping is back'
  snorri bulk pause --definition order --status running --reason 'the warehouse burns' --yes
  snorri bulk migrate --definition order --version 1 --to 2 --reason 'the new carrier' --dry-run

{EXIT_CODES}"))]
pub struct Args {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    filter: Filter,
    /// The version to go on with, for `migrate`
    #[arg(long, value_name = "VERSION", required_if_eq("action", "migrate"))]
    to: Option<u32>,
    /// Sagas, at most
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Why, for the journals and the audit
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// Who wants it, if that is not who the token says
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Show what would change, and no more
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    Cancel,
    Pause,
    Resume,
    Retry,
    Skip,
    Rollback,
    Abandon,
    Migrate,
}

impl From<Action> for BulkAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Cancel => Self::Cancel,
            Action::Pause => Self::Pause,
            Action::Resume => Self::Resume,
            Action::Retry => Self::Retry,
            Action::Skip => Self::Skip,
            Action::Rollback => Self::RollBack,
            Action::Abandon => Self::Abandon,
            Action::Migrate => Self::Migrate,
        }
    }
}

/// What one run told.
#[derive(Debug, Default)]
struct Told {
    matching: u64,
    would_change: u64,
    was_dry: bool,
    accepted: u64,
    refused: u64,
    complete: bool,
    /// The first sagas, for people.
    rows: Vec<Vec<Cell>>,
    /// What the server said, for programs, as long as it is not clear whether that is the answer.
    lines: Vec<String>,
}

pub async fn run(args: Args) -> Outcome {
    let session = args.remote.open()?;
    let mut request = BulkRequest {
        action: args.action.into(),
        query: SagaQuery::from(&args.filter),
        version: args.to,
        limit: Some(args.limit),
        confirm: None,
        actor: session.actor(args.actor.as_deref()).await?,
        reason: args.reason,
    };
    let found = send(&session, &request, None).await?;
    let is_all = args.dry_run || found.would_change == 0;
    match session.format {
        Format::Table => output::print(&dry(&found))?,
        Format::Json if is_all => found.lines.iter().try_for_each(|line| output::json_text(line))?,
        Format::Json => {}
    }
    if is_all {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        if !output::is_interactive() {
            return Err(Failure::usage("nobody is there to be asked: say --yes, or --dry-run"));
        }
        let what = output::counted(found.would_change, "saga");
        if !output::confirmed(&format!("Do it to {what}?"))? {
            anstream::eprintln!("nothing was changed");
            return Ok(ExitCode::from(exit::FAILED));
        }
    }
    request.confirm = Some(found.would_change);
    let bar = output::progress(found.matching);
    let done = send(&session, &request, Some(&bar)).await?;
    bar.finish_and_clear();
    if done.was_dry {
        let now = done.would_change;
        return Err(
            anyhow::anyhow!("it would change {now} sagas by now: nothing was changed; try again").into()
        );
    }
    if session.format == Format::Table {
        let refused = if done.refused > 0 { format!(", {} refused", done.refused) } else { String::new() };
        output::line(&paint(AnsiColor::Green, &format!("{} changed{refused}", done.accepted)))?;
    }
    // What the dry run had found to be possible, and was not.
    let missed = done.accepted < found.would_change;
    Ok(if missed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

async fn send(session: &Session, request: &BulkRequest, bar: Option<&ProgressBar>) -> Result<Told, Failure> {
    let call = session.client.request(Method::POST, &["bulk"]).json(request);
    let mut lines = session.client.lines(call).await?;
    let mut told = Told::default();
    while let Some((line, value)) = lines.next_value::<BulkLine>().await? {
        match (session.format, bar) {
            (Format::Json, Some(_)) => output::json_text(&line)?,
            (Format::Json, None) => told.lines.push(line),
            (Format::Table, _) => {}
        }
        take(&mut told, value, bar);
    }
    if !told.complete {
        return Err(anyhow::anyhow!("the server stopped after {} sagas", told.accepted + told.refused).into());
    }
    Ok(told)
}

fn take(told: &mut Told, line: BulkLine, bar: Option<&ProgressBar>) {
    match line {
        BulkLine::Found { matching, would_change, dry_run } => {
            (told.matching, told.would_change, told.was_dry) = (matching, would_change, dry_run);
        }
        BulkLine::Saga { id, accepted, status, code, detail } => {
            *if accepted { &mut told.accepted } else { &mut told.refused } += 1;
            if let Some(bar) = bar {
                bar.inc(1);
            }
            if told.rows.len() < SHOWN {
                let why = code.map(|code| format!("{} ({code})", tame(&detail.unwrap_or_default())));
                let verdict = if accepted { "yes" } else { "no" };
                told.rows.push(vec![
                    Cell::new(id),
                    status.map_or_else(|| Cell::new("gone"), |status| output::status(status, false)),
                    Cell::new(verdict),
                    Cell::new(why.unwrap_or_default().trim()),
                ]);
            }
        }
        BulkLine::Done { accepted, refused } => {
            (told.accepted, told.refused, told.complete) = (accepted, refused, true);
        }
    }
}

/// What the dry run found.
fn dry(found: &Told) -> String {
    let mut text = String::new();
    if !found.rows.is_empty() {
        text += &output::table(&["saga", "status", "would change", "why not"], found.rows.clone());
    }
    let rest = found.matching.saturating_sub(found.rows.len() as u64);
    if rest > 0 {
        text += &format!("and {rest} more\n");
    }
    let matching = output::counted(found.matching, "saga");
    text + &format!("A dry run: of {matching}, {} would change.\n", found.would_change)
}
