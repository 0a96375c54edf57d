//! Renders the journal of a saga for people: one line for each fact, with its time.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::color::{color_of, paint};
use crate::cli::output::tame;
use snorri_api::journal::JournalEntry;
use snorri_core::journal::{EventSource, Fact, Problem, SkipReason, Started, StopReason};
use snorri_core::{Definition, Direction, Entry, StepPath, Time};

/// Renders the entries of one saga, each once, in order.
#[derive(Debug)]
pub struct JournalRenderer<'a> {
    /// Has the names of the commands. `None`: they are omitted.
    definition: Option<&'a Definition>,
    began: Option<Time>,
    step_width: usize,
}

impl<'a> JournalRenderer<'a> {
    pub fn new(definition: &'a Definition) -> Self {
        let step_width = definition.steps().iter().map(|step| step.name.len()).max().unwrap_or_default();
        Self { definition: Some(definition), began: None, step_width }
    }

    /// A renderer for the journal of the admin API, of a saga that began then, with these steps.
    pub fn of_steps<'s>(began: Option<Time>, steps: impl IntoIterator<Item = &'s str>) -> Self {
        let step_width = steps.into_iter().map(|step| step.chars().count()).max().unwrap_or_default();
        Self { definition: None, began, step_width }
    }

    /// The coloured lines of one entry. `anstream` removes the colours if the output is not a terminal.
    pub fn render_entry(&mut self, entry: &Entry) -> Vec<String> {
        let began = *self.began.get_or_insert(entry.at);
        let since = entry.at.since(began);
        let time = match since.as_millis() {
            millis @ ..100_000 => format!("{millis:>6} ms"),
            _ => format!("{:>9}", lasted(since)),
        };
        let dim = Style::new().dimmed();
        let lines = entry.facts.iter().filter_map(|fact| self.line(entry.at, fact));
        lines.map(|line| format!("{dim}{time}{dim:#}  {line}")).collect()
    }

    /// The lines of an entry of the admin API. A fact that this version does not know is shown by its name.
    pub fn render_api_entry(&mut self, entry: &JournalEntry) -> Vec<String> {
        let at = Time::from_rfc3339(&entry.at).unwrap_or_default();
        let began = *self.began.get_or_insert(at);
        let clock = entry.at.get(11..23).unwrap_or(&entry.at);
        let time = format!("{:>3}  {clock}  {:>8}", entry.seq, format!("+{}", lasted(at.since(began))));
        let dim = Style::new().dimmed();
        let facts = entry.facts.iter().filter_map(|fact| self.line_of(at, fact));
        let mut lines: Vec<String> = asked(&entry.cause).into_iter().chain(facts).collect();
        if lines.is_empty() {
            // Every `seq` is shown.
            lines.push(paint(AnsiColor::Cyan, &format!("· {}", cause(&entry.cause))));
        }
        lines.into_iter().map(|line| format!("{dim}{time}{dim:#}  {line}")).collect()
    }

    fn line_of(&self, at: Time, fact: &Value) -> Option<String> {
        if let Ok(fact) = serde_json::from_value(fact.clone()) {
            return self.line(at, &fact);
        }
        let name = fact.as_str().or_else(|| fact.as_object()?.keys().next().map(String::as_str))?;
        Some(paint(AnsiColor::Cyan, &format!("· {}", tame(name).replace('_', " "))))
    }

    fn line(&self, at: Time, fact: &Fact) -> Option<String> {
        Some(match fact {
            Fact::Started(started) => self.started(started),
            Fact::Sent { step, direction: Direction::Forward, attempt, .. } => self.about(
                AnsiColor::Cyan,
                "→",
                step,
                &format!("{}{}", self.command(step, Direction::Forward), again(*attempt)),
            ),
            Fact::Sent { step, direction: Direction::Compensate, attempt, .. } => {
                let command = self.command(step, Direction::Compensate);
                self.about(AnsiColor::Yellow, "↶", step, &format!("{command}{}", again(*attempt)))
            }
            Fact::Completed { step, output } => self.about(AnsiColor::Green, "✓", step, &output.to_string()),
            Fact::Failed { step, problem } => {
                self.about(AnsiColor::Red, "✗", step, &format!("refused: {}", format_problem(problem)))
            }
            Fact::Unknown { step, problem } => {
                self.about(AnsiColor::Red, "?", step, &format!("unknown: {}", format_problem(problem)))
            }
            Fact::RetryScheduled { step, at: due, problem, .. } => {
                let text = format!("again in {}: {}", lasted(due.since(at)), format_problem(problem));
                self.about(AnsiColor::Yellow, "…", step, &text)
            }
            Fact::WaitingForRoute { step, at: due, problem, .. } => {
                let text = format!(
                    "waits for a route, sent again in {}: {}",
                    lasted(due.since(at)),
                    format_problem(problem)
                );
                self.about(AnsiColor::Yellow, "…", step, &text)
            }
            Fact::ClockStarted { step, deadline, .. } => {
                let text = format!("reached the broker only now, {} to reply", lasted(deadline.since(at)));
                self.about(AnsiColor::Cyan, "→", step, &text)
            }
            Fact::Skipped { step, reason: SkipReason::Condition, .. } => {
                self.about(AnsiColor::Cyan, "·", step, "skipped: its condition is false")
            }
            Fact::BranchSelected { .. } | Fact::ItemsExpanded { .. } | Fact::EventConsumed { .. } => {
                return None;
            }
            Fact::Waiting { step, .. } => self.about(AnsiColor::Cyan, "⏳", step, "waits"),
            Fact::Sleeping { step, .. } => self.about(AnsiColor::Cyan, "⏳", step, "sleeps"),
            Fact::Published { step } => self.about(AnsiColor::Green, "✓", step, "published"),
            Fact::ChildSent { step, direction: Direction::Forward, .. } => {
                self.about(AnsiColor::Cyan, "→", step, "child saga")
            }
            Fact::ChildSent { step, direction: Direction::Compensate, .. } => {
                self.about(AnsiColor::Yellow, "↶", step, "child saga")
            }
            Fact::EventReceived(arrival) => paint(AnsiColor::Cyan, &arrived(&arrival.source)),
            Fact::LateReply { step, .. } => self.about(AnsiColor::Magenta, "!", step, "succeeded too late"),
            Fact::Compensated { step } => self.about(AnsiColor::Yellow, "✓", step, "compensated"),
            Fact::Skipped { step, .. } => self.about(AnsiColor::Magenta, "»", step, "skipped by an operator"),
            Fact::Held { step, problem, .. } => self.about(AnsiColor::Magenta, "!", step, &waits(problem)),
            fact => return Self::line_of_saga(fact),
        })
    }

    /// The line of a fact about the whole saga.
    fn line_of_saga(fact: &Fact) -> Option<String> {
        Some(match fact {
            Fact::OutcomeRequested { to } => {
                paint(AnsiColor::Cyan, &format!("· the outcome is also sent to {}", tame(&to.queue)))
            }
            Fact::CompensationRequested { .. } => paint(AnsiColor::Yellow, "■ the parent saga rolls back"),
            Fact::LimitsRaised => paint(AnsiColor::Magenta, "■ limits raised"),
            Fact::Stopping { reason: StopReason::StepFailed, .. } => return None,
            Fact::Stopping { problem, .. } => {
                paint(AnsiColor::Yellow, &format!("■ stopping: {}", format_problem(problem)))
            }
            Fact::RollbackRevoked => paint(AnsiColor::Green, "■ the pivot succeeded: continuing"),
            Fact::RollbackBegan => paint(AnsiColor::Yellow, "■ rolling back"),
            Fact::Overdue => paint(AnsiColor::Magenta, "■ overdue"),
            Fact::IncidentRaised { problem, .. } => {
                paint(AnsiColor::Magenta, &format!("! {}", waits(problem)))
            }
            Fact::Paused => paint(AnsiColor::Magenta, "‖ paused"),
            Fact::Resumed { held_millis } => {
                let held = lasted(Duration::from_millis(*held_millis));
                paint(AnsiColor::Cyan, &format!("▶ resumed after {held}"))
            }
            Fact::Migrated { version } => {
                paint(AnsiColor::Cyan, &format!("▶ continues with version {version}"))
            }
            Fact::Ended { status, output } => {
                let output = output.as_ref().map(|output| format!("  {output}")).unwrap_or_default();
                format!("{}{output}", paint(color_of(*status), &format!("■ {}", status.as_str())))
            }
            _ => return None,
        })
    }

    fn started(&self, started: &Started) -> String {
        let on = started.inherited.as_ref().map(|on| format!(" from {} of saga {}", on.from, on.saga));
        let started_on = format!("▶ started{}", on.unwrap_or_default());
        format!("{}  {}", paint(AnsiColor::Cyan, &started_on), started.input)
    }

    fn about(&self, color: AnsiColor, sign: &str, step: &StepPath, text: &str) -> String {
        let width = self.step_width;
        format!("{}  {text}", paint(color, &format!("{sign} {:width$}", step.to_string())))
    }

    fn command(&self, step: &StepPath, direction: Direction) -> &'a str {
        let command = self.definition.and_then(|definition| definition.step(step)?.command(direction));
        command
            .map_or(if direction == Direction::Forward { "sent" } else { "compensation sent" }, |command| {
                &command.name
            })
    }
}

