//! The table in `docs/reliability/conditions.md`. `SNORRI_CONDITIONS_TABLE` names the file; without it, rows are only printed.

use std::path::PathBuf;
use std::time::Duration;

/// A row: a condition and its measurements.
#[derive(Debug)]
pub struct Row {
    pub condition: &'static str,
    pub started: usize,
    pub lost: usize,
    pub double: usize,
    pub stuck: usize,
    pub ready: String,
    pub last_ended: String,
    pub longest_pause: String,
    pub readyz: String,
    pub metrics: Vec<String>,
    pub remarks: Vec<String>,
}

impl Row {
    /// Prints the row, and puts it into the table in place of the last one of this condition.
    pub fn write(&self) {
        let line = self.line();
        println!("{line}");
        replace_line(&format!("| {} |", self.condition), &line);
    }

    fn line(&self) -> String {
        let metrics: Vec<_> = self.metrics.iter().map(|metric| format!("`{metric}`")).collect();
        let cells = [
            self.condition.to_owned(),
            self.started.to_string(),
            self.lost.to_string(),
            self.double.to_string(),
            self.stuck.to_string(),
            self.ready.clone(),
            self.last_ended.clone(),
            self.longest_pause.clone(),
            self.readyz.clone(),
            metrics.join("<br>"),
            self.remarks.join("; "),
        ];
        format!("| {} |", cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | "))
    }
}

/// Seconds, as in `1.2 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Replaces the line that begins like this; appends the new one if there is no such line.
pub fn replace_line(beginning: &str, line: &str) {
    let Some(path) = std::env::var_os("SNORRI_CONDITIONS_TABLE").map(PathBuf::from) else { return };
    let text = std::fs::read_to_string(&path).expect("the file with the table");
    let mut lines: Vec<_> = text.lines().collect();
    match lines.iter().position(|line| line.starts_with(beginning)) {
        Some(found) => lines[found] = line,
        None => lines.push(line),
    }
    std::fs::write(&path, lines.join("\n") + "\n").expect("written");
}
