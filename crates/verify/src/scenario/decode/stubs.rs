//! Decodes `stubs`, the answers of participants by step, and the answers in `when`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::super::script::{Aim, Answer, Response, Stubs, problem};
use super::ScenarioReader;
use super::fields::{self, Fields, Shape};
use snorri_core::Direction;
use snorri_core::definition::{Action, EventPattern};
use snorri_core::input::ReplyResult;
use snorri_core::journal::{Problem, ReceivedEvent};
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::diagnostic::suggest;
use snorri_definition::source::{Entry, Node, Value};

const ANSWER: Shape = Shape {
    name: "an answer",
    keys: &["success", "failure", "error", "no_reply", "unroutable", "event", "exchange", "body", "delay"],
};
const PROBLEM: Shape = Shape { name: "a problem", keys: &["code", "message", "details"] };
const KINDS: [&str; 6] = ["success", "failure", "error", "no_reply", "unroutable", "event"];

/// Decodes a mapping from steps to answers.
pub(super) fn stubs(entry: Option<&Entry>, reader: &mut ScenarioReader<'_>) -> Stubs {
    let mut stubs = Stubs::default();
    let entries =
        entry.and_then(|entry| fields::mapping(&entry.value, "`stubs`", "charge", &mut reader.problems));
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
        stubs.0.insert(aim, answers);
    }
    stubs
}

/// Only commands and child sagas have answers.
fn is_answered(aim: &Aim, entry: &Entry, reader: &mut ScenarioReader<'_>) -> bool {
    let action = reader.compiled.definition.step(&aim.path).map(|step| &step.action);
    let (what, help) = match action {
        None | Some(Action::Command(_) | Action::Child(_)) => return true,
        Some(Action::Wait(_)) => {
            ("is a wait", "list its event under `when`: `- signal: ...` or `- event: ...`")
        }
        Some(Action::Choice(_)) => {
            ("is a choice", "it is made from the input and the outputs of other steps")
        }
        Some(Action::ForEach(_)) => ("is a `for_each`", "write stubs for the steps in it"),
        Some(Action::Sleep(_) | Action::Publish(_) | Action::Fail { .. }) => {
            ("sends no command", "remove it: the step needs no answer")
        }
    };
    reader.problems.report(
        Diagnostic::new(
            code::SCENARIO_ANSWER,
            entry.key_span.clone(),
            format!("`{}` {what}: it cannot have a stub", aim.path),
        )
        .label("no command")
        .help(help),
    );
    false
}

fn answer(aim: &Aim, entry: &Entry, node: &Node, reader: &mut ScenarioReader<'_>) -> Option<Answer> {
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
            Answer { what, delay: Duration::ZERO }
        }
        Value::Mapping(_) => {
            let fields = Fields::of(node, &ANSWER, &mut reader.problems)?;
            let delay = fields.get("delay").and_then(|entry| fields::duration(entry, &mut reader.problems));
            let what = response(aim, fields, reader)?;
            Answer { what, delay: delay.unwrap_or_default() }
        }
        _ => {
            let message = format!("an answer of `{aim}` cannot be {}", node.kind());
            reader.problems.report(
                Diagnostic::new(code::WRONG_TYPE, span.clone(), message)
                    .label("expected an answer")
                    .help("write it like `{ success: { id: r-1 } }`, `{ failure: card_declined }`, `error` or `no_reply`"),
            );
            return None;
        }
    };
    check_child(aim, &answer.what, span, reader);
    Some(answer)
}

fn not_an_answer(word: &str) -> String {
    match fields::suggest_field(word, KINDS) {
        Some(kind) => format!("did you mean `{kind}`?"),
        None => format!(
            "write `{{ failure: {word} }}` if that is the code of the refusal, or {}",
            suggest::one_of(KINDS)
        ),
    }
}

fn by_word(word: &str) -> Option<Response> {
    Some(match word {
        "success" => Response::Reply(ReplyResult::Success(Arc::default())),
        "failure" => Response::Reply(ReplyResult::Failure(Problem::of_participant("failure", ""))),
        "error" => Response::Reply(ReplyResult::Error(Problem::of_participant("error", ""))),
        "no_reply" => Response::NoReply,
        "unroutable" => Response::Unroutable,
        _ => return None,
    })
}

