//! `snorri list`: lists sagas.

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::Cell;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format};
use crate::cli::remote::Remote;
use snorri_api::sagas::{PageQuery, SagaPage, SagaQuery, SagaSummary};
use snorri_core::Status;

/// The maximum page size of the server.
const PAGE: u32 = 500;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Newest first. A saga must match all filters.

Examples:
  snorri list
  snorri list --status stuck
  snorri list --definition order --from 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z
  snorri list --incident unroutable --output json | jq -r '.sagas[].id'
  snorri list --attribute customer=4711 --all

{EXIT_CODES}"))]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Maximum number of sagas
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List all matching sagas
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Position of the next page: `next` of the previous response
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// A filter for sagas.
#[derive(Debug, Clone, ClapArgs)]
pub struct Filter {
    /// Only sagas of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only sagas of this version of the definition
    #[arg(long = "version", value_name = "VERSION", requires = "definition")]
    of_version: Option<u32>,
    /// Only sagas with this status
    #[arg(long, value_enum)]
    status: Option<StatusName>,
    /// Only the saga with this business key
    #[arg(long)]
    key: Option<String>,
    /// Only sagas that started at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only sagas that started before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only unfinished sagas that are at this step now
    #[arg(long)]
    step: Option<String>,
    /// Only stuck sagas with an incident with this code
    #[arg(long, value_name = "CODE")]
    incident: Option<String>,
    /// Only sagas with this attribute
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Option<String>,
    /// Only paused sagas, or with `--paused=false` only others
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    paused: Option<bool>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusName {
    Running,
    Compensating,
    Stuck,
    Completed,
    Compensated,
    Abandoned,
}

impl From<StatusName> for Status {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Running => Self::Running,
            StatusName::Compensating => Self::Compensating,
            StatusName::Stuck => Self::Stuck,
            StatusName::Completed => Self::Completed,
            StatusName::Compensated => Self::Compensated,
            StatusName::Abandoned => Self::Abandoned,
        }
    }
}

impl From<&Filter> for SagaQuery {
    fn from(filter: &Filter) -> Self {
        Self {
            definition: filter.definition.clone(),
            version: filter.of_version,
            status: filter.status.map(Status::from),
            key: filter.key.clone(),
            started_from: filter.from.clone(),
            started_until: filter.until.clone(),
            step: filter.step.clone(),
            incident: filter.incident.clone(),
            attribute: filter.attribute.clone(),
            paused: filter.paused,
        }
    }
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let query = SagaQuery::from(&args.filter);
    let most = if args.all { usize::MAX } else { args.limit as usize };
    let mut page = PageQuery { limit: Some(PAGE.min(args.limit)), after: args.after };
    if args.all {
        page.limit = Some(PAGE);
    }
    let mut found = SagaPage { sagas: Vec::new(), next: None };
    loop {
        let answer = session.client.page(&["sagas"], &query, &page).await?;
        let more: SagaPage = answer.read()?;
        let enough = found.sagas.len() + more.sagas.len() >= most || more.next.is_none();
        if session.format == Format::Json && found.sagas.is_empty() && enough {
            output::json_text(&answer.text)?;
            return Ok(());
        }
        found.sagas.extend(more.sagas);
        found.next = more.next;
        if enough {
            break;
        }
        let left = u32::try_from(most - found.sagas.len()).unwrap_or(PAGE);
        page = PageQuery { limit: Some(PAGE.min(left)), after: found.next.clone() };
    }
    show(&found, session.format)?;
    Ok(())
}

fn show(found: &SagaPage, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json_text(&serde_json::to_string(found).context("cannot format the response")?);
    }
    if found.sagas.is_empty() {
        anstream::eprintln!("no sagas");
        return Ok(());
    }
    output::print(&table(&found.sagas))?;
    if let Some(next) = &found.next {
        anstream::eprintln!("there may be more: --after {next}, or --all");
    }
    Ok(())
}

/// Renders sagas as a table.
pub fn table(sagas: &[SagaSummary]) -> String {
    let row = |saga: &SagaSummary| {
        vec![
            Cell::new(saga.id),
            Cell::new(format!("{}@{}", saga.definition, saga.version)),
            output::maybe(saga.key.as_deref().map(output::tame).as_ref()),
            output::status(saga.status, saga.paused),
            Cell::new(output::time(&saga.started_at)),
            Cell::new(output::time(&saga.changed_at)),
        ]
    };
    output::table(
        &["saga", "definition", "key", "status", "started", "changed"],
        sagas.iter().map(row).collect(),
    )
}
