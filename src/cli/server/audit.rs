//! `snorri audit`: lists the changes by operators.

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::Remote;
use crate::cli::saga::target::Target;
use snorri_api::records::{AuditEntry, AuditPage, AuditQuery};
use snorri_api::sagas::PageQuery;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Newest first.

Examples:
  snorri audit
  snorri audit --saga order/o-17
  snorri audit --actor ann --action retry --output json | jq '.entries[] | [.before, .after]'

{EXIT_CODES}"))]
pub struct Args {
    /// Only entries of this saga: its id, or DEFINITION/KEY
    #[arg(long)]
    saga: Option<Target>,
    /// Only entries of this actor
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only entries of this action
    #[arg(long)]
    action: Option<String>,
    /// Maximum number of entries
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Position of the next page: `next` of the previous response
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
        anstream::eprintln!("no audit entries");
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
