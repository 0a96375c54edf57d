//! `snorri watch`: what happens, as it happens.

use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::Style;
use anyhow::Context;
use clap::Args as ClapArgs;
use reqwest::Method;
use uuid::Uuid;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format};
use super::remote::{Remote, Session};
use super::show::names;
use super::story::Story;
use super::target::Target;
use crate::api::journal::{Change, JournalEntry};
use crate::api::sagas::Saga;
use crate::saga::Time;

/// Between a stream that broke and the next attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts without an answer, after which the server counts as gone.
const ATTEMPTS: u32 = 30;
/// Stories that are kept of many sagas; older ones begin anew.
const STORIES: usize = 1_000;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
With a saga, its story from the start until it ends. Without one, what happens to all sagas from now on. A connection that
breaks is made again. `--output json` prints an event on each line.

Examples:
  snorri watch order/o-17
  snorri watch --definition order
  snorri watch --output json | jq 'select(.facts[] | has(\"ended\")?)'

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY; all of them if it is left out
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
    let mut story = Story::of_steps(Time::from_rfc3339(&saga.started_at), steps.iter().map(String::as_str));
    let (mut seen, mut failures) = (0, 0);
    loop {
        match follow(session, id, &mut story, &mut seen).await {
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

/// Tells one stream to its end, and notes what was told.
async fn follow(session: &Session, id: &str, story: &mut Story<'_>, seen: &mut u32) -> Result<(), Failure> {
    let mut request = session.client.request(Method::GET, &["sagas", id, "events"]);
    if *seen > 0 {
        request = request.header("last-event-id", seen.to_string());
    }
    let mut stream = session.client.lines(request.header("accept", "text/event-stream")).await?;
    while let Some(event) = stream.next_event().await? {
        let entry: JournalEntry = serde_json::from_str(&event.data).context("not an event of Snorri's")?;
        if entry.seq <= *seen {
            continue;
        }
        *seen = entry.seq;
        tell(session.format, &event.data, "", &story.retell(&entry))?;
    }
    Ok(())
}

async fn all(session: &Session, definition: Option<&str>) -> Result<(), Failure> {
    let query: Vec<_> = definition.map(|name| ("definition", name)).into_iter().collect();
    let mut stories: BTreeMap<Uuid, Story<'static>> = BTreeMap::new();
    let mut failures = 0;
    loop {
        let request = session.client.request(Method::GET, &["sagas", "events"]).query(&query);
        match session.client.lines(request.header("accept", "text/event-stream")).await {
            Ok(mut stream) => {
                failures = 0;
                loop {
                    match stream.next_event().await {
                        Ok(Some(event)) => change(session, &event.data, &mut stories)?,
                        Ok(None) | Err(Failure::Unreachable { .. }) => break,
                        Err(failure) => return Err(failure),
                    }
                }
            }
            Err(Failure::Unreachable { .. }) if failures > 0 && failures < ATTEMPTS => failures += 1,
            Err(failure) => return Err(failure),
        }
        failures = failures.max(1);
        anstream::eprintln!("the connection ended; connecting again (what happens meanwhile is not shown)");
        tokio::time::sleep(PAUSE).await;
    }
}

fn change(
    session: &Session,
    data: &str,
    stories: &mut BTreeMap<Uuid, Story<'static>>,
) -> Result<(), Failure> {
    let change: Change = serde_json::from_str(data).context("not an event of Snorri's")?;
    if stories.len() >= STORIES && !stories.contains_key(&change.saga) {
        stories.clear();
    }
    let story = stories.entry(change.saga).or_insert_with(|| Story::of_steps(None, []));
    let lines = story.retell(&change.entry);
    tell(session.format, data, &change.saga.to_string(), &lines)
}

fn tell(format: Format, data: &str, saga: &str, lines: &[String]) -> Result<(), Failure> {
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
