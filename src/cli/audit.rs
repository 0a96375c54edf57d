//! `snorri audit`: who changed what by hand, and why.

use clap::Args as ClapArgs;
use comfy_table::Cell;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format, tame};
use super::remote::Remote;
use super::target::Target;
use crate::api::records::{AuditEntry, AuditPage, AuditQuery};
use crate::api::sagas::PageQuery;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Newest first.

Examples:
  snorri audit
  snorri audit --saga order/o-17
  snorri audit --actor ann --action retry --output json | jq '.entries[] | [.before, .after]'

{EXIT_CODES}"))]
pub struct Args {
    /// About this saga: its id, or DEFINITION/KEY
    #[arg(long)]
    saga: Option<Target>,
    /// Done by this one
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Of this kind
    #[arg(long)]
    action: Option<String>,
    /// Entries, at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Where to go on: `next` of the answer before
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let query = AuditQuery { saga: args.saga.map(|saga| saga.id), actor: args.actor, action: args.action };
    let page = PageQuery { limit: Some(args.limit), after: args.after };
    let answer = session.client.page(&["audit"], &query, &page).await?;
    let page: AuditPage = answer.read()?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else if page.entries.is_empty() {
        anstream::eprintln!("nothing was changed by hand");
    } else {
        let header = ["time", "actor", "action", "about", "step", "entry", "reason"];
        output::print(&output::table(&header, page.entries.iter().map(row).collect()))?;
        if let Some(next) = &page.next {
            anstream::eprintln!("there may be more: --after {next}");
        }
    }
    Ok(())
}

fn row(entry: &AuditEntry) -> Vec<Cell> {
    let about = entry.saga.map(|saga| saga.to_string()).or_else(|| entry.definition.clone());
    vec![
        Cell::new(output::time(&entry.at)),
        Cell::new(tame(&entry.actor)),
        Cell::new(&entry.action),
        output::maybe(about.as_ref()),
        output::maybe(entry.step.as_ref()),
        output::maybe(entry.seq.as_ref()),
        Cell::new(tame(&entry.reason)),
    ]
}
