//! What the participants of a scenario do: they answer as they are told, and their events find the saga, or not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::script::{Aim, Response};
use super::start::Only;
use super::world::{Sent, World};
use crate::json::number_text;
use crate::saga::input::{Attempt, Input, Reply, ReplyResult};
use crate::saga::journal::{Arrival, Parent, Problem, Reason, Source};
use crate::saga::{Direction, Ignored, Message, StepPath};

impl World<'_> {
    pub(super) fn send(&mut self, message: Message) {
        match message {
            Message::Command(command) => {
                self.sent(&command.step, command.direction, &command.name, command.payload.get());
                self.answer(command.attempt());
            }
            Message::Order(order) => match order.attempt() {
                Some(attempt) => {
                    self.sent(&attempt.step, attempt.direction, &order.definition, order.input.get());
                    self.answer(attempt);
                }
                None => self.cancel_child(order.parent),
            },
            Message::Event(event) => {
                self.events.push((event.name, parsed(event.payload.get())));
            }
            Message::Outcome(_) | Message::Lifecycle(_) | Message::Report(_) => {}
        }
    }

    fn sent(&mut self, path: &StepPath, direction: Direction, name: &Arc<str>, payload: &str) {
        let (aim, name) = (Aim::new(path, direction), Arc::clone(name));
        self.commands.push(Sent { aim, name, payload: parsed(payload) });
    }

    fn answer(&mut self, attempt: Attempt) {
        // A command that came back for want of a queue is sent as the same attempt again, and has the next answer.
        let aim = Aim::new(&attempt.step, attempt.direction);
        let sent = self.commands.iter().filter(|command| command.aim == aim).count();
        let nth = u32::try_from(sent).unwrap_or(u32::MAX);
        let answer = self.scenario.given.answer(&attempt.step, attempt.direction, nth);
        let input = match answer.what {
            Response::Reply(result) => Input::Reply(Reply { attempt, result }),
            Response::Event(arrival) => Input::Arrival(arrival),
            Response::Unroutable => Input::Unroutable(attempt),
            Response::Nothing => return,
        };
        self.deliver_after(answer.after, input);
    }

    fn deliver_after(&mut self, after: Duration, input: Input) {
        self.deliveries.insert((self.now.after(after), self.delivered), input);
        self.delivered += 1;
    }

    /// A child that is under way is rolled back, and says so.
    fn cancel_child(&mut self, parent: Parent) {
        let Parent { step, attempt: number, .. } = parent;
        let attempt = Attempt { step, direction: Direction::Forward, number };
        let is_its = |input: &Input| matches!(input, Input::Reply(reply) if reply.attempt == attempt);
        self.deliveries.retain(|_, input| !is_its(input));
        let problem = Problem::new(Reason::Cancelled, "the saga that it is part of is rolled back");
        self.deliver_after(
            Duration::ZERO,
            Input::Reply(Reply { attempt, result: ReplyResult::Failure(problem) }),
        );
    }

    pub(super) fn deliver(&mut self, input: &Input) {
        if let Input::Arrival(arrival) = input {
            self.check_correlation(arrival);
        }
        let taken = self.take(input);
        if let (Input::Arrival(arrival), Err(ignored @ Ignored::NotAwaited)) = (input, taken) {
            self.objections
                .push(format!("the {} of `given` came to nothing: {ignored}", told(&arrival.source)));
        }
    }

    /// In production an event finds its saga by the business key that it leads to.
    pub(super) fn check_correlation(&mut self, arrival: &Arrival) {
        let Source::Event { exchange, event } = &arrival.source else { return };
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

fn told(source: &Source) -> String {
    match source {
        Source::Signal(name) => format!("signal `{name}`"),
        Source::Event { event, .. } => format!("event `{event}`"),
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