fn arrived(source: &EventSource) -> String {
    match source {
        EventSource::Signal(name) => format!("✉ signal {name}"),
        EventSource::Event { event, .. } => format!("✉ event {event}"),
    }
}

fn again(attempt: u32) -> String {
    if attempt > 1 { format!("  (attempt {attempt})") } else { String::new() }
}

fn waits(problem: &Problem) -> String {
    format!("waits for an operator: {}", format_problem(problem))
}

fn format_problem(problem: &Problem) -> String {
    if problem.message.is_empty() {
        tame(problem.code.as_str())
    } else {
        tame(&format!("{} ({})", problem.code, problem.message))
    }
}

/// Formats the cause of an entry.
fn cause(cause: &Value) -> String {
    let Some(content) = cause.as_object() else {
        return tame(cause.as_str().unwrap_or("entry")).replace('_', " ");
    };
    let name = content.keys().next().map_or("entry", String::as_str);
    let step = content.values().next().and_then(|content| content["step"].as_str());
    let step = step.map(|step| format!(" of {step}")).unwrap_or_default();
    tame(&format!("{}{step}", name.replace('_', " ")))
}

/// Formats the intervention of an operator, with the reason.
fn asked(cause: &Value) -> Option<String> {
    let (name, content) = cause.as_object()?.iter().next()?;
    let by = if content["by"].is_object() { &content["by"] } else { content };
    let (actor, reason) = (by["actor"].as_str()?, by["reason"].as_str()?);
    let action = content["action"].as_str().unwrap_or(name).replace('_', " ");
    let step = content["step"].as_str().map(|step| format!(" {step}")).unwrap_or_default();
    let text = tame(&format!("{action}{step} by {actor}: {reason}"));
    Some(paint(AnsiColor::Magenta, &format!("☞ {text}")))
}

/// Formats a duration: `7 ms`, `1.2 s`, `2m 05s`, `3h 10m`, `4d 6h`.
pub fn lasted(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.as_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", seconds, span.subsec_millis() / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
