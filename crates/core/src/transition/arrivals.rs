//! The meaning of a signal or a domain event: a reply to a command, or what a step waits for, now or later.

use std::sync::Arc;

use serde_json::Value;

use super::{Draft, Rejection};
use crate::MAX_BUFFERED_EVENTS;
use crate::definition::{Action, Awaited, EventPattern, EventResult, Wait};
use crate::expression::variables::Variables;
use crate::id::{Direction, StepPath};
use crate::input::{Attempt, Reply, ReplyResult};
use crate::journal::{Cause, EventSource, Fact, Problem, ReceivedEvent};
use crate::state::Pending;

impl Draft<'_> {
    pub(super) fn arrival(&mut self, arrival: &Arc<ReceivedEvent>) -> Result<Cause, Rejection> {
        if !self.is_reply(arrival) {
            self.keep(arrival)?;
            self.take_arrivals();
        }
        Ok(Cause::ReceivedEvent(arrival.source.clone()))
    }

    /// Whether an event is the reply to a command. Commands that are awaited take precedence over those that were given up.
    fn is_reply(&mut self, arrival: &ReceivedEvent) -> bool {
        let EventSource::Event { exchange, event } = &arrival.source else { return false };
        let mut answered = Vec::new();
        for (path, state) in &self.state.steps {
            for direction in [Direction::Forward, Direction::Compensate] {
                let number = state.attempts(direction).last;
                let Some((_, command)) = self.command(path, direction).filter(|_| number > 0) else {
                    continue;
                };
                let reply = command.reply_events.iter().find(|reply| {
                    let EventPattern { exchange: from, event: name, .. } = &reply.event;
                    from == exchange && name == event && self.matches(path, &reply.event, &arrival.body)
                });
                if let Some(reply) = reply {
                    let attempt = Attempt { step: path.clone(), direction, number };
                    let result = result_of(reply.result, event, &arrival.body);
                    answered.push((state.pending(direction).is_none(), Reply { attempt, result }));
                }
            }
        }
        answered.sort_by_key(|(is_concluded, _)| *is_concluded);
        answered.iter().any(|(_, reply)| self.reply(reply).is_ok())
    }

    /// Keeps an event that a step waits for or will wait for.
    fn keep(&mut self, arrival: &Arc<ReceivedEvent>) -> Result<(), Rejection> {
        let is_awaited = self.definition.steps().iter().any(
            |step| matches!(&step.action, Action::Wait(wait) if comes_from(&wait.awaited, &arrival.source)),
        );
        let is_known = arrival.id.is_some()
            && self
                .state
                .arrivals
                .iter()
                .any(|kept| kept.arrival.id == arrival.id && kept.arrival.source == arrival.source);
        let waiting = self.state.arrivals.iter().filter(|kept| !kept.taken).count();
        match () {
            () if is_known => Err(Rejection::Duplicate),
            () if self.state.ended.is_some() => Err(Rejection::Ended),
            () if !is_awaited => Err(Rejection::NotAwaited),
            () if self.state.rolling_back => Err(Rejection::AlreadyRollingBack),
            () if waiting >= MAX_BUFFERED_EVENTS => Err(Rejection::TooManyEvents),
            () => {
                self.record(Fact::EventReceived(Arc::clone(arrival)));
                Ok(())
            }
        }
    }

    /// Gives the received events to the waiting steps. A saga that is stopping consumes none.
    pub(super) fn take_arrivals(&mut self) {
        if self.state.stopping.is_some() {
            return;
        }
        for (path, _, pending) in self.pending() {
            let is_open = matches!(pending, Pending::ReceivedEvent { .. } | Pending::Operator);
            if let Some(Action::Wait(wait)) = self.definition.step(&path).map(|step| &step.action)
                && is_open
            {
                self.take_arrival(&path, wait);
            }
        }
    }

    /// Ends a wait with the first received event that is not consumed.
    pub(super) fn take_arrival(&mut self, path: &StepPath, wait: &Wait) {
        let arrivals = self.state.arrivals.iter().enumerate();
        let found = arrivals.filter(|(_, kept)| !kept.taken).find(|(_, kept)| {
            comes_from(&wait.awaited, &kept.arrival.source)
                && wait.awaited.event().is_none_or(|event| self.matches(path, event, &kept.arrival.body))
        });
        if let Some((index, kept)) = found {
            let output = Arc::new(kept.arrival.body.clone());
            let arrival = u32::try_from(index).unwrap_or(u32::MAX);
            self.record(Fact::EventConsumed { step: path.clone(), arrival });
            self.succeeded(path, Direction::Forward, &output);
        }
    }

    /// Whether an event matches this step. It does not if the condition cannot be evaluated.
    fn matches(&self, path: &StepPath, pattern: &EventPattern, event: &Value) -> bool {
        let scope = Variables { event: Some(event), ..self.seen_from(path) };
        pattern.matches.as_ref().is_none_or(|condition| condition.evaluate(&scope) == Ok(Value::Bool(true)))
    }
}

fn comes_from(awaited: &Awaited, source: &EventSource) -> bool {
    match (awaited, source) {
        (Awaited::Signal(name), EventSource::Signal(came)) => name == came,
        (Awaited::Event(pattern), EventSource::Event { exchange, event }) => {
            pattern.exchange == *exchange && pattern.event == *event
        }
        _ => false,
    }
}

fn result_of(result: EventResult, event: &str, body: &Value) -> ReplyResult {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let problem = || Problem {
        details: Some(body.clone()),
        ..Problem::of_participant(text("code").unwrap_or(event), text("message").unwrap_or_default())
    };
    match result {
        EventResult::Success => ReplyResult::Success(Arc::new(body.clone())),
        EventResult::Failure => ReplyResult::Failure(problem()),
        EventResult::Error => ReplyResult::Error(problem()),
    }
}
