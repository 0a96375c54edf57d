//! `snorri start`: starts one saga, or one for each line of a file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::AnsiColor;
use anyhow::Context;
use clap::Args as ClapArgs;
use reqwest::Method;

use crate::cli::color::paint;
use crate::cli::failure::{CommandResult, EXIT_CODES, Failure, exit};
use crate::cli::output::{self, Format};
use crate::cli::remote::{Remote, Session};
use snorri_api::sagas::{BulkStarted, StartRequest, Started};

/// Maximum lines and bytes of one request: within the limits of the server, and small enough to show progress.
const MOST_LINES: usize = 200;
const MOST_BYTES: usize = 512 << 10;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
If the definition has a key, one saga starts for each key, and repeating the command is safe. Without a key, use
--idempotency-key to make it safe.

Examples:
  snorri start order --input '{{\"orderId\": \"o-17\", \"amount\": 129}}'
  snorri start order --input-file order.json --attribute customer=4711
  snorri start --from-file orders.ndjson
    with lines like {{\"definition\": \"order\", \"input\": {{\"orderId\": \"o-18\", \"amount\": 5}}}}

{EXIT_CODES}"))]
pub struct Args {
    /// The name of the definition
    #[arg(required_unless_present = "from_file", conflicts_with = "from_file")]
    definition: Option<String>,
    /// The version; default: the latest active one
    #[arg(long = "version", value_name = "VERSION", requires = "definition")]
    of_version: Option<u32>,
    /// The input, as JSON
    #[arg(long, value_name = "JSON", conflicts_with_all = ["input_file", "from_file"])]
    input: Option<String>,
    /// A file with the input, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from_file")]
    input_file: Option<PathBuf>,
    /// An attribute for finding the saga
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute, conflicts_with = "from_file")]
    attributes: Vec<(String, String)>,
    /// Identifies repeated requests
    #[arg(long, value_name = "KEY", conflicts_with = "from_file")]
    idempotency_key: Option<String>,
    /// A file (NDJSON) with a saga on each line, `-` for standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an attribute must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub async fn run(args: Args) -> CommandResult {
    let session = args.remote.open()?;
    match &args.from_file {
        Some(file) => many(&session, file).await,
        None => one(&session, &args).await,
    }
}

async fn one(session: &Session, args: &Args) -> CommandResult {
    let input = match (&args.input, &args.input_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => {
            let mut text = String::new();
            open(file)?
                .read_to_string(&mut text)
                .with_context(|| format!("cannot read {}", file.display()))?;
            text
        }
        (None, None) => "{}".to_owned(),
    };
    let input = crate::cli::saga::interventions::json("the input", &input)?;
    let request = StartRequest {
        definition: args.definition.clone().unwrap_or_default(),
        version: args.of_version,
        input,
        attributes: args.attributes.iter().cloned().collect::<BTreeMap<_, _>>(),
    };
    let mut call = session.client.request(Method::POST, &["sagas"]).json(&request);
    if let Some(key) = &args.idempotency_key {
        call = call.header("idempotency-key", key);
    }
    let answer = session.client.answer(call).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let started: Started = answer.read()?;
    let what =
        if started.created { paint(AnsiColor::Green, "started") } else { "already started:".to_owned() };
    let key = started.key.map(|key| format!(" (key {})", output::tame(&key))).unwrap_or_default();
    output::line(&format!("{what} {} {}{key}", request.definition, started.id))?;
    output::line(&format!("show it: snorri show {}{}", started.id, session.flags))?;
    Ok(ExitCode::SUCCESS)
}

/// The numbers of lines by outcome.
#[derive(Debug, Default)]
struct Tally {
    started: u64,
    known: u64,
    refused: u64,
}

async fn many(session: &Session, file: &Path) -> CommandResult {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).with_context(|| format!("cannot read {}", file.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let bar = output::progress(lines.iter().filter(|line| !line.trim().is_empty()).count() as u64);
    let mut tally = Tally::default();
    for chunk in chunks(&lines) {
        start_lines(session, chunk, &mut tally, &bar).await.inspect_err(|_| {
            bar.abandon();
            anstream::eprintln!(
                "stopped: {} started; lines with a key can safely be started again",
                tally.started
            );
        })?;
    }
    bar.finish_and_clear();
    if session.format == Format::Table {
        let all = [("started", tally.started), ("already started", tally.known), ("refused", tally.refused)];
        let counts = all.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(what, count)| format!("{count} {what}")).collect();
        output::line(&if counts.is_empty() { "nothing to start".to_owned() } else { counts.join(", ") })?;
    }
    Ok(if tally.refused > 0 { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

/// The lines of one request, with their numbers in the file.
type Chunk<'a> = Vec<(u64, &'a str)>;

fn chunks<'a>(lines: &[&'a str]) -> Vec<Chunk<'a>> {
    let mut chunks: Vec<Chunk<'a>> = Vec::new();
    let mut bytes = MOST_BYTES;
    let numbered = (1..).zip(lines.iter().copied()).filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in numbered {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < MOST_LINES && bytes + line.len() < MOST_BYTES => {
                chunk.push((number, line));
                bytes += line.len() + 1;
            }
            _ => {
                chunks.push(vec![(number, line)]);
                bytes = line.len() + 1;
            }
        }
    }
    chunks
}

async fn start_lines(
    session: &Session,
    chunk: Chunk<'_>,
    tally: &mut Tally,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let body: String = chunk.iter().map(|(_, line)| format!("{line}\n")).collect();
    let request = session.client.request(Method::POST, &["sagas", "bulk-start"]);
    let request = request.header("content-type", "application/x-ndjson").body(body);
    let mut answers = session.client.lines(request).await?;
    let mut answered = 0;
    while let Some((_, mut result)) = answers.next_value::<BulkStarted>().await? {
        answered += 1;
        bar.inc(1);
        // The server numbers the lines of this request.
        let index = usize::try_from(result.line.saturating_sub(1)).unwrap_or(usize::MAX);
        result.line = chunk.get(index).map_or(result.line, |(number, _)| *number);
        match (&result.started, &result.problem) {
            (Some(started), _) if started.created => tally.started += 1,
            (Some(_), _) => tally.known += 1,
            (None, _) => tally.refused += 1,
        }
        if session.format == Format::Json {
            output::json_text(&serde_json::to_string(&result).context("cannot format the response")?)?;
        } else if let Some(problem) = &result.problem {
            let sign = paint(AnsiColor::Red, "error:");
            let detail = output::tame(&problem.detail);
            bar.suspend(|| anstream::eprintln!("{sign} line {}: {detail} ({})", result.line, problem.code));
        }
    }
    if answered < chunk.len() {
        return Err(anyhow::anyhow!("the server answered {answered} of {} lines", chunk.len()).into());
    }
    Ok(())
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let open = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    Ok(Box::new(BufReader::new(open)))
}
