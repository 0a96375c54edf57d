//! The messages of a stored entry. They follow from the journal, so that it alone has to be stored.

use super::Draft;
use crate::definition::{Action, Definition};
use crate::id::StepPath;
use crate::journal::{Entry, Fact};
use crate::message::Message;
use crate::state::State;

/// The messages of an entry, as [`transition`](super::transition) made them, in the same order.
///
/// `before` is the state before the entry, and `definition` the one that the saga has after it. A message is left out if
/// `definition` is not that one, and does not know its step or cannot render its payload.
pub fn messages_of(definition: &Definition, before: &State, entry: &Entry) -> Vec<Message> {
    let (mut state, status) = (before.clone(), before.status());
    let mut draft =
        Draft { definition, at: entry.at, state: &mut state, facts: Vec::new(), messages: Vec::new() };
    for fact in &entry.facts {
        draft.remake(fact);
    }
    draft.emit_lifecycle_events(status);
    draft.messages
}

impl<'a> Draft<'a> {
    /// Records a stored fact, with the messages that were sent with it.
    fn remake(&mut self, fact: &Fact) {
        match fact {
            Fact::Sent { step, direction, attempt, deadline } => {
                if let Some((_, command)) = self.command(step, *direction)
                    && let Ok(payload) = self.payload(step, *direction, command)
                {
                    let message =
                        self.command_message(step, *direction, *attempt, *deadline, command, payload);
                    self.messages.push(Message::Command(message));
                }
            }
            Fact::Published { step } => {
                if let Some(Action::Publish(publish)) = self.action(step)
                    && let Ok(event) = self.event(step, publish)
                {
                    self.messages.push(Message::Event(event));
                }
            }
            Fact::ChildSent { step, direction, attempt } => {
                if let Some(Action::Child(child)) = self.action(step)
                    && let Ok(order) = self.order_of(step, child, *direction, *attempt)
                {
                    self.messages.push(Message::ChildCommand(order));
                }
            }
            _ => {}
        }
        self.record(fact.clone());
        match fact {
            Fact::Stopping { .. } | Fact::Resumed { .. } => self.command_children(),
            Fact::Ended { .. } => self.report_end(),
            _ => {}
        }
    }

    fn action(&self, path: &StepPath) -> Option<&'a Action> {
        self.definition.step(path).map(|step| &step.action)
    }
}
