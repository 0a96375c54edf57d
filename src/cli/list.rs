//! `snorri list`: which sagas there are.

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::Cell;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format};
use super::remote::Remote;
use crate::api::sagas::{PageQuery, SagaPage, SagaQuery, SagaSummary};
use crate::saga::Status;

/// The most that the server gives at once.
const PAGE: u32 = 500;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Newest first. Everything that is asked for must match.

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
    /// Sagas, at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Where to go on: `next` of the answer before
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Which sagas.
#[derive(Debug, Clone, ClapArgs)]
pub struct Filter {
    /// Of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// In this version of the definition
    #[arg(long = "version", value_name = "VERSION", requires = "definition")]
    of_version: Option<u32>,
    /// In this state
    #[arg(long, value_enum)]
    status: Option<StatusName>,
    /// With this business key
    #[arg(long)]
    key: Option<String>,
    /// Started then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Started before then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Unfinished, and at this step now
    #[arg(long)]
    step: Option<String>,
    /// Stuck with this code
    #[arg(long, value_name = "CODE")]
    incident: Option<String>,
    /// With this attribute
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Option<String>,
    /// Paused, or `--paused=false`: not paused
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
        return output::json_text(&serde_json::to_string(found).context("cannot write the answer")?);
    }
    if found.sagas.is_empty() {
        anstream::eprintln!("no such sagas");
        return Ok(());
    }
    output::print(&table(&found.sagas))?;
    if let Some(next) = &found.next {
        anstream::eprintln!("there may be more: --after {next}, or --all");
    }
    Ok(())
}

/// The sagas as lists show them.
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
