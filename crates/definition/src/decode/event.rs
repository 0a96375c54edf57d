//! Decodes domain events: replies to commands, events that steps wait for, and events that start sagas.

use std::sync::Arc;

use croner::parser::{CronParser, Seconds, Year};

use crate::code;
use crate::decode::Context;
use crate::decode::fields::DefinitionFields;
use crate::decode::rules::reach;
use crate::decode::scalar;
use crate::decode::template;
use crate::decode::words::{EVENT_START, REPLY_EVENT, SCHEDULE_START};
use crate::diagnostic::{Diagnostic, Problems};
use crate::expression::Scope;
use crate::source::{Entry, Node, Value};
use snorri_core::definition::{EventPattern, EventReply, EventResult, Trigger};
use snorri_core::expression::template::Template;

const RESULTS: [(&str, EventResult); 3] =
    [("success", EventResult::Success), ("failure", EventResult::Failure), ("error", EventResult::Error)];

/// Decodes the events that are replies to a command.
pub(super) fn replies(entry: Option<&Entry>, scope: Scope, cx: &mut Context<'_>) -> Vec<EventReply> {
    let example = "write it like `reply_events: [{ event: stock.reserved, ... }]`";
    let items = list(entry, example, &mut cx.problems);
    let reply = |item: &Node| {
        let fields = DefinitionFields::of(item, &REPLY_EVENT, &mut cx.problems)?;
        let event = pattern(fields, scope, cx);
        let result = fields
            .require("outcome", "outcome: success", &mut cx.problems)
            .and_then(|entry| scalar::choice(entry, &RESULTS, &mut cx.problems));
        Some(EventReply { event: event?, result: result? })
    };
    items.iter().filter_map(reply).collect()
}

/// Decodes an event with its exchange and its correlation.
pub(super) fn pattern(
    fields: DefinitionFields<'_>,
    scope: Scope,
    cx: &mut Context<'_>,
) -> Option<EventPattern> {
    let event = name(fields, cx);
    let exchange = exchange(fields, cx);
    let correlate = fields
        .require("correlate", "correlate: ${ event.orderId }", &mut cx.problems)
        .and_then(|entry| template::expression(entry, Scope::only_event("correlate"), cx));
    let matches = fields.get("match").map(|entry| template::expression(entry, scope.with_event(), cx));
    if !cx.has_key && !cx.key_reported {
        cx.key_reported = true;
        cx.problems.report(
            Diagnostic::new(
                code::NO_KEY,
                fields.head.clone(),
                "events need a business key to find their saga by",
            )
            .label("compared with the saga's key")
            .help("define the key at the top of the file, like `key: ${ input.orderId }`"),
        );
    }
    let matches = match matches {
        Some(matches) => Some(matches?),
        None => None,
    };
    if let (Some(entry), Some(matches)) = (fields.get("match"), &matches) {
        cx.problems.find_all(reach::unchanging(entry, matches, ["matches every event", "matches no event"]));
    }
    Some(EventPattern { exchange: exchange?, event: event?, correlate: correlate?, matches })
}

fn name(fields: DefinitionFields<'_>, cx: &mut Context<'_>) -> Option<Arc<str>> {
    let entry = fields.require("event", "event: order.placed", &mut cx.problems)?;
    scalar::address(entry, &mut cx.problems).map(Into::into)
}

/// Decodes the exchange of an event, for which there is no default.
pub(super) fn exchange(fields: DefinitionFields<'_>, cx: &mut Context<'_>) -> Option<Arc<str>> {
    let entry = fields.require("exchange", "exchange: shop.events", &mut cx.problems)?;
    Some(scalar::exchange(entry, &mut cx.problems))
}

/// Decodes the triggers of a saga.
pub(super) fn starts(entry: Option<&Entry>, cx: &mut Context<'_>) -> Vec<Trigger> {
    let items = list(entry, "write it like `start: [{ event: order.placed, ... }]`", &mut cx.problems);
    items.iter().filter_map(|item| start(item, cx)).collect()
}

fn start(node: &Node, cx: &mut Context<'_>) -> Option<Trigger> {
    let has = |key: &str| match &node.value {
        Value::Mapping(entries) => entries.iter().any(|entry| entry.key == key),
        _ => false,
    };
    if has("schedule") { schedule(node, cx) } else { by_event(node, cx) }
}

fn by_event(node: &Node, cx: &mut Context<'_>) -> Option<Trigger> {
    let fields = DefinitionFields::of(node, &EVENT_START, &mut cx.problems)?;
    let event = name(fields, cx);
    let exchange = exchange(fields, cx);
    let scope = Scope::only_event("start");
    let when = fields.get("when").map(|entry| template::expression(entry, scope, cx));
    if let (Some(entry), Some(Some(when))) = (fields.get("when"), &when) {
        let comes_to = ["every event starts a saga", "no event ever starts a saga"];
        cx.problems.find_all(reach::unchanging(entry, when, comes_to));
    }
    let input = fields.get("input").map(|entry| template::decode(&entry.value, scope, cx));
    if !cx.has_key {
        let span = fields.get("event").map_or(fields.head, |entry| &entry.key_span);
        cx.problems.report(
            Diagnostic::new(code::NO_KEY, span.clone(), "a saga that an event starts needs a business key")
                .label("would start one more saga if it came again")
                .help("define the key at the top of the file, like `key: ${ input.orderId }`"),
        );
    }
    Some(Trigger::Event { exchange: exchange?, event: event?, when: when.flatten(), input })
}

fn schedule(node: &Node, cx: &mut Context<'_>) -> Option<Trigger> {
    let fields = DefinitionFields::of(node, &SCHEDULE_START, &mut cx.problems)?;
    let cron = fields.get("schedule").and_then(|entry| cron(entry, &mut cx.problems));
    let input = fields.get("input").map_or_else(
        || Template::Literal(serde_json::json!({})),
        |entry| template::decode(&entry.value, Scope::SCHEDULE, cx),
    );
    Some(Trigger::Schedule { cron: cron?, input })
}

fn cron(entry: &Entry, problems: &mut Problems) -> Option<String> {
    const HELP: &str = "write minute, hour, day of month, month and day of week, like `0 3 * * *`";
    const FIELDS: usize = 5;
    let text = scalar::text(entry, problems)?;
    let count = text.split_whitespace().count();
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let wrong = if count != FIELDS {
        Some(format!("a schedule has five fields, not {count}"))
    } else {
        parser.parse(text).err().map(|error| {
            let error = error.to_string();
            format!("this is not a schedule: {}", error.trim_end_matches('.'))
        })
    };
    match wrong {
        None => Some(text.to_owned()),
        Some(message) => {
            problems.report(
                scalar::bad_value(entry.value.span.clone(), message)
                    .label("expected a cron expression")
                    .help(HELP),
            );
            None
        }
    }
}

fn list<'a>(entry: Option<&'a Entry>, example: &str, problems: &mut Problems) -> &'a [Node] {
    let Some(entry) = entry else { return &[] };
    if let Value::Sequence(items) = &entry.value.value {
        return items;
    }
    problems.report(scalar::wrong_type(entry, "a list").help(example));
    &[]
}
