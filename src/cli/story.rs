//! A saga's journal as a story that people can read: one line for each thing that happened, with its time.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::saga::journal::{Fact, Problem, Source, Started, StopReason};
use crate::saga::{Definition, Direction, Entry, Status, StepPath, Time};

/// Tells the entries of one saga, each once, in order.
#[derive(Debug)]
pub struct Story<'a> {
    definition: &'a Definition,
    began: Option<Time>,
    step_width: usize,
}

impl<'a> Story<'a> {
    pub fn new(definition: &'a Definition) -> Self {
        let step_width = definition.steps().iter().map(|step| step.name.len()).max().unwrap_or_default();
        Self { definition, began: None, step_width }
    }

    /// The lines of one entry, coloured; printing through `anstream` takes the colours away where they do not belong.
    pub fn tell(&mut self, entry: &Entry) -> Vec<String> {
        let began = *self.began.get_or_insert(entry.at);
        let time = format!("{:>6} ms", entry.at.since(began).as_millis());
        let dim = Style::new().dimmed();
        let lines = entry.facts.iter().filter_map(|fact| self.line(fact));
        lines.map(|line| format!("{dim}{time}{dim:#}  {line}")).collect()
    }

    fn line(&self, fact: &Fact) -> Option<String> {
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
                self.about(AnsiColor::Red, "✗", step, &format!("refused: {}", told(problem)))
            }
            Fact::Unknown { step, problem } => {
                self.about(AnsiColor::Red, "?", step, &format!("nobody knows: {}", told(problem)))
            }
            Fact::RetryScheduled { step, problem, .. } => {
                self.about(AnsiColor::Yellow, "…", step, &format!("again later: {}", told(problem)))
            }
            Fact::Omitted { step } => self.about(AnsiColor::Cyan, "·", step, "not needed"),
            Fact::Chosen { .. } | Fact::FannedOut { .. } | Fact::Taken { .. } => return None,
            Fact::Waiting { step, .. } => self.about(AnsiColor::Cyan, "⏳", step, "waits"),
            Fact::Sleeping { step, .. } => self.about(AnsiColor::Cyan, "⏳", step, "sleeps"),
            Fact::Published { step } => self.about(AnsiColor::Green, "✓", step, "published"),
            Fact::ChildSent { step, direction: Direction::Forward, .. } => {
                self.about(AnsiColor::Cyan, "→", step, "child saga")
            }
            Fact::ChildSent { step, direction: Direction::Compensate, .. } => {
                self.about(AnsiColor::Yellow, "↶", step, "child saga")
            }
            Fact::Arrived(arrival) => paint(AnsiColor::Cyan, &arrived(&arrival.source)),
            Fact::UndoAsked { .. } => {
                paint(AnsiColor::Yellow, "■ the saga that this is part of is rolled back")
            }
            Fact::Undone { step } => self.about(AnsiColor::Yellow, "✓", step, "undone"),
            Fact::Skipped { step, .. } => self.about(AnsiColor::Magenta, "»", step, "passed over"),
            Fact::Held { step, problem, .. } => self.about(
                AnsiColor::Magenta,
                "!",
                step,
                &format!("waits for an operator: {}", told(problem)),
            ),
            Fact::Stopping { reason: StopReason::StepFailed, .. } => return None,
            Fact::Stopping { problem, .. } => {
                paint(AnsiColor::Yellow, &format!("■ stopping: {}", told(problem)))
            }
            Fact::StopDropped => paint(AnsiColor::Green, "■ the pivot succeeded: going on"),
            Fact::RollbackBegan => paint(AnsiColor::Yellow, "■ rolling back"),
            Fact::LateReply { step, .. } => self.about(AnsiColor::Magenta, "!", step, "succeeded too late"),
            Fact::Overdue => paint(AnsiColor::Magenta, "■ overdue"),
            Fact::IncidentRaised { problem, .. } => {
                paint(AnsiColor::Magenta, &format!("! waits for an operator: {}", told(problem)))
            }
            Fact::Paused => paint(AnsiColor::Magenta, "‖ paused"),
            Fact::Resumed { held_millis } => {
                let held = humantime::format_duration(Duration::from_millis(*held_millis));
                paint(AnsiColor::Cyan, &format!("▶ resumed after {held}"))
            }
            Fact::Migrated { version } => {
                paint(AnsiColor::Cyan, &format!("▶ goes on with version {version}"))
            }
            Fact::Ended { status, output } => {
                let output = output.as_ref().map(|output| format!("  {output}")).unwrap_or_default();
                format!("{}{output}", paint(color_of(*status), &format!("■ {}", status.as_str())))
            }
            Fact::Retried { .. } | Fact::IncidentPassed { .. } | Fact::WakeSet { .. } => return None,
        })
    }

    fn started(&self, started: &Started) -> String {
        let on = started.carried.as_ref().map(|on| format!(" from {} of saga {}", on.from, on.saga));
        let started_on = format!("▶ started{}", on.unwrap_or_default());
        format!("{}  {}", paint(AnsiColor::Cyan, &started_on), started.input)
    }

    fn about(&self, color: AnsiColor, sign: &str, step: &StepPath, text: &str) -> String {
        let width = self.step_width;
        format!("{}  {text}", paint(color, &format!("{sign} {:width$}", step.to_string())))
    }

    fn command(&self, step: &StepPath, direction: Direction) -> &'a str {
        let command = self.definition.step(step).and_then(|step| step.command(direction));
        command.map_or("", |command| &command.name)
    }
}

/// The colour of a status, wherever it is shown.
pub fn color_of(status: Status) -> AnsiColor {
    match status {
        Status::Completed => AnsiColor::Green,
        Status::Running => AnsiColor::Cyan,
        Status::Compensating | Status::Compensated => AnsiColor::Yellow,
        Status::Stuck | Status::Abandoned => AnsiColor::Magenta,
    }
}

/// `text` in a colour.
pub fn paint(color: AnsiColor, text: &str) -> String {
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

fn arrived(source: &Source) -> String {
    match source {
        Source::Signal(name) => format!("✉ signal {name}"),
        Source::Event { event, .. } => format!("✉ event {event}"),
    }
}

fn again(attempt: u32) -> String {
    if attempt > 1 { format!("  (attempt {attempt})") } else { String::new() }
}

fn told(problem: &Problem) -> String {
    if problem.message.is_empty() {
        problem.code.clone()
    } else {
        format!("{} ({})", problem.code, problem.message)
    }
}
