//! Checks for literals whose value differs from their text, or from what other readers of YAML make of them: `01067` is the
//! number 1067, `no` is a text here and a boolean elsewhere. Pure: it compares a value with its own text.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::code;
use crate::source::{Node, Value};
use snorri_core::json;

/// The keys of a JSON Schema that hold values and not schemas.
const VALUES: [&str; 4] = ["enum", "const", "default", "examples"];
/// The booleans of YAML 1.1 other than `true` and `false`.
const WORDS: [(&str, bool); 6] =
    [("y", true), ("yes", true), ("on", true), ("n", false), ("no", false), ("off", false)];

/// Checks whether parsing has changed a scalar. `source` is the text that it was parsed from.
pub(super) fn check(node: &Node, source: &str) -> Option<Diagnostic> {
    let written = source.get(node.span.clone())?.trim();
    if written.starts_with(['"', '\'', '|', '>']) {
        return None;
    }
    match &node.value {
        Value::Number(number) if !is_exact(written, &number.to_string()) => {
            Some(rounded(node, written, number))
        }
        Value::Number(number) => is_rewritten(written).then(|| rewritten(node, written, number)),
        Value::Null if written == "~" => Some(
            warning(node, "`~` is read as null".into())
                .label("null")
                .help("write `null`, or `\"~\"` for the text"),
        ),
        Value::String(text) if text == written => plain_text(node, text),
        _ => None,
    }
}

/// Checks all values that a JSON Schema lists.
pub(super) fn check_schema(schema: &Node, source: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut todo = vec![(schema, false)];
    while let Some((node, is_value)) = todo.pop() {
        match &node.value {
            Value::Mapping(entries) => todo.extend(entries.iter().map(|entry| {
                let lists_values = VALUES.contains(&entry.key.as_str());
                (&entry.value, is_value || lists_values)
            })),
            Value::Sequence(items) => todo.extend(items.iter().map(|item| (item, is_value))),
            _ if is_value => found.extend(check(node, source)),
            _ => {}
        }
    }
    found
}

/// Whether a value is a usual way to write that there is no compensation, like `compensate: no`.
pub(super) fn means_none(value: &Value) -> bool {
    match value {
        Value::Bool(false) => true,
        Value::String(text) => {
            ["no", "off", "n", "none", "null", "nothing"].contains(&text.to_lowercase().as_str())
        }
        _ => false,
    }
}

fn warning(node: &Node, message: String) -> Diagnostic {
    Diagnostic::new(code::LOSSY_LITERAL, node.span.clone(), message).warning()
}

fn rounded(node: &Node, written: &str, number: &serde_json::Number) -> Diagnostic {
    Diagnostic::new(code::NOT_KEPT, node.span.clone(), format!("`{written}` would be rounded to {number}"))
        .label("more digits than a number keeps")
        .help(format!("put quotes around it, `\"{written}\"`: a text arrives as it is written"))
}

fn rewritten(node: &Node, written: &str, number: &serde_json::Number) -> Diagnostic {
    let number = number.to_string();
    let number = number.strip_suffix(".0").unwrap_or(&number);
    warning(node, format!("`{written}` is read as the number {number}"))
        .label("not sent as it is written")
        .help(format!("write `{number}` for the number, or `\"{written}\"` for the text"))
}

fn plain_text(node: &Node, text: &str) -> Option<Diagnostic> {
    let word = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    let (elsewhere, instead) = match word {
        Some((_, is_true)) => (format!("the boolean {is_true}"), format!("`{is_true}` for the boolean, or ")),
        None if is_date(text) => ("a date".into(), String::new()),
        None if is_sexagesimal(text) => ("a number to the base of 60".into(), String::new()),
        None => return None,
    };
    Some(
        warning(node, format!("`{text}` is a text here, and {elsewhere} to other readers of YAML"))
            .label("a text without quotes")
            .help(format!("write {instead}`\"{text}\"` for the text")),
    )
}

