//! `snorri show`: shows one saga, its incidents with the possible interventions, and its journal.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::Args as ClapArgs;

use crate::cli::color::{color_of, paint};
use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format, brief, tame, time};
use crate::cli::remote::{Remote, Session, quoted};
use crate::cli::saga::render::{JournalRenderer, lasted};
use crate::cli::saga::target::Target;
use snorri_api::journal::{JournalEntry, JournalPage, JournalQuery};
use snorri_api::records::DeadLetterLink;
use snorri_api::sagas::{
    GetQuery, Incident, Include, Saga, SentCommand, Step, StepStatus, Timer, UpcomingStep,
};
use snorri_core::journal::InterventionKind;
use snorri_core::journal::SkipReason;
use snorri_core::outlook::UpcomingAction;
use snorri_core::{Direction, SagaId, Time};

/// Number of entries of one request.
const PAGE: u32 = 500;
/// Includes the payloads of commands.
const PAYLOADS: GetQuery = GetQuery { include: Some(Include::Payloads) };
/// Maximum length of a value in a line.
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
    /// Show only the journal
    #[arg(long, conflicts_with = "no_journal")]
    journal: bool,
    /// Omit the journal
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
            serde_json::to_string(&page).context("cannot format the response")?
        } else {
            session.client.find(&["sagas", &id], &PAYLOADS).await?.text
        };
        output::json_text(&text)?;
        return Ok(());
    }
    let mut saga: Saga = session.client.find(&["sagas", &id], &PAYLOADS).await?.read()?;
    let entries = journal(&session, &id).await?;
    sort_steps(&mut saga, &entries);
    let mut text = String::new();
    if !args.journal {
        text += &overview(&saga, &session.flags);
    }
    if !args.no_journal {
        text += &render_saga(&saga, &entries);
    }
    output::print(&text)?;
    Ok(())
}

/// Gets the whole journal of a saga.
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

/// Sorts the steps in the order in which they began.
pub fn sort_steps(saga: &mut Saga, entries: &[JournalEntry]) {
    let facts = entries.iter().flat_map(|entry| &entry.facts);
    let named = facts.filter_map(|fact| fact.as_object()?.values().next()?["step"].as_str());
    let mut places = BTreeMap::new();
    for (place, step) in named.enumerate() {
        places.entry(step).or_insert(place);
    }
    saga.steps.sort_by_key(|step| places.get(step.step.as_str()).copied().unwrap_or(usize::MAX));
}

/// Renders the journal of a saga.
pub fn render_saga(saga: &Saga, entries: &[JournalEntry]) -> String {
    let mut renderer = JournalRenderer::of_steps(Time::from_rfc3339(&saga.started_at), names(saga));
    let lines = entries.iter().flat_map(|entry| renderer.render_api_entry(entry));
    let lines = lines.map(|line| format!("  {line}\n"));
    section("Journal") + &lines.collect::<String>()
}

/// The names of the steps, for the width of columns.
pub fn names(saga: &Saga) -> impl Iterator<Item = &str> {
    saga.steps
        .iter()
        .map(|step| step.step.as_str())
        .chain(saga.upcoming_steps.iter().map(|ahead| ahead.step.as_str()))
}

/// Renders a saga without its journal. `flags` are added to suggested commands.
pub fn overview(saga: &Saga, flags: &str) -> String {
    let mut text = header(saga);
    if !saga.incidents.is_empty() {
        text += &section("Incidents");
        text.extend(saga.incidents.iter().map(|incident| render_incident(&name_of(saga), incident, flags)));
    }
    if !saga.steps.is_empty() {
        text += &section("Steps");
        let width = names(saga).map(|name| name.chars().count()).max().unwrap_or_default();
        text.extend(saga.steps.iter().map(|step| render_step(step, width)));
    }
    if !saga.dead_letters.is_empty() {
        text += &section("Dead letters");
        text.extend(saga.dead_letters.iter().map(|letter| render_dead_letter(letter, flags)));
    }
    if !saga.upcoming_steps.is_empty() {
        let back = saga.upcoming_steps.iter().any(|ahead| ahead.action == UpcomingAction::Compensation);
        text += &section(if back { "Still to be compensated" } else { "Still to come" });
        let width = names(saga).map(|name| name.chars().count()).max().unwrap_or_default();
        text.extend(saga.upcoming_steps.iter().map(|ahead| render_upcoming(ahead, width)));
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
        ("because", saga.problem.as_ref().map(|problem| format_code(&problem.code, &problem.message))),
        ("part of", saga.parent.as_ref().map(|parent| format!("{} ({})", parent.saga, parent.step))),
        ("restart", saga.restarted_from.map(|from| format!("of {from}"))),
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
        text += &format!("  {dim}{:<9}{dim:#} {} = {}\n", "attribute", tame(name), tame(value));
    }
    text
}

/// The shortest name of a saga for commands.
fn name_of(saga: &Saga) -> String {
    let key = saga.key.as_deref().filter(|key| SagaId::of_key(&saga.definition, key).0 == saga.id);
    key.map_or_else(|| saga.id.to_string(), |key| quoted(&format!("{}/{key}", saga.definition)))
}

fn due(timer: &Timer) -> String {
    let step = timer.step.as_deref().unwrap_or("the saga");
    format!("{} of {step} at {}", timer.kind.as_str(), time(&timer.at))
}

fn format_code(code: &str, message: &str) -> String {
    if message.is_empty() { tame(code) } else { tame(&format!("{code} ({message})")) }
}

fn section(title: &str) -> String {
    let bold = Style::new().bold();
    format!("\n{bold}{title}{bold:#}\n")
}

