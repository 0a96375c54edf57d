//! Parses and formats durations as definitions and reports write them: `1d 2h`, `56s 200ms`.

use std::time::Duration;

/// Milliseconds of each unit.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration such as `1h 30m`. Also accepts microseconds, months and years.
///
/// # Errors
///
/// If the text is not one or more numbers with units.
pub fn parse_duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text.trim())
}

/// Formats a duration with all its units, truncated to milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut parts = Vec::new();
    for (unit, millis) in UNITS {
        if left >= millis {
            parts.push(format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_duration_can_be_parsed() {
        for (millis, text) in [(0, "0s"), (200, "200ms"), (56_200, "56s 200ms"), (93_600_000, "1d 2h")] {
            let duration = Duration::from_millis(millis);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text), Ok(duration));
        }
    }
}
