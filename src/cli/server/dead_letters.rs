//! `snorri dead-letters`: lists, replays and discards dead letters.

use anstyle::Style;
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::Cell;
use uuid::Uuid;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::{Remote, Session};
use crate::cli::saga::target::Target;
use crate::cli::server::parked;
use snorri_api::interventions::ReasonBody;
use snorri_api::records::{DeadLetter, DeadLetterPage, DeadLetterQuery};
use snorri_api::sagas::PageQuery;

#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, after_help = format!("\
Examples:
  snorri dead-letters list
  snorri dead-letters list --saga order/o-17
  snorri dead-letters show 0195c2a4-7b3e-7f10-9d6c-2f1d6f0c8a11
  snorri dead-letters replay 0195c2a4-7b3e-7f10-9d6c-2f1d6f0c8a11 --reason 'the schema was too strict'
  snorri dead-letters --parked --config /etc/snorri/snorri.toml

{EXIT_CODES}"))]
pub struct Args {
    #[command(subcommand)]
    action: Option<LetterAction>,
    #[command(flatten)]
    parked: parked::Args,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum LetterAction {
    /// List dead letters, newest first
    List(List),
    /// Show a dead letter with its properties and its body
    Show { id: Uuid },
    /// Publish a dead letter to the queue from which it was consumed
    Replay(ResolveLetter),
    /// Resolve a dead letter without replaying it
    Discard(ResolveLetter),
}

#[derive(Debug, ClapArgs)]
struct List {
    /// Only dead letters of this saga: its id, or DEFINITION/KEY
    #[arg(long)]
    saga: Option<Target>,
    /// Only dead letters of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only dead letters with this code
    #[arg(long)]
    code: Option<String>,
    /// Include dead letters that were replayed or discarded
    #[arg(long)]
    resolved: bool,
    /// Maximum number of dead letters
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Position of the next page: `next` of the previous response
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

#[derive(Debug, ClapArgs)]
struct ResolveLetter {
    id: Uuid,
    /// The reason, for the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// The person on whose behalf you act, if not the owner of the token
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let Some(action) = args.action else {
        return args.parked.list(session.format).await;
    };
    match action {
        LetterAction::List(list) => found(&session, list).await?,
        LetterAction::Show { id } => {
            let answer = session.client.get(&["dead-letters", &id.to_string()]).await?;
            match session.format {
                Format::Json => output::json_text(&answer.text)?,
                Format::Table => output::print(&render_letter(&answer.read()?, &session.flags))?,
            }
        }
        LetterAction::Replay(letter) => resolve(&session, letter, "replay", "replayed").await?,
        LetterAction::Discard(letter) => resolve(&session, letter, "discard", "discarded").await?,
    }
    Ok(())
}

async fn found(session: &Session, list: List) -> Result<(), Failure> {
    let query = DeadLetterQuery {
        saga: list.saga.map(|saga| saga.id),
        queue: list.queue,
        code: list.code,
        resolved: list.resolved,
    };
    let page = PageQuery { limit: Some(list.limit), after: list.after };
    let answer = session.client.page(&["dead-letters"], &query, &page).await?;
    let page: DeadLetterPage = answer.read()?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    if page.dead_letters.is_empty() {
        anstream::eprintln!("no dead letters");
        return Ok(());
    }
    let row = |letter: &DeadLetter| {
        vec![
            Cell::new(letter.id),
            Cell::new(output::time(&letter.at)),
            Cell::new(&letter.queue),
            output::maybe(letter.saga.as_ref()),
            output::maybe(letter.step.as_ref()),
            Cell::new(format!("{}: {}", letter.code, tame(&letter.reason))),
        ]
    };
    let header = ["dead letter", "time", "queue", "saga", "step", "why"];
    output::print(&output::table(&header, page.dead_letters.iter().map(row).collect()))?;
    if let Some(next) = &page.next {
        anstream::eprintln!("there may be more: --after {next}");
    }
    Ok(())
}

fn render_letter(letter: &DeadLetter, flags: &str) -> String {
    let dim = Style::new().dimmed();
    let rows = [
        ("dead letter", Some(letter.id.to_string())),
        ("time", Some(output::time(&letter.at))),
        ("queue", Some(tame(&letter.queue))),
        ("why", Some(format!("{}: {}", letter.code, tame(&letter.reason)))),
        ("saga", letter.saga.map(|saga| saga.to_string())),
        ("step", letter.step.clone()),
        ("resolved", letter.resolved_at.as_deref().map(output::time)),
        ("properties", Some(letter.properties.to_string())),
        ("body", Some(tame(&letter.body))),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut text: String = rows.map(|(name, value)| format!("{dim}{name:<13}{dim:#}{value}\n")).collect();
    if letter.resolved_at.is_none() {
        for verb in ["replay", "discard"] {
            text += &format!("  snorri dead-letters {verb} {} --reason '…'{flags}\n", letter.id);
        }
    }
    text
}

async fn resolve(session: &Session, letter: ResolveLetter, path: &str, done: &str) -> Result<(), Failure> {
    let actor = session.actor(letter.actor.as_deref()).await?;
    let body = ReasonBody { reason: letter.reason, actor };
    let answer = session.client.post(&["dead-letters", &letter.id.to_string(), path], &body).await?;
    match session.format {
        Format::Json => output::json_text(&answer.text),
        Format::Table => output::line(&format!("{done} {}", letter.id)),
    }
}