/// Whether a number is sent differently from how it is written: the lost characters may be significant.
fn is_rewritten(written: &str) -> bool {
    let digits = written.trim_start_matches(['+', '-']);
    let has_radix = digits.starts_with('0') && digits[1..].starts_with(char::is_alphabetic);
    let has_leading_zero =
        digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
    let has_exponent_alone = !has_radix && digits.contains(['e', 'E']) && !digits.contains('.');
    // `1.10` may be a version. `1.0` keeps its zero.
    let fraction = digits.split_once('.').map_or("", |(_, fraction)| fraction);
    let fraction = fraction.split(['e', 'E']).next().unwrap_or_default();
    let has_trailing_zero = fraction.len() > 1 && fraction.ends_with('0');
    written.starts_with('+')
        || written.contains('_')
        || has_radix
        || has_leading_zero
        || has_exponent_alone
        || has_trailing_zero
}

/// Whether the parsed number equals the written one. A number to another base is parsed exactly, or not at all.
fn is_exact(written: &str, read: &str) -> bool {
    let written = written.replace('_', "");
    let is_decimal = written.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    !is_decimal || json::is_same_number(&written, read)
}

/// `2026-11-29`, alone or with a time behind it.
fn is_date(text: &str) -> bool {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "0"));
    let parts: Vec<_> = date.split('-').collect();
    let is_number = |part: &&str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let [year, month, day] = parts.as_slice() else { return false };
    is_number(year, 4..=4)
        && is_number(month, 1..=2)
        && is_number(day, 1..=2)
        && time.starts_with(|first: char| first.is_ascii_digit())
}

/// `12:30`, or `1:12:30.5`.
fn is_sexagesimal(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let digits = digits.split_once('.').map_or(digits, |(digits, _)| digits);
    let mut parts = digits.split(':');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let starts = parts.next().is_some_and(is_number);
    let rest: Vec<_> = parts.collect();
    let is_sixtieth =
        |part: &&str| is_number(part) && part.len() <= 2 && part.parse().is_ok_and(|it: u8| it < 60);
    starts && !rest.is_empty() && rest.iter().all(is_sixtieth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Problems;
    use crate::source;

    /// The diagnostic for `value: ...`: its code, and its message.
    fn found(value: &str) -> Option<(&'static str, String)> {
        let text = format!("value: {value}\n");
        let root = source::parse(&text, &mut Problems::default()).expect(value);
        let Value::Mapping(entries) = &root.value else { panic!("a mapping") };
        check(&entries[0].value, &text).map(|found| (found.code, found.message))
    }

    #[test]
    fn what_is_read_as_another_number_is_found() {
        let read_as = |written: &str, number: &str| {
            let message = format!("`{written}` is read as the number {number}");
            assert_eq!(found(written), Some((code::LOSSY_LITERAL, message)));
        };
        read_as("01067", "1067");
        read_as("-007", "-7");
        read_as("1_000", "1000");
        read_as("0x1F", "31");
        read_as("0o17", "15");
        read_as("0b101", "5");
        read_as("1e3", "1000");
        read_as("12E4", "120000");
        read_as("+491234567", "491234567");
        read_as("1.10", "1.1");
    }

    #[test]
    fn what_other_readers_take_for_something_else_is_found() {
        for word in ["no", "No", "NO", "yes", "on", "Off", "y", "N"] {
            assert!(found(word).is_some_and(|(code, _)| code == code::LOSSY_LITERAL), "{word}");
        }
        for text in [
            "2026-11-29",
            "2026-11-29T12:00:00Z",
            "2026-11-29 12:00:00",
            "12:30:00",
            "9:05",
            "190:20:30.5",
            "~",
        ] {
            assert!(found(text).is_some_and(|(code, _)| code == code::LOSSY_LITERAL), "{text}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_found() {
        for number in [
            "123456789012345678901234567890",
            "18446744073709551617",
            "-9223372036854775809",
            "0.12345678901234567890",
            "1234567890.123456789",
            "1.00000000000000000001",
        ] {
            assert!(found(number).is_some_and(|(code, _)| code == code::NOT_KEPT), "{number}");
        }
    }

    #[test]
    fn what_is_read_as_it_is_written_is_not() {
        for value in [
            "0",
            "-1",
            "1067",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1.0",
            ".5",
            "2.5e-3",
            "1.5e300",
            "true",
            "null",
            "",
            "none",
            "nothing",
            "order",
            "10s",
            "8080:80",
            "a:30",
            "1-2-3",
            "2026-11",
            "\"01067\"",
            "'no'",
            "\"2026-11-29\"",
            "1.2.3",
            "0.30000000000000004",
        ] {
            assert_eq!(found(value), None, "{value}");
        }
    }
}
