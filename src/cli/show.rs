//! `snorri show`: the story of one saga, and what can be done if it waits for somebody.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::Args as ClapArgs;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format, brief, tame, time};
use super::remote::{Remote, Session, quoted};
use super::story::{Story, color_of, lasted, paint};
use super::target::Target;
use crate::api::journal::{JournalEntry, JournalPage, JournalQuery};
use crate::api::records::DeadLetterLink;
use crate::api::sagas::{Ahead, GetQuery, Incident, Include, Saga, SentCommand, Step, StepStatus, Timer};
use crate::saga::{Direction, SagaId, Time};

/// Entries of one request.
const PAGE: u32 = 500;
/// With what was sent.
const PAYLOADS: GetQuery = GetQuery { include: Some(Include::Payloads) };
/// Most of a value that a line shows.
const BRIEF: usize = 100;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Examples:
  snorri show 0195c2a4-7b3e-7f10-9d6c-2f1d6f0c8a11
  snorri show order/o-17                     the saga of definition `order` with the key `o-17`
  snorri show order/o-17 --no-journal
  snorri show order/o-17 --output json | jq .incidents
  snorri show order/o-17 --journal --output json | jq '.entries[].cause'

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY
    saga: Target,
    /// Only its journal
    #[arg(long, conflicts_with = "no_journal")]
    journal: bool,
    /// All but its journal
    #[arg(long)]
    no_journal: bool,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let id = args.saga.segment();
    if session.format == Format::Json {
        let text = if args.journal {
            let entries = journal(&session, &id).await?;
            let page = JournalPage { entries, next: None };
            serde_json::to_string(&page).context("cannot write the answer")?
        } else {
            session.client.find(&["sagas", &id], &PAYLOADS).await?.text
        };
        output::json_text(&text)?;
        return Ok(());
    }
    let mut saga: Saga = session.client.find(&["sagas", &id], &PAYLOADS).await?.read()?;
    let entries = journal(&session, &id).await?;
    in_order(&mut saga, &entries);
    let mut text = String::new();
    if !args.journal {
        text += &overview(&saga, &session.flags);
    }
    if !args.no_journal {
        text += &told(&saga, &entries);
    }
    output::print(&text)?;
    Ok(())
}

/// All of a saga's journal.
pub async fn journal(session: &Session, id: &str) -> Result<Vec<JournalEntry>, Failure> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let query = JournalQuery { after, limit: Some(PAGE) };
        let page: JournalPage = session.client.find(&["sagas", id, "journal"], &query).await?.read()?;
        entries.extend(page.entries);
        match page.next {
            Some(next) if after.is_none_or(|after| after < next) => after = Some(next),
            _ => return Ok(entries),
        }
    }
}

/// Puts the steps in the order in which they began.
pub fn in_order(saga: &mut Saga, entries: &[JournalEntry]) {
    let facts = entries.iter().flat_map(|entry| &entry.facts);
    let named = facts.filter_map(|fact| fact.as_object()?.values().next()?["step"].as_str());
    let mut places = BTreeMap::new();
    for (place, step) in named.enumerate() {
        places.entry(step).or_insert(place);
    }
    saga.steps.sort_by_key(|step| places.get(step.step.as_str()).copied().unwrap_or(usize::MAX));
}

/// What happened, with times.
pub fn told(saga: &Saga, entries: &[JournalEntry]) -> String {
    let mut story = Story::of_steps(Time::from_rfc3339(&saga.started_at), names(saga));
    let lines = entries.iter().flat_map(|entry| story.retell(entry)).map(|line| format!("  {line}\n"));
    section("Journal") + &lines.collect::<String>()
}

/// The names that the story will be about, for its columns.
pub fn names(saga: &Saga) -> impl Iterator<Item = &str> {
    saga.steps
        .iter()
        .map(|step| step.step.as_str())
        .chain(saga.remaining.iter().map(|ahead| ahead.step.as_str()))
}

