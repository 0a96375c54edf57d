//! Formats tables, numbers and bars as text.

use comfy_table::{CellAlignment, Table, presets};

/// Formats a table without lines, indented by two: the first column is aligned left, all others right.
pub(super) fn table(rows: Vec<Vec<String>>) -> String {
    aligned(rows, &[CellAlignment::Left])
}

/// Formats a table without lines, indented by two. Columns beyond these alignments are aligned right.
pub(super) fn aligned(rows: Vec<Vec<String>>, alignments: &[CellAlignment]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 2 } else { 3 }, 0));
        column.set_cell_alignment(alignments.get(index).copied().unwrap_or(CellAlignment::Right));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a count, with a dot for 0.
pub(super) fn some(number: u64) -> String {
    if number == 0 { "·".into() } else { count(number) }
}

/// Formats a part of a whole in per cent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    format!("{:.2}%", share * 100.0)
}

/// Formats milliseconds: with three digits up to a minute, and with two units from there.
pub(super) fn time(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => {
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            let number = millis as f64 / 1_000.0;
            let digits = if number < 9.995 { 2 } else { 1 };
            format!("{number:.digits$}s")
        }
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Draws a bar whose length is its share of `width`, in eighths of a character. A part above 0 is always visible.
pub(super) fn bar(part: u64, most: u64, width: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part == 0 || most == 0 {
        return String::new();
    }
    let eighths = (u128::from(part) * u128::from(width) * 8).div_ceil(u128::from(most));
    let eighths = usize::try_from(eighths).unwrap_or_default();
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(999), count(10_000), count(1_234_567)),
            ("999".into(), "10,000".into(), "1,234,567".into())
        );
        let times = [999, 1_234, 12_345, 65_000, 5_400_000, 200_000_000];
        assert_eq!(times.map(time), ["999ms", "1.23s", "12.3s", "1m 05s", "1h 30m", "2d 7h"]);
        assert_eq!((bar(8, 8, 2), bar(1, 1_000, 4), bar(0, 8, 2)), ("██".into(), "▏".into(), String::new()));
    }
}
