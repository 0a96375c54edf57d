//! What participants do: `given`, step by step, and the answers that are given elsewhere.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::decode::Reader;
use super::fields::{self, Fields, Shape};
use super::script::{Aim, Answer, Given, Response, problem};
use crate::catalog::source::{Entry, Node, Value};
use crate::catalog::{Diagnostic, code, suggest};
use crate::saga::Direction;
use crate::saga::definition::{Action, EventPattern};
use crate::saga::input::ReplyResult;
use crate::saga::journal::{Arrival, Problem};

const ANSWER: Shape = Shape {
    name: "an answer",
    keys: &["success", "failure", "error", "nothing", "unroutable", "event", "exchange", "body", "after"],
};
const PROBLEM: Shape = Shape { name: "a problem", keys: &["code", "message", "details"] };
const KINDS: [&str; 6] = ["success", "failure", "error", "nothing", "unroutable", "event"];

/// What a mapping from steps to answers says.
pub(super) fn given(entry: Option<&Entry>, reader: &mut Reader<'_>) -> Given {
    let mut given = Given::default();
    let entries = entry.and_then(|entry| fields::mapping(&entry.value, "`given`", &mut reader.problems));
    for entry in entries.unwrap_or_default() {
        let Some(aim) = reader.aim(&entry.key, &entry.key_span) else { continue };
        if !is_answered(&aim, entry, reader) {
            continue;
        }
        let nodes = match &entry.value.value {
            Value::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let answers: Vec<_> = nodes.iter().filter_map(|node| answer(&aim, entry, node, reader)).collect();
        given.0.insert(aim, answers);
    }
    given
}

/// Only commands and child sagas are answered. The rest goes by itself, or by what happens.
fn is_answered(aim: &Aim, entry: &Entry, reader: &mut Reader<'_>) -> bool {
    let action = reader.compiled.definition.step(&aim.path).map(|step| &step.action);
    let (what, help) = match action {
        None | Some(Action::Command(_) | Action::Child(_)) => return true,
        Some(Action::Wait(_)) => ("waits", "tell under `when` what comes: `- signal: ...` or `- event: ...`"),
        Some(Action::Choice(_)) => {
            ("is a choice", "it follows from the input and from what other steps return")
        }
        Some(Action::ForEach(_)) => ("is a `for_each`", "answer for the steps within it"),
        Some(Action::Sleep(_) | Action::Publish(_) | Action::Fail { .. }) => {
            ("asks nobody", "remove it: it goes by itself")
        }
    };
    reader.problems.report(
        Diagnostic::new(
            code::SCENARIO_ANSWER,
            entry.key_span.clone(),
            format!("`{}` {what}, and is not answered", aim.path),
        )
        .label("no command")
        .help(help),
    );
    false
}

fn answer(aim: &Aim, entry: &Entry, node: &Node, reader: &mut Reader<'_>) -> Option<Answer> {
    let span = if node.span.is_empty() { &entry.key_span } else { &node.span };
    let answer = match &node.value {
        Value::String(word) => {
            let Some(what) = by_word(word) else {
                reader.problems.report(
                    Diagnostic::new(code::BAD_VALUE, span.clone(), format!("`{word}` is not an answer"))
                        .label("expected an answer")
                        .help(not_an_answer(word)),
                );
                return None;
            };
            Answer { what, after: Duration::ZERO }
        }
        Value::Mapping(_) => {
            let fields = Fields::of(node, &ANSWER, &mut reader.problems)?;
            let after = fields.get("after").and_then(|entry| fields::duration(entry, &mut reader.problems));
            let what = response(aim, fields, reader)?;
            Answer { what, after: after.unwrap_or_default() }
        }
        _ => {
            let message = format!("an answer of `{aim}` cannot be {}", node.kind());
            reader.problems.report(
                Diagnostic::new(code::WRONG_TYPE, span.clone(), message)
                    .label("expected an answer")
                    .help("write it like `{ success: { id: r-1 } }`, `{ failure: card_declined }`, `error` or `nothing`"),
            );
            return None;
        }
    };
    check_child(aim, &answer.what, span, reader);
    Some(answer)
}

fn not_an_answer(word: &str) -> String {
    match fields::meant(word, KINDS) {
        Some(kind) => format!("did you mean `{kind}`?"),
        None => format!(
            "write `{{ failure: {word} }}` if that is why it is refused, or {}",
            suggest::one_of(KINDS)
        ),
    }
}

fn by_word(word: &str) -> Option<Response> {
    Some(match word {
        "success" => Response::Reply(ReplyResult::Success(Arc::default())),
        "failure" => Response::Reply(ReplyResult::Failure(Problem::of_participant("failure", ""))),
        "error" => Response::Reply(ReplyResult::Error(Problem::of_participant("error", ""))),
        "nothing" => Response::Nothing,
        "unroutable" => Response::Unroutable,
        _ => return None,
    })
}

/// A child saga completes, or is rolled back; it is not tried again.
fn check_child(aim: &Aim, what: &Response, span: &std::ops::Range<usize>, reader: &mut Reader<'_>) {
    let is_child =
        matches!(reader.compiled.definition.step(&aim.path).map(|step| &step.action), Some(Action::Child(_)));
    let fits = matches!(
        what,
        Response::Nothing | Response::Reply(ReplyResult::Success(_) | ReplyResult::Failure(_))
    );
    if is_child && !fits {
        let message = format!("`{}` is a saga: it does not end like this", aim.path);
        reader.problems.report(
            Diagnostic::new(code::SCENARIO_ANSWER, span.clone(), message)
                .label("not of a saga")
                .help("write `success`, `failure`, or `nothing` if it goes on for ever"),
        );
    }
}

fn response(aim: &Aim, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<Response> {
    let said: Vec<_> = fields.entries.iter().filter(|entry| KINDS.contains(&entry.key.as_str())).collect();
    if let [_, second, ..] = said.as_slice() {
        reader.problems.report(
            Diagnostic::new(code::EITHER_OR, second.key_span.clone(), "an answer is one of these, not two")
                .label("the second one")
                .help("write a list of answers, one for each attempt"),
        );
        return None;
    }
    let Some(entry) = said.first() else { return by_word("success") };
    Some(match entry.key.as_str() {
        "event" => Response::Event(Arc::new(arrival_of(aim, entry, fields, reader)?)),
        "nothing" => Response::Nothing,
        "unroutable" => Response::Unroutable,
        _ => Response::Reply(result(entry, reader)?),
    })
}

/// What `success`, `failure` or `error` says.
pub(super) fn result(entry: &Entry, reader: &mut Reader<'_>) -> Option<ReplyResult> {
    Some(match entry.key.as_str() {
        "success" => ReplyResult::Success(Arc::new(entry.value.to_json())),
        "failure" => ReplyResult::Failure(problem_of(entry, reader)?),
        _ => ReplyResult::Error(problem_of(entry, reader)?),
    })
}

/// A code, or `{ code, message, details }`.
fn problem_of(entry: &Entry, reader: &mut Reader<'_>) -> Option<Problem> {
    match &entry.value.value {
        Value::Null => Some(Problem::of_participant(&entry.key, "")),
        Value::String(code) => Some(Problem::of_participant(code, "")),
        Value::Mapping(_) => {
            let fields = Fields::of(&entry.value, &PROBLEM, &mut reader.problems)?;
            let code = fields.require("code", "code: card_declined", &mut reader.problems)?;
            let code = fields::text(code, &mut reader.problems)?;
            let message = fields.get("message").and_then(|entry| fields::text(entry, &mut reader.problems));
            let details = fields.get("details").map(|entry| entry.value.to_json());
            Some(problem(code, message.unwrap_or_default(), details))
        }
        _ => {
            let wrong = fields::wrong_type(entry, "a code");
            reader.problems.report(wrong.help("write it like `failure: card_declined`"));
            None
        }
    }
}

/// A domain event by which a participant answers.
fn arrival_of(aim: &Aim, entry: &Entry, fields: Fields<'_>, reader: &mut Reader<'_>) -> Option<Arrival> {
    let compiled = reader.compiled;
    let command = compiled.definition.step(&aim.path).and_then(|step| step.command(aim.direction));
    let known: Vec<_> = command.iter().flat_map(|command| &command.on).map(|reply| &reply.event).collect();
    arrival(entry, fields, &known, &format!("`{aim}` is not answered by"), reader)
}

/// An event of those that are known, whose exchange may be left out.
pub(super) fn arrival(
    entry: &Entry,
    fields: Fields<'_>,
    known: &[&EventPattern],
    otherwise: &str,
    reader: &mut Reader<'_>,
) -> Option<Arrival> {
    let name = fields::text(entry, &mut reader.problems)?;
    let exchange = match fields.get("exchange") {
        Some(entry) => Some(fields::text(entry, &mut reader.problems)?),
        None => None,
    };
    let fits = |pattern: &&&EventPattern| {
        *pattern.event == *name && exchange.is_none_or(|exchange| *pattern.exchange == *exchange)
    };
    let Some(pattern) = known.iter().find(fits) else {
        let names: Vec<_> = known.iter().map(|pattern| &*pattern.event).collect();
        let from = exchange.map(|exchange| format!(" from `{exchange}`")).unwrap_or_default();
        let help = suggest::did_you_mean(name, names);
        reader.problems.report(
            Diagnostic::new(
                code::SCENARIO_ARRIVAL,
                entry.value.span.clone(),
                format!("{otherwise} an event `{name}`{from}"),
            )
            .label("nobody listens for it")
            .help(help.unwrap_or_else(|| "list it under `on:` in the definition".to_owned())),
        );
        return None;
    };
    let body = fields.get("body").map_or(Json::Null, |entry| entry.value.to_json());
    Some(Arrival::new(pattern.source(), None, body))
}

/// Whether `direction` of a step is a command or a child saga of its own.
pub(super) fn is_sent(reader: &Reader<'_>, aim: &Aim) -> bool {
    reader.compiled.definition.step(&aim.path).is_some_and(|step| match &step.action {
        Action::Child(_) => true,
        Action::Command(_) => aim.direction == Direction::Forward || step.has_undo(),
        _ => false,
    })
}