/// All of a saga but its journal. `flags` are those that the commands to type need.
pub fn overview(saga: &Saga, flags: &str) -> String {
    let mut text = header(saga);
    if !saga.incidents.is_empty() {
        text += &section("Incidents");
        text.extend(saga.incidents.iter().map(|incident| waiting(&name_of(saga), incident, flags)));
    }
    if !saga.steps.is_empty() {
        text += &section("Steps");
        let width = names(saga).map(|name| name.chars().count()).max().unwrap_or_default();
        text.extend(saga.steps.iter().map(|step| came(step, width)));
    }
    if !saga.dead_letters.is_empty() {
        text += &section("Dead letters");
        text.extend(saga.dead_letters.iter().map(|letter| unusable(letter, flags)));
    }
    if !saga.remaining.is_empty() {
        let back = saga.remaining.iter().any(|ahead| ahead.action == "compensation");
        text += &section(if back { "Still to be undone" } else { "Still to come" });
        let width = names(saga).map(|name| name.chars().count()).max().unwrap_or_default();
        text.extend(saga.remaining.iter().map(|ahead| comes(ahead, width)));
    }
    text
}

fn header(saga: &Saga) -> String {
    let bold = Style::new().bold();
    let name = saga.key.as_deref().map(|key| format!(" {}", tame(key))).unwrap_or_default();
    let paused = if saga.paused_at.is_some() { paint(AnsiColor::Magenta, ", paused") } else { String::new() };
    let status = paint(color_of(saga.status), saga.status.as_str());
    let mut text = format!("{bold}{}{name}{bold:#}  {status}{paused}\n", saga.definition);
    let ran = |until: &str| {
        let span = Time::from_rfc3339(until).zip(Time::from_rfc3339(&saga.started_at));
        span.map(|(until, began)| format!("  after {}", lasted(until.since(began)))).unwrap_or_default()
    };
    let rows = [
        ("", Some(tame(&saga.waits_for)).filter(|_| !saga.ended)),
        ("id", Some(saga.id.to_string())),
        ("version", Some(saga.version.to_string())),
        ("started", Some(time(&saga.started_at))),
        ("changed", Some(format!("{}  entry {}", time(&saga.changed_at), saga.seq))),
        ("paused", saga.paused_at.as_deref().map(time)),
        ("ended", saga.ended_at.as_deref().map(|ended| format!("{}{}", time(ended), ran(ended)))),
        ("next", saga.timers.first().map(due)),
        ("because", saga.problem.as_ref().map(|problem| said(&problem.code, &problem.message))),
        ("part of", saga.parent.as_ref().map(|parent| format!("{} ({})", parent.saga, parent.step))),
        ("goes on", saga.restart_of.map(|from| format!("from {from}"))),
        ("input", Some(brief(&saga.input, BRIEF))),
        ("output", saga.output.as_ref().map(|output| brief(output, BRIEF))),
    ];
    let dim = Style::new().dimmed();
    for (name, value) in rows {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let name = if name.is_empty() { String::new() } else { format!("{dim}{name:<9}{dim:#}") };
            text += &format!("  {name}{value}\n");
        }
    }
    for (name, value) in &saga.attributes {
        text += &format!("  {dim}{:<9}{dim:#}{} = {}\n", "attribute", tame(name), tame(value));
    }
    text
}

/// As short as commands may name it.
fn name_of(saga: &Saga) -> String {
    let key = saga.key.as_deref().filter(|key| SagaId::of_key(&saga.definition, key).0 == saga.id);
    key.map_or_else(|| saga.id.to_string(), |key| quoted(&format!("{}/{key}", saga.definition)))
}

fn due(timer: &Timer) -> String {
    let step = timer.step.as_deref().unwrap_or("the saga");
    format!("{} of {step} at {}", timer.what, time(&timer.at))
}

fn said(code: &str, message: &str) -> String {
    if message.is_empty() { tame(code) } else { tame(&format!("{code} ({message})")) }
}

fn section(title: &str) -> String {
    let bold = Style::new().bold();
    format!("\n{bold}{title}{bold:#}\n")
}

/// A step that came to something.
fn came(step: &Step, width: usize) -> String {
    let (sign, color, word) = match step.status {
        StepStatus::Awaiting => ("→", AnsiColor::Cyan, "sent, awaiting the reply"),
        StepStatus::Backoff => ("…", AnsiColor::Yellow, "will be tried again"),
        StepStatus::WaitingForRoute => ("…", AnsiColor::Yellow, "waits for a queue that takes its command"),
        StepStatus::Held => ("!", AnsiColor::Magenta, "waits for an operator"),
        StepStatus::Completed => ("✓", AnsiColor::Green, "completed"),
        StepStatus::Failed => ("✗", AnsiColor::Red, "refused"),
        StepStatus::Omitted => ("·", AnsiColor::Cyan, "not needed"),
        StepStatus::Waiting => ("⏳", AnsiColor::Cyan, "waits"),
        StepStatus::Sleeping => ("⏳", AnsiColor::Cyan, "sleeps"),
        StepStatus::Unknown => ("?", AnsiColor::Red, "nobody knows"),
        StepStatus::Compensating => ("↶", AnsiColor::Yellow, "being undone"),
        StepStatus::Compensated => ("✓", AnsiColor::Yellow, "undone"),
    };
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let output = step.output.as_ref().map(|output| format!("  {}", brief(output, BRIEF))).unwrap_or_default();
    let line =
        format!("  {}  {word}{attempt}{output}\n", paint(color, &format!("{sign} {:width$}", step.step)));
    step.commands.iter().fold(line, |text, command| text + &sent(command))
}

