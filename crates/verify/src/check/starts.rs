//! Checks that triggers can start sagas: each schedule is tried at some of the times at which it is due.

use chrono::{DateTime, Duration, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde_json::{Value, json};

use snorri_core::Time;
use snorri_core::definition::Trigger;
use snorri_core::expression::template::Template;
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::Only;
use snorri_definition::diagnostic::code;

/// Seconds since 1970 of 2024-01-01, the first time that is tried: the result does not depend on the current time.
const FIRST: i64 = 1_704_067_200;
/// How many times a schedule is tried, and how far apart: over more than four years, at all hours and on all days of the week.
const TRIED: i32 = 24;
const APART: Duration = Duration::minutes(67 * 24 * 60 + 433);

pub(super) fn check(compiled: &Compiled) -> Vec<Diagnostic> {
    let starts = &compiled.definition.starts;
    let mut found = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let first = starts[..index].iter().position(|first| is_same(first, start));
        found.extend(first.map(|first| twice(compiled, index, first)));
        found.extend(match start {
            Trigger::Schedule { cron, input } => schedule(compiled, index, cron, input),
            Trigger::Event { event, input, .. } => event_start(compiled, index, event, input.as_ref()),
        });
    }
    found
}

fn schedule(compiled: &Compiled, index: usize, cron: &str, input: &Template) -> Option<Diagnostic> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let times = times(&parser.parse(cron).ok()?);
    if times.is_empty() {
        return Some(never_due(compiled, index, cron));
    }
    let mut keys = Vec::new();
    let mut wrong = Vec::new();
    for time in &times {
        match started(compiled, input, time) {
            Ok(key) => keys.push(key),
            Err(why) => wrong.push((time, why)),
        }
    }
    if let Some((time, why)) = wrong.first() {
        return Some(cannot_start(compiled, index, keys.is_empty(), time, why));
    }
    let first = keys.first()?.as_ref()?;
    let never_changes = keys.len() > 1 && keys.iter().all(|key| key.as_ref() == Some(first));
    never_changes.then(|| key_never_changes(compiled, index, "schedule", "`schedule.time`"))
}

/// Some of the times at which a schedule is due, in the format of `schedule.time`. Empty if it is never due.
fn times(cron: &Cron) -> Vec<String> {
    let Some(first) = DateTime::<Utc>::from_timestamp(FIRST, 0) else { return Vec::new() };
    let mut times = Vec::new();
    for index in 0..TRIED {
        let Ok(due) = cron.find_next_occurrence(&(first + APART * index), true) else { break };
        let time = Time(due.timestamp_millis()).to_rfc3339_seconds();
        if times.last() != Some(&time) {
            times.push(time);
        }
    }
    times
}

/// The key of the saga that is started at `time`, or the reason why none is started.
fn started(compiled: &Compiled, input: &Template, time: &str) -> Result<Option<String>, String> {
    let schedule = json!({ "time": time });
    let input = input.render(&Only("schedule", &schedule)).map_err(|error| error.to_string())?;
    startable(compiled, &input)
}

fn startable(compiled: &Compiled, input: &Value) -> Result<Option<String>, String> {
    compiled.check_input(input).map_err(|invalid| {
        let all = invalid.iter().map(|one| match one.path.as_str() {
            "" => one.message.clone(),
            path => format!("{} at {path}", one.message),
        });
        all.collect::<Vec<_>>().join("; ")
    })?;
    let key = compiled.key(input).map_err(|error| error.to_string())?;
    compiled.attributes(input).map_err(|error| error.to_string())?;
    Ok(key)
}

/// Checks an input that has no expression: it is the same for every event.
fn event_start(
    compiled: &Compiled,
    index: usize,
    event: &str,
    input: Option<&Template>,
) -> Option<Diagnostic> {
    let input = input.filter(|input| input.expressions().is_empty())?;
    let input = input.render(&Only("event", &Value::Null)).ok()?;
    match startable(compiled, &input) {
        Err(why) => {
            let message = format!("`{event}` can never start its saga: {why}");
            Some(
                Diagnostic::new(code::CANNOT_START, place(compiled, index), message)
                    .label("whatever the event contains")
                    .help("take the input from the event, like `${ event.orderId }`"),
            )
        }
        Ok(key) => key.map(|_| key_never_changes(compiled, index, "event", "`event`")),
    }
}

fn place(compiled: &Compiled, index: usize) -> std::ops::Range<usize> {
    compiled.place_of_start(index, &["input", "schedule", "event"])
}

fn cannot_start(compiled: &Compiled, index: usize, is_certain: bool, time: &str, why: &str) -> Diagnostic {
    let message = match is_certain {
        true => format!("this schedule can never start its saga: {why}"),
        false => format!("this schedule cannot always start its saga: {why}"),
    };
    let found = Diagnostic::new(code::CANNOT_START, place(compiled, index), message)
        .label(format!("tried with `schedule.time` {time}"))
        .help("give the schedule an `input` that matches the `input` schema and has the fields of the key");
    if is_certain { found } else { found.warning() }
}

fn key_never_changes(compiled: &Compiled, index: usize, what: &str, of: &str) -> Diagnostic {
    let example = if what == "event" { "event.orderId" } else { "schedule.time" };
    let message = format!("this {what} always starts the same saga: its key never changes");
    Diagnostic::new(code::KEY_NEVER_CHANGES, place(compiled, index), message)
        .label("from the second time on, the key is taken")
        .also(compiled.place_of_key(), format!("does not depend on {of}"))
        .help(format!("add it to the `input`, like `${{ {example} }}`, and build the key from it"))
}

fn never_due(compiled: &Compiled, index: usize, cron: &str) -> Diagnostic {
    let message = format!("the schedule `{cron}` is never due");
    Diagnostic::new(code::NEVER_DUE, compiled.place_of_start(index, &["schedule"]), message)
        .label("there is no such date")
        .help("the fields are minute, hour, day of month, month and day of week; for the last day of a month write `0 0 L * *`")
}

fn twice(compiled: &Compiled, index: usize, first: usize) -> Diagnostic {
    let keys = ["schedule", "event"];
    Diagnostic::new(code::SAME_START, compiled.place_of_start(index, &keys), "this start is listed twice")
        .label("starts the same saga a second time")
        .also(compiled.place_of_start(first, &keys), "first listed here")
        .help("remove one of the two, or give it another `input`")
        .warning()
}

fn is_same(one: &Trigger, other: &Trigger) -> bool {
    match (one, other) {
        (
            Trigger::Schedule { cron: mine, input: my_input },
            Trigger::Schedule { cron: theirs, input: their_input },
        ) => mine.split_whitespace().eq(theirs.split_whitespace()) && my_input == their_input,
        (
            Trigger::Event { exchange: e1, event: n1, when: w1, input: i1 },
            Trigger::Event { exchange: e2, event: n2, when: w2, input: i2 },
        ) => (e1, n1, w1, i1) == (e2, n2, w2, i2),
        _ => false,
    }
}
