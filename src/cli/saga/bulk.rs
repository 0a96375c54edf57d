//! `snorri bulk`: applies an action to many sagas, after a dry run.

use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::Args as ClapArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use comfy_table::Cell;
use indicatif::ProgressBar;
use reqwest::Method;

use crate::cli::color::paint;
use crate::cli::failure::{CommandResult, EXIT_CODES, Failure, exit};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::{Remote, Session};
use crate::cli::saga::list::Filter;
use snorri_api::bulk::{BulkLine, BulkRequest};
use snorri_api::sagas::SagaQuery;
use snorri_core::input::BulkAction;

/// Number of sagas that the dry run shows.
const SHOWN: usize = 20;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
First, a dry run shows what would change. After your confirmation, the action is applied, unless the number of affected
sagas has changed meanwhile. `--output json` prints NDJSON: a line for the summary, for each saga, and for the totals.

Examples:
  snorri bulk retry --definition order --incident unroutable --reason 'shipping is back'
  snorri bulk pause --definition order --status running --reason 'the warehouse burns' --yes
  snorri bulk migrate --definition order --version 1 --to 2 --reason 'the new carrier' --dry-run

{EXIT_CODES}"))]
pub struct Args {
    /// The action
    #[arg(value_parser = actions())]
    action: BulkAction,
    #[command(flatten)]
    filter: Filter,
    /// The version to migrate to, for `migrate`
    #[arg(long, value_name = "VERSION", required_if_eq("action", "migrate"))]
    to: Option<u32>,
    /// Maximum number of sagas
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The reason, for the journals and the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// The person on whose behalf you act, if not the owner of the token
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Parses an action by its name in the API.
fn actions() -> impl TypedValueParser<Value = BulkAction> {
    let names = PossibleValuesParser::new(BulkAction::ALL.map(BulkAction::as_str));
    names.try_map(|name| serde_json::from_value(name.into()))
}

/// The result of one request.
#[derive(Debug, Default)]
struct BulkResult {
    matching: u64,
    affected: u64,
    was_dry: bool,
    accepted: u64,
    refused: u64,
    complete: bool,
    /// The first sagas, for people.
    rows: Vec<Vec<Cell>>,
    /// The lines of the response, for programs, until it is known whether the dry run is the final result.
    lines: Vec<String>,
}

pub async fn run(args: Args) -> CommandResult {
    let session = args.remote.open()?;
    let mut request = BulkRequest {
        action: args.action,
        query: SagaQuery::from(&args.filter),
        version: args.to,
        limit: Some(args.limit),
        confirm: None,
        actor: session.actor(args.actor.as_deref()).await?,
        reason: args.reason,
    };
    let found = send(&session, &request, None).await?;
    let is_all = args.dry_run || found.affected == 0;
    match session.format {
        Format::Table => output::print(&render_dry_run(&found))?,
        Format::Json if is_all => found.lines.iter().try_for_each(|line| output::json_text(line))?,
        Format::Json => {}
    }
    if is_all {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        if !output::is_interactive() {
            return Err(Failure::usage("there is no terminal for the confirmation: use --yes or --dry-run"));
        }
        let what = output::counted(found.affected, "saga");
        if !output::confirmed(&format!("Apply it to {what}?"))? {
            anstream::eprintln!("nothing was changed");
            return Ok(ExitCode::from(exit::FAILED));
        }
    }
    request.confirm = Some(found.affected);
    let bar = output::progress(found.matching);
    let done = send(&session, &request, Some(&bar)).await?;
    bar.finish_and_clear();
    if done.was_dry {
        let now = done.affected;
        return Err(anyhow::anyhow!(
            "the action would now change {now} sagas: nothing was changed; try again"
        )
        .into());
    }
    if session.format == Format::Table {
        let refused = if done.refused > 0 { format!(", {} refused", done.refused) } else { String::new() };
        output::line(&paint(AnsiColor::Green, &format!("{} changed{refused}", done.accepted)))?;
    }
    // Sagas that the dry run reported as affected but that were not changed.
    let missed = done.accepted < found.affected;
    Ok(if missed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

async fn send(
    session: &Session,
    request: &BulkRequest,
    bar: Option<&ProgressBar>,
) -> Result<BulkResult, Failure> {
    let call = session.client.request(Method::POST, &["bulk"]).json(request);
    let mut lines = session.client.lines(call).await?;
    let mut report = BulkResult::default();
    while let Some((line, value)) = lines.next_value::<BulkLine>().await? {
        match (session.format, bar) {
            (Format::Json, Some(_)) => output::json_text(&line)?,
            (Format::Json, None) => report.lines.push(line),
            (Format::Table, _) => {}
        }
        take(&mut report, value, bar);
    }
    if !report.complete {
        let count = report.accepted + report.refused;
        return Err(anyhow::anyhow!("the server stopped after {count} sagas").into());
    }
    Ok(report)
}

fn take(report: &mut BulkResult, line: BulkLine, bar: Option<&ProgressBar>) {
    match line {
        BulkLine::Summary { matching, affected, dry_run } => {
            (report.matching, report.affected, report.was_dry) = (matching, affected, dry_run);
        }
        BulkLine::Item { id, accepted, status, code, detail } => {
            *if accepted { &mut report.accepted } else { &mut report.refused } += 1;
            if let Some(bar) = bar {
                bar.inc(1);
            }
            if report.rows.len() < SHOWN {
                let why = code.map(|code| format!("{} ({code})", tame(&detail.unwrap_or_default())));
                let verdict = if accepted { "yes" } else { "no" };
                report.rows.push(vec![
                    Cell::new(id),
                    status.map_or_else(|| Cell::new("gone"), |status| output::status(status, false)),
                    Cell::new(verdict),
                    Cell::new(why.unwrap_or_default().trim()),
                ]);
            }
        }
        BulkLine::Complete { accepted, refused } => {
            (report.accepted, report.refused, report.complete) = (accepted, refused, true);
        }
    }
}

/// Renders the result of the dry run.
fn render_dry_run(found: &BulkResult) -> String {
    let mut text = String::new();
    if !found.rows.is_empty() {
        text += &output::table(&["saga", "status", "would change", "why not"], found.rows.clone());
    }
    let rest = found.matching.saturating_sub(found.rows.len() as u64);
    if rest > 0 {
        text += &format!("and {rest} more\n");
    }
    let matching = output::counted(found.matching, "saga");
    text + &format!("Dry run: of {matching}, {} would change.\n", found.affected)
}
