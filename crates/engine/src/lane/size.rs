//! The approximate number of bytes of an entry, a message or a dead letter, so that batches can be bounded.

use serde_json::Value;

use snorri_core::journal::Fact;
use snorri_core::{Entry, Message};
use snorri_ports::store::DeadLetter;

/// The bytes of an entry, a message, a letter or a fact without the values that it carries.
const FRAME: usize = 200;

pub(crate) fn of_entry(entry: &Entry) -> usize {
    FRAME + entry.facts.iter().map(of_fact).sum::<usize>()
}

pub(crate) fn of_message(message: &Message) -> usize {
    let carried = match message {
        Message::Command(command) => command.payload.get().len(),
        Message::Outcome(outcome) => outcome.body.get().len(),
        Message::Event(event) => event.payload.get().len(),
        Message::ChildCommand(order) => order.input.get().len(),
        Message::ChildResult(_) | Message::Lifecycle(_) => 0,
    };
    FRAME + carried
}

pub(crate) fn of_letter(letter: &DeadLetter) -> usize {
    FRAME + letter.body.len() + of_value(&letter.properties)
}

fn of_fact(fact: &Fact) -> usize {
    let carried = match fact {
        Fact::Started(started) => of_value(&started.input),
        Fact::Completed { output, .. } | Fact::LateReply { output, .. } => of_value(output),
        Fact::ItemsExpanded { items, .. } => items.iter().map(of_value).sum(),
        Fact::EventReceived(arrival) => of_value(&arrival.body),
        Fact::Ended { output: Some(output), .. } => of_value(output),
        _ => 0,
    };
    FRAME + carried
}

/// Values are nested no deeper than their readers allow.
fn of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| 1 + of_value(item)).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, value)| name.len() + 4 + of_value(value)).sum::<usize>()
        }
    }
}
