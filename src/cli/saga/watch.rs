//! `snorri watch`: follows the journals of sagas.

use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::Style;
use anyhow::Context;
use clap::Args as ClapArgs;
use reqwest::Method;
use uuid::Uuid;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format};
use crate::cli::remote::{Remote, Session};
use crate::cli::saga::render::JournalRenderer;
use crate::cli::saga::show::names;
use crate::cli::saga::target::Target;
use snorri_api::journal::{Change, JournalEntry};
use snorri_api::sagas::Saga;
use snorri_core::Time;

/// Pause between a broken stream and the next attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// Number of attempts without a response, after which the command fails.
const ATTEMPTS: u32 = 30;
/// Maximum number of sagas whose start times are kept. Beyond it, times restart.
const MAX_RENDERERS: usize = 1_000;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
With a saga, shows its journal from the start until it ends. Without one, shows the new journal entries of all sagas. A
broken connection is restored. `--output json` prints an event on each line.

Examples:
  snorri watch order/o-17
  snorri watch --definition order
  snorri watch --output json | jq 'select(.facts[] | has(\"ended\")?)'

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY; default: all sagas
    saga: Option<Target>,
    /// Only sagas of this definition
    #[arg(long, value_name = "NAME", conflicts_with = "saga")]
    definition: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    match &args.saga {
        Some(saga) => one(&session, &saga.segment()).await?,
        None => all(&session, args.definition.as_deref()).await?,
    }
    Ok(())
}

async fn one(session: &Session, id: &str) -> Result<(), Failure> {
    let saga: Saga = session.client.get(&["sagas", id]).await?.read()?;
    let steps: Vec<_> = names(&saga).map(str::to_owned).collect();
    let mut renderer =
        JournalRenderer::of_steps(Time::from_rfc3339(&saga.started_at), steps.iter().map(String::as_str));
    let (mut seen, mut failures) = (0, 0);
    loop {
        match follow(session, id, &mut renderer, &mut seen).await {
            Ok(()) => {}
            Err(Failure::Unreachable { .. }) if failures < ATTEMPTS => failures += 1,
            Err(failure) => return Err(failure),
        }
        match session.client.get(&["sagas", id]).await.and_then(|answer| answer.read::<Saga>()) {
            Ok(saga) if saga.ended && seen >= saga.seq => return Ok(()),
            Ok(_) => failures = 0,
            Err(Failure::Unreachable { .. }) if failures < ATTEMPTS => failures += 1,
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints one stream to its end, and updates the last printed entry.
async fn follow(
    session: &Session,
    id: &str,
    renderer: &mut JournalRenderer<'_>,
    seen: &mut u32,
) -> Result<(), Failure> {
    let mut request = session.client.request(Method::GET, &["sagas", id, "events"]);
    if *seen > 0 {
        request = request.header("last-event-id", seen.to_string());
    }
    let mut stream = session.client.lines(request.header("accept", "text/event-stream")).await?;
    while let Some(event) = stream.next_event().await? {
        let entry: JournalEntry = serde_json::from_str(&event.data).context("not an event of Snorri")?;
        if entry.seq <= *seen {
            continue;
        }
        *seen = entry.seq;
        print_entry(session.format, &event.data, "", &renderer.render_api_entry(&entry))?;
    }
    Ok(())
}

async fn all(session: &Session, definition: Option<&str>) -> Result<(), Failure> {
    let query: Vec<_> = definition.map(|name| ("definition", name)).into_iter().collect();
    let mut renderers: BTreeMap<Uuid, JournalRenderer<'static>> = BTreeMap::new();
    let mut failures = 0;
    loop {
        let request = session.client.request(Method::GET, &["sagas", "events"]).query(&query);
        match session.client.lines(request.header("accept", "text/event-stream")).await {
            Ok(mut stream) => {
                failures = 0;
                loop {
                    match stream.next_event().await {
                        Ok(Some(event)) => change(session, &event.data, &mut renderers)?,
                        Ok(None) | Err(Failure::Unreachable { .. }) => break,
                        Err(failure) => return Err(failure),
                    }
                }
            }
            Err(Failure::Unreachable { .. }) if failures > 0 && failures < ATTEMPTS => failures += 1,
            Err(failure) => return Err(failure),
        }
        failures = failures.max(1);
        anstream::eprintln!("the connection ended; reconnecting (entries in between are not shown)");
        tokio::time::sleep(PAUSE).await;
    }
}

fn change(
    session: &Session,
    data: &str,
    renderers: &mut BTreeMap<Uuid, JournalRenderer<'static>>,
) -> Result<(), Failure> {
    let change: Change = serde_json::from_str(data).context("not an event of Snorri")?;
    if renderers.len() >= MAX_RENDERERS && !renderers.contains_key(&change.saga) {
        renderers.clear();
    }
    let renderer = renderers.entry(change.saga).or_insert_with(|| JournalRenderer::of_steps(None, []));
    let lines = renderer.render_api_entry(&change.entry);
    print_entry(session.format, data, &change.saga.to_string(), &lines)
}

fn print_entry(format: Format, data: &str, saga: &str, lines: &[String]) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json_text(data);
    }
    let dim = Style::new().dimmed();
    for line in lines {
        let whose = if saga.is_empty() { String::new() } else { format!("{dim}{saga}{dim:#}  ") };
        output::line(&format!("{whose}{line}"))?;
    }
    Ok(())
}
