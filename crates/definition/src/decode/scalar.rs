//! Decodes addresses, booleans, numbers and durations.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::code;
use crate::diagnostic::{Diagnostic, Problems};
use crate::duration::{format_duration, parse_duration};
use crate::entry::{DURATION_HELP, without_unit};
use crate::source::{Entry, Value};

pub(super) use crate::entry::{bad_value, choice, text, wrong_type};

/// Longest and shortest duration that can be given.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(365 * 24);
/// Most bytes of an AMQP short string, which exchanges and routing keys are.
const SHORT_STRING_BYTES: usize = 255;

/// Decodes the name of an exchange or a command: fixed, and valid in AMQP.
pub(super) fn address<'a>(entry: &'a Entry, problems: &mut Problems) -> Option<&'a str> {
    let text = text(entry, problems)?;
    let (key, span) = (&entry.key, entry.value.span.clone());
    let diagnostic = if text.contains("${") {
        Diagnostic::new(code::NO_EXPRESSION_HERE, span, format!("`{key}` cannot hold an expression"))
            .label("taken literally")
            .help("expressions go into `payload`, `key` and `output`")
    } else if text.is_empty() {
        bad_value(span, format!("`{key}` is empty"))
    } else if text.len() > SHORT_STRING_BYTES {
        bad_value(span, format!("`{key}` is longer than {SHORT_STRING_BYTES} bytes"))
            .label(format!("{} bytes", text.len()))
    } else if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        bad_value(span, format!("`{key}` contains white space"))
            .help(format!("write it like `{}`", example(key)))
    } else if text.contains(['*', '#']) {
        bad_value(span, format!("`{key}` contains a wildcard"))
            .label("`*` and `#` only mean something in a binding")
            .help(format!("write one name, like `{}`", example(key)))
    } else {
        return Some(text);
    };
    problems.report(diagnostic);
    None
}

/// The name of an exchange. Reports an invalid one, and returns an empty name then.
pub(super) fn exchange(entry: &Entry, problems: &mut Problems) -> Arc<str> {
    address(entry, problems).unwrap_or_default().into()
}

fn example(key: &str) -> &'static str {
    match key {
        "exchange" => "shop.commands",
        "event" | "publish" => "order.placed",
        "signal" => "approved",
        "code" => "too_risky",
        _ => "inventory.reserve",
    }
}

pub(super) fn boolean(entry: &Entry, problems: &mut Problems) -> Option<bool> {
    match &entry.value.value {
        Value::Bool(value) => Some(*value),
        _ => {
            problems.report(wrong_type(entry, "a boolean").help("write `true` or `false`"));
            None
        }
    }
}

pub(super) fn integer(entry: &Entry, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u32> {
    let (least, most) = (range.start(), range.end());
    let Value::Number(number) = &entry.value.value else {
        let help = match &entry.value.value {
            Value::String(text) if text.parse::<u32>().is_ok() => "remove the quotes".into(),
            _ => format!("write a whole number from {least} to {most}"),
        };
        problems.report(wrong_type(entry, "a number").help(help));
        return None;
    };
    let value =
        number.as_u64().and_then(|value| u32::try_from(value).ok()).filter(|value| range.contains(value));
    if value.is_none() {
        let message = format!("`{}` must be a whole number from {least} to {most}", entry.key);
        let help = match number.as_f64() {
            Some(number) if number > f64::from(*most) => format!("write `{most}` at most"),
            Some(number) if number < f64::from(*least) => format!("write `{least}` at least"),
            _ => "leave out what is behind the point".into(),
        };
        problems.report(bad_value(entry.value.span.clone(), message).label("out of range").help(help));
    }
    value
}

pub(super) fn duration(entry: &Entry, problems: &mut Problems) -> Option<Duration> {
    let Value::String(text) = &entry.value.value else {
        problems.report(match &entry.value.value {
            Value::Number(number) => without_unit(entry, number),
            _ => wrong_type(entry, "a duration").help(DURATION_HELP),
        });
        return None;
    };
    read_duration(entry, text, problems)
}

/// `200ms..30s`, or one duration that is both the first and the longest wait.
pub(super) fn backoff(entry: &Entry, problems: &mut Problems) -> Option<(Duration, Duration)> {
    let Value::String(text) = &entry.value.value else {
        let single = duration(entry, problems)?;
        return Some((single, single));
    };
    let Some((first, most)) = text.split_once("..") else {
        let is_duration = |text: &str| parse_duration(text).is_ok();
        let both = text.split_once(['-', '–', '…']).or_else(|| text.split_once(" to "));
        if let Some((first, most)) = both.filter(|(first, most)| is_duration(first) && is_duration(most)) {
            problems.report(
                bad_value(entry.value.span.clone(), format!("`{text}` is not a duration"))
                    .label("expected a duration, or two with `..` between them")
                    .help(format!("write `{}..{}`", first.trim(), most.trim())),
            );
            return None;
        }
        let single = read_duration(entry, text, problems)?;
        return Some((single, single));
    };
    let first = read_duration(entry, first, problems);
    let most = read_duration(entry, most, problems);
    let (first, most) = (first?, most?);
    if first > most {
        problems.report(
            bad_value(entry.value.span.clone(), "`backoff` ends before it begins".into())
                .label("the longest wait is shorter than the first")
                .help(format!("write `{}..{}`", format_duration(most), format_duration(first))),
        );
        return None;
    }
    Some((first, most))
}

fn read_duration(entry: &Entry, text: &str, problems: &mut Problems) -> Option<Duration> {
    let text = text.trim();
    let span = || entry.value.span.clone();
    match parse_duration(text) {
        Ok(duration) if (SHORTEST..=LONGEST).contains(&duration) => Some(duration),
        Ok(duration) => {
            let message = format!("`{}` must be from 1ms to 365d", entry.key);
            let help = if duration > LONGEST { "write `365d` at most" } else { "write `1ms` at least" };
            problems.report(bad_value(span(), message).label("out of range").help(help));
            None
        }
        Err(_) => {
            let message = format!("`{text}` is not a duration");
            problems.report(bad_value(span(), message).label("expected a duration").help(DURATION_HELP));
            None
        }
    }
}
