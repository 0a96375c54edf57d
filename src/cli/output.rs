//! Output: tables for people, the responses of the server for programs, and colours on terminals.

use std::io::{IsTerminal, Write};

use anstream::ColorChoice;
use anstyle::AnsiColor;
use clap::ValueEnum;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::cli::color::color_of;
use crate::cli::failure::Failure;
use snorri_core::Status;
use snorri_core::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// The output format of commands that need no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Sets the colours of the process. `auto` depends on the terminal, `NO_COLOR` and similar variables.
    pub fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

/// Prints to standard output, with colours only on terminals. Invisible characters are escaped.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text::escape_styled(text).as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a text as it is, with a line ending.
pub fn print_plain(text: &str) -> anyhow::Result<()> {
    // The reader may have closed the pipe.
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

pub fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Prints JSON as it is, with a line ending. Invisible characters are escaped.
pub fn json_text(text: &str) -> Result<(), Failure> {
    raw(&text::escape_json(text))
}

/// Prints a text as it is, with a line ending. Not through `anstream`, because the text is data.
pub fn raw(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    json_text(&serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

/// Renders a table without lines, suitable for `cut` and `grep`.
pub fn table(header: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).enforce_styling();
    let title = |name: &&str| Cell::new(name.to_uppercase()).add_attribute(comfy_table::Attribute::Dim);
    table.set_header(header.iter().map(title));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| trimmed(&line) + "\n").collect()
}

/// Removes trailing spaces, including dimmed ones.
fn trimmed(line: &str) -> String {
    const PLAIN: &str = "\u{1b}[0m";
    match line.trim_end().strip_suffix(PLAIN) {
        Some(styled) => format!("{}{PLAIN}", styled.trim_end()),
        None => line.trim_end().to_owned(),
    }
}

/// The status of a saga in its colour.
pub fn status(status: Status, paused: bool) -> Cell {
    let text = if paused { format!("{} (paused)", status.as_str()) } else { status.as_str().to_owned() };
    Cell::new(text).fg(match color_of(status) {
        AnsiColor::Green => comfy_table::Color::DarkGreen,
        AnsiColor::Cyan => comfy_table::Color::DarkCyan,
        AnsiColor::Yellow => comfy_table::Color::DarkYellow,
        _ => comfy_table::Color::DarkMagenta,
    })
}

/// A cell of an optional value.
pub fn maybe<T: ToString>(value: Option<&T>) -> Cell {
    Cell::new(value.map_or_else(|| "-".to_owned(), ToString::to_string))
}

/// Formats a time of the server for people: `2026-01-31 08:15:00`, UTC.
pub fn time(text: &str) -> String {
    let seconds = text.get(..19).filter(|_| text.ends_with('Z'));
    seconds.map_or_else(|| text.to_owned(), |seconds| seconds.replace('T', " "))
}

/// Formats a value, cut to `most` characters.
pub fn brief(value: &Value, most: usize) -> String {
    let text = value.to_string();
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Escapes a text of the server, so that it cannot control the terminal.
pub fn tame(text: &str) -> String {
    text::escape(text).into_owned()
}

/// Formats a count: `1 saga`, `2 sagas`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A progress bar on standard error, if it is a terminal.
pub fn progress(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:40.cyan/dim} {pos}/{len}  {per_sec}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count).with_style(style)
}

/// Whether the command can ask for confirmation.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for confirmation on the terminal. Any answer except yes is no.
pub fn confirmed(question: &str) -> Result<bool, Failure> {
    anstream::eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
