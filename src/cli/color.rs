//! Colours on a terminal.

use anstyle::AnsiColor;

use snorri_core::Status;

/// The colour of a status.
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
