//! Acknowledged messages: each is stored, or changes nothing, or cannot be decoded.

use std::sync::Arc;

use futures_util::FutureExt;
use snorri_core::{Input, SagaId, transition};
use snorri_ports::broker::Delivery;
use snorri_ports::store::Store;
use snorri_wire::envelope::decode_signal;

use crate::watch::Watch;
use crate::wire::deposit_of;

impl Watch {
    /// An acknowledged message is either stored or changes nothing.
    pub fn check_handled(&self, queue: &str, delivery: &Delivery) {
        let names = &self.wire.names;
        let queue = names.common(queue);
        match () {
            () if queue == names.replies => self.check_reply(delivery),
            () if queue == names.starts => self.check_start(delivery),
            () if queue == names.signals => self.check_signal(delivery),
            () if queue == names.events => self.check_event(delivery),
            () => {}
        }
    }

    fn check_reply(&self, delivery: &Delivery) {
        let Ok(decoded) = self.wire.decode_reply(delivery) else { return };
        let state = self.state(decoded.saga);
        let Some(compiled) = self.definition_of(&state) else { return };
        let now = self.now();
        let attempt = decoded.reply.attempt.clone();
        let decided = transition(&compiled.definition, &state, &Input::Reply(decoded.reply), now);
        if decided.is_ok() {
            let name = self.story.name_of(decoded.saga);
            self.violation(|| {
                format!(
                    "the reply to {} {} of {name} is acknowledged and not stored",
                    attempt.direction, attempt.step
                )
            });
        }
    }

    fn check_start(&self, delivery: &Delivery) {
        let message_id = delivery.properties.message_id.clone().unwrap_or_default();
        let expected = self.asked_for(&message_id);
        if let Some(saga) = expected {
            self.accepted(saga);
        }
    }

    fn check_event(&self, delivery: &Delivery) {
        let Ok(arrival) = self.wire.decode_event(delivery) else { return };
        let saga = deposit_of(delivery);
        if delivery.routing_key == "deposit.received" {
            return self.accepted(saga);
        }
        let state = self.state(saga);
        let is_taken = match self.definition_of(&state) {
            None => self.is_buffered(saga, arrival.id.as_ref()),
            Some(compiled) => {
                let input = Input::Event(Arc::new(arrival.clone()));
                transition(&compiled.definition, &state, &input, self.now()).is_err()
                    || self.is_buffered(saga, arrival.id.as_ref())
            }
        };
        if !is_taken {
            let (event, name) = (&delivery.routing_key, self.story.name_of(saga));
            self.violation(|| format!("{event} for {name} is acknowledged and not stored"));
        }
    }

    fn is_buffered(&self, saga: SagaId, id: Option<&String>) -> bool {
        let buffered = self.store.buffered_events(saga, 100).now_or_never();
        let buffered = buffered.expect("it is in memory").expect("readable");
        buffered.iter().any(|event| event.arrival.id.as_ref() == id)
    }

    fn check_signal(&self, delivery: &Delivery) {
        let Ok(signal) = decode_signal(delivery) else { return };
        let state = self.state(signal.saga);
        let is_taken =
            state.ended.is_some() || state.arrivals.iter().any(|kept| kept.arrival.id == signal.arrival.id);
        let is_buffered = self.is_buffered(signal.saga, signal.arrival.id.as_ref());
        if !is_taken && !is_buffered {
            let name = self.story.name_of(signal.saga);
            self.violation(|| format!("a signal for {name} is acknowledged and not stored"));
        }
    }

    /// Only poison is set aside.
    pub fn check_set_aside(&self, queue: &str, delivery: &Delivery, code: &str, reason: &str) {
        let is_poison = delivery.properties.message_id.as_deref().is_some_and(|id| id.starts_with("poison"));
        let saga = self.wire.addressee(&delivery.properties).map(|(saga, _)| saga);
        let is_excused = match saga {
            Some(saga) => {
                let state = self.state(saga);
                // A signal after the end, an undecodable reply, a saga whose rows are damaged.
                self.was_poisoned(saga) || state.ended.is_some() || code == "unreadable_reply"
            }
            None if queue == self.wire.names.starts => {
                let message_id = delivery.properties.message_id.as_deref().unwrap_or_default();
                self.asked_for(message_id).is_some_and(|saga| self.was_poisoned(saga))
            }
            None if queue == self.wire.names.events => self.was_poisoned(deposit_of(delivery)),
            None => {
                let key = delivery.properties.headers.contains_key("snorri-key");
                key || self.wire.decode_reply(delivery).is_err()
                    && self.wire.names.common(queue) == self.wire.names.replies
            }
        };
        if !is_poison && !is_excused {
            self.violation(|| format!("a good message of {queue} is set aside: {code}, {reason}"));
        }
    }
}
