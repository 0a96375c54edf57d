//! The participants of a scenario: they reply by the stubs, and the correlation of their events is checked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::decode::start::Only;
use super::script::{Aim, Response};
use super::world::{SAGA, SentMessage, World};
use snorri_core::input::{Attempt, Input, Reply};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::json::number_text;
use snorri_core::{Direction, Message, Rejection, StepPath};

impl World<'_> {
    pub(super) fn send(&mut self, message: Message) {
        match message {
            Message::Command(command) => {
                self.sent(&command.step, command.direction, &command.name, command.payload.get());
                self.answer(command.attempt());
            }
            Message::ChildCommand(command) => match command.attempt() {
                Some(attempt) => {
                    self.sent(&attempt.step, attempt.direction, &command.definition, command.input.get());
                    self.answer(attempt);
                }
                None => self.cancel_child(command.cancelled()),
            },
            Message::Event(event) => {
                self.events.push((event.name, parsed(event.payload.get())));
            }
            Message::Outcome(_) | Message::Lifecycle(_) | Message::ChildResult(_) => {}
        }
    }

    fn sent(&mut self, path: &StepPath, direction: Direction, name: &Arc<str>, payload: &str) {
        let (aim, name) = (Aim::new(path, direction), Arc::clone(name));
        self.commands.push(SentMessage { aim, name, payload: parsed(payload) });
    }

    fn answer(&mut self, attempt: Attempt) {
        // An unroutable command is sent again as the same attempt, and gets the next answer.
        let aim = Aim::new(&attempt.step, attempt.direction);
        let sent = self.commands.iter().filter(|command| command.aim == aim).count();
        let nth = u32::try_from(sent).unwrap_or(u32::MAX);
        let answer = self.scenario.stubs.answer(&attempt.step, attempt.direction, nth);
        let input = match answer.what {
            Response::Reply(result) => Input::Reply(Reply { attempt, result }),
            Response::Event(arrival) => Input::Event(arrival),
            Response::Unroutable => Input::Unroutable(attempt),
            Response::NoReply => return,
        };
        self.deliver_after(answer.delay, input);
    }

    fn deliver_after(&mut self, delay: Duration, input: Input) {
        self.time.schedule(self.time.now().after(delay), SAGA, input);
    }

    /// Rolls back a child that is under way, which reports a failure.
    fn cancel_child(&mut self, cancelled: Reply) {
        let is_its =
            |input: &Input| matches!(input, Input::Reply(reply) if reply.attempt == cancelled.attempt);
        self.time.retain(|input| !is_its(input));
        self.deliver_after(Duration::ZERO, Input::Reply(cancelled));
    }

    pub(super) fn deliver(&mut self, input: &Input) {
        if let Input::Event(arrival) = input {
            self.check_correlation(arrival);
        }
        let taken = self.take(input);
        if let (Input::Event(arrival), Err(ignored @ Rejection::NotAwaited)) = (input, taken) {
            self.objections.push(format!(
                "the {} of `stubs` had no effect: {ignored}",
                describe_source(&arrival.source)
            ));
        }
    }

    /// Checks that an event correlates to the business key of the saga, as it must in production.
    pub(super) fn check_correlation(&mut self, arrival: &ReceivedEvent) {
        let EventSource::Event { exchange, event } = &arrival.source else { return };
        let patterns = self
            .definition
            .events()
            .filter(|pattern| pattern.exchange == *exchange && pattern.event == *event);
        let mut wrong = None;
        for pattern in patterns {
            let key = match pattern.correlate.evaluate(&Only("event", &arrival.body)) {
                Ok(Value::String(key)) => key,
                Ok(Value::Number(key)) => number_text(&key),
                Ok(other) => other.to_string(),
                Err(error) => error.to_string(),
            };
            if self.scenario.key.as_deref() == Some(key.as_str()) {
                return;
            }
            wrong = Some(key);
        }
        if let (Some(wrong), Some(key)) = (wrong, &self.scenario.key) {
            self.objections.push(format!(
                "the event `{event}` would not find this saga: it correlates to `{wrong}`, and the saga's key is `{key}`"
            ));
        }
    }
}

fn describe_source(source: &EventSource) -> String {
    match source {
        EventSource::Signal(name) => format!("signal `{name}`"),
        EventSource::Event { event, .. } => format!("event `{event}`"),
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