/// Renders a step that the saga has reached.
fn render_step(step: &Step, width: usize) -> String {
    let (sign, color, meaning) = match step.status {
        StepStatus::Awaiting => ("→", AnsiColor::Cyan, "sent, awaiting the reply"),
        StepStatus::RetryScheduled => ("…", AnsiColor::Yellow, "retry scheduled"),
        StepStatus::WaitingForRoute => ("…", AnsiColor::Yellow, "waits for a queue for its command"),
        StepStatus::Held => ("!", AnsiColor::Magenta, "waits for an operator"),
        StepStatus::Completed => ("✓", AnsiColor::Green, "completed"),
        StepStatus::Failed => ("✗", AnsiColor::Red, "refused"),
        StepStatus::Skipped if step.skip_reason == Some(SkipReason::Operator) => {
            ("»", AnsiColor::Magenta, "skipped by an operator")
        }
        StepStatus::Skipped => ("·", AnsiColor::Cyan, "skipped: its condition is false"),
        StepStatus::Waiting => ("⏳", AnsiColor::Cyan, "waits"),
        StepStatus::Sleeping => ("⏳", AnsiColor::Cyan, "sleeps"),
        StepStatus::Unknown => ("?", AnsiColor::Red, "outcome unknown"),
        StepStatus::Compensating => ("↶", AnsiColor::Yellow, "being compensated"),
        StepStatus::Compensated => ("✓", AnsiColor::Yellow, "compensated"),
    };
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let output = step.output.as_ref().map(|output| format!("  {}", brief(output, BRIEF))).unwrap_or_default();
    let line =
        format!("  {}  {meaning}{attempt}{output}\n", paint(color, &format!("{sign} {:width$}", step.step)));
    step.commands.iter().fold(line, |text, command| text + &sent(command))
}

/// Renders a sent command, with the ids that participants and the broker see.
fn sent(command: &SentCommand) -> String {
    let SentCommand { direction, exchange, name, message_id, payload, .. } = command;
    let sign = if *direction == Direction::Compensate { "↶" } else { "→" };
    let to = tame(&format!("{name} to {exchange}"));
    let payload = payload.as_ref().map(|payload| format!("  {}", brief(payload, BRIEF))).unwrap_or_default();
    let dim = Style::new().dimmed();
    format!("      {dim}{sign} {to}  message_id {message_id}{dim:#}{payload}\n")
}

/// Renders a dead letter of the saga, with the command that shows it.
fn render_dead_letter(letter: &DeadLetterLink, flags: &str) -> String {
    let step = letter.step.as_deref().map(|step| format!("{step}: ")).unwrap_or_default();
    let what = paint(AnsiColor::Red, &tame(&format!("✗ {step}{} ({})", letter.code, letter.reason)));
    format!("  {what}  {}\n    snorri dead-letters show {}{flags}\n", time(&letter.at), letter.id)
}

/// Renders an upcoming step.
fn render_upcoming(ahead: &UpcomingStep, width: usize) -> String {
    let name = ahead.name.as_deref().map(|name| format!(" {}", tame(name))).unwrap_or_default();
    let maybe = if ahead.conditional { ", conditional" } else { "" };
    format!("  · {:width$}  {}{name}{maybe}\n", ahead.step, ahead.action.as_str().replace('_', " "))
}

/// Renders an incident, with the commands of the allowed actions.
fn render_incident(saga: &str, incident: &Incident, flags: &str) -> String {
    let whose = match (&incident.step, incident.direction) {
        (Some(step), Some(Direction::Compensate)) => format!("the compensation of {step}: "),
        (Some(step), _) => format!("{step}: "),
        (None, _) => String::new(),
    };
    let what = format_code(&incident.code, &incident.message);
    let mut text = format!(
        "  {}  since {}\n",
        paint(AnsiColor::Magenta, &format!("! {whose}{what}")),
        time(&incident.since)
    );
    if let Some(details) = &incident.details {
        text += &format!("    {}\n", brief(details, BRIEF));
    }
    let commands: Vec<_> =
        incident.allowed_actions.iter().flat_map(|action| commands(*action, saga, incident)).collect();
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let dim = Style::new().dimmed();
    for (command, meaning) in commands {
        text += &format!("    {command:width$}{flags}  {dim}{meaning}{dim:#}\n");
    }
    text
}

/// The commands of an allowed action, with their meanings.
fn commands(action: InterventionKind, saga: &str, incident: &Incident) -> Vec<(String, &'static str)> {
    let step = incident.step.as_deref().map(|step| format!(" --step {}", quoted(step))).unwrap_or_default();
    let typed = |verb: &str, rest: &str| format!("snorri {verb} {saga}{rest} --reason '…'");
    let forward = incident.direction != Some(Direction::Compensate);
    match action {
        InterventionKind::Retry => vec![(typed("retry", &step), "send it again, with all its attempts")],
        InterventionKind::Resolve if forward => vec![
            (
                typed("resolve", &format!("{step} --outcome succeeded --result '{{}}'")),
                "it took effect, with this output",
            ),
            (typed("resolve", &format!("{step} --outcome failed")), "it did not take effect"),
        ],
        InterventionKind::Resolve => {
            vec![(typed("resolve", &format!("{step} --outcome succeeded")), "it was compensated by hand")]
        }
        InterventionKind::Skip => vec![(typed("skip", &step), "continue without it")],
        InterventionKind::Rollback => vec![(typed("rollback", ""), "compensate the completed steps")],
        InterventionKind::RaiseLimits => vec![(typed("raise-limits", ""), "grant its limits once more")],
        InterventionKind::Abandon => vec![(typed("abandon", ""), "end it in its current state")],
    }
}