/// A command that was sent, with what participants and the broker know it by.
fn sent(command: &SentCommand) -> String {
    let SentCommand { direction, exchange, name, message_id, payload, .. } = command;
    let sign = if *direction == Direction::Compensate { "↶" } else { "→" };
    let to = tame(&format!("{name} to {exchange}"));
    let payload = payload.as_ref().map(|payload| format!("  {}", brief(payload, BRIEF))).unwrap_or_default();
    let dim = Style::new().dimmed();
    format!("      {dim}{sign} {to}  message_id {message_id}{dim:#}{payload}\n")
}

/// A message about the saga that could not be used, with the command that shows all of it.
fn unusable(letter: &DeadLetterLink, flags: &str) -> String {
    let step = letter.step.as_deref().map(|step| format!("{step}: ")).unwrap_or_default();
    let what = paint(AnsiColor::Red, &tame(&format!("✗ {step}{} ({})", letter.code, letter.reason)));
    format!("  {what}  {}\n    snorri dead-letters show {}{flags}\n", time(&letter.at), letter.id)
}

/// A step that is still to come.
fn comes(ahead: &Ahead, width: usize) -> String {
    let name = ahead.name.as_deref().map(|name| format!(" {}", tame(name))).unwrap_or_default();
    let maybe = if ahead.conditional { ", if it comes to that" } else { "" };
    format!("  · {:width$}  {}{name}{maybe}\n", ahead.step, ahead.action.replace('_', " "))
}

/// An incident, with the commands that would help.
fn waiting(saga: &str, incident: &Incident, flags: &str) -> String {
    let whose = match (&incident.step, incident.direction) {
        (Some(step), Some(Direction::Compensate)) => format!("the undo of {step}: "),
        (Some(step), _) => format!("{step}: "),
        (None, _) => String::new(),
    };
    let what = said(&incident.code, &incident.message);
    let mut text = format!(
        "  {}  since {}\n",
        paint(AnsiColor::Magenta, &format!("! {whose}{what}")),
        time(&incident.since)
    );
    if let Some(details) = &incident.details {
        text += &format!("    {}\n", brief(details, BRIEF));
    }
    let commands: Vec<_> = incident.can.iter().flat_map(|can| commands(can, saga, incident)).collect();
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let dim = Style::new().dimmed();
    for (command, meaning) in commands {
        text += &format!("    {command:width$}{flags}  {dim}{meaning}{dim:#}\n");
    }
    text
}

/// What to type for one of the interventions that are possible, and what it means.
fn commands(can: &str, saga: &str, incident: &Incident) -> Vec<(String, &'static str)> {
    let step = incident.step.as_deref().map(|step| format!(" --step {}", quoted(step))).unwrap_or_default();
    let typed = |verb: &str, rest: &str| format!("snorri {verb} {saga}{rest} --reason '…'");
    let forward = incident.direction != Some(Direction::Compensate);
    match can {
        "retry" => vec![(typed("retry", &step), "send it again, with all its attempts")],
        "resolve" if forward => vec![
            (
                typed("resolve", &format!("{step} --done --result '{{}}'")),
                "it happened: say with what output",
            ),
            (typed("resolve", &format!("{step} --not-done")), "it did not happen"),
        ],
        "resolve" => vec![(typed("resolve", &format!("{step} --done")), "it was undone by hand")],
        "skip" => vec![(typed("skip", &step), "go on as if nothing had to be done")],
        "roll_back" => vec![(typed("rollback", ""), "undo what was done")],
        "abandon" => vec![(typed("abandon", ""), "give it up as it is")],
        other => vec![(format!("{other}: not known to this version of snorri"), "")],
    }
}