/// Checks the answer of a child saga: it completes, or is rolled back, or never ends.
fn check_child(aim: &Aim, what: &Response, span: &std::ops::Range<usize>, reader: &mut ScenarioReader<'_>) {
    let is_child =
        matches!(reader.compiled.definition.step(&aim.path).map(|step| &step.action), Some(Action::Child(_)));
    let fits = matches!(
        what,
        Response::NoReply | Response::Reply(ReplyResult::Success(_) | ReplyResult::Failure(_))
    );
    if is_child && !fits {
        let message = format!("`{}` is a saga, which does not have this outcome", aim.path);
        reader.problems.report(
            Diagnostic::new(code::SCENARIO_ANSWER, span.clone(), message)
                .label("not an outcome of a saga")
                .help("write `success`, `failure`, or `no_reply` if it never ends"),
        );
    }
}

fn response(aim: &Aim, fields: Fields<'_>, reader: &mut ScenarioReader<'_>) -> Option<Response> {
    let kinds: Vec<_> = fields.entries.iter().filter(|entry| KINDS.contains(&entry.key.as_str())).collect();
    if let [_, second, ..] = kinds.as_slice() {
        reader.problems.report(
            Diagnostic::new(code::EITHER_OR, second.key_span.clone(), "an answer has one outcome, not two")
                .label("the second one")
                .help("write a list of answers, one for each attempt"),
        );
        return None;
    }
    let Some(entry) = kinds.first() else { return by_word("success") };
    Some(match entry.key.as_str() {
        "event" => Response::Event(Arc::new(arrival_of(aim, entry, fields, reader)?)),
        "no_reply" => Response::NoReply,
        "unroutable" => Response::Unroutable,
        _ => Response::Reply(result(entry, reader)?),
    })
}

/// The result of `success`, `failure` or `error`.
pub(super) fn result(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<ReplyResult> {
    Some(match entry.key.as_str() {
        "success" => ReplyResult::Success(Arc::new(entry.value.to_json())),
        "failure" => ReplyResult::Failure(problem_of(entry, reader)?),
        _ => ReplyResult::Error(problem_of(entry, reader)?),
    })
}

/// A code, or `{ code, message, details }`.
fn problem_of(entry: &Entry, reader: &mut ScenarioReader<'_>) -> Option<Problem> {
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

/// A domain event that is the reply of a participant.
fn arrival_of(
    aim: &Aim,
    entry: &Entry,
    fields: Fields<'_>,
    reader: &mut ScenarioReader<'_>,
) -> Option<ReceivedEvent> {
    let compiled = reader.compiled;
    let command = compiled.definition.step(&aim.path).and_then(|step| step.command(aim.direction));
    let known: Vec<_> =
        command.iter().flat_map(|command| &command.reply_events).map(|reply| &reply.event).collect();
    arrival(entry, fields, &known, &format!("`{aim}` is not answered by"), reader)
}

/// One of the `known` events. Its exchange may be left out.
pub(super) fn arrival(
    entry: &Entry,
    fields: Fields<'_>,
    known: &[&EventPattern],
    introduction: &str,
    reader: &mut ScenarioReader<'_>,
) -> Option<ReceivedEvent> {
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
                format!("{introduction} an event `{name}`{from}"),
            )
            .label("no such event")
            .help(help.unwrap_or_else(|| "list it under `reply_events:` in the definition".to_owned())),
        );
        return None;
    };
    let body = fields.get("body").map_or(Json::Null, |entry| entry.value.to_json());
    Some(ReceivedEvent::new(pattern.source(), None, body))
}

/// Whether `direction` of a step is a command or a child saga of its own.
pub(super) fn is_sent(reader: &ScenarioReader<'_>, aim: &Aim) -> bool {
    reader.compiled.definition.step(&aim.path).is_some_and(|step| match &step.action {
        Action::Child(_) => true,
        Action::Command(_) => aim.direction == Direction::Forward || step.has_compensation(),
        _ => false,
    })
}
