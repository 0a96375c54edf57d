//! The names, keys and allowed addresses with which this installation encodes and decodes messages.

use std::collections::BTreeMap;

use super::address::ReplyToPattern;
use super::keys::{Keyring, Purpose};
use super::reply::{self, DecodedReply};
use super::token::{Token, TokenError};
use super::{Undecodable, signal};
use crate::header;
use crate::message::{Delivery, HeaderValue, Properties};
use crate::topology::Names;
use snorri_core::input::Attempt;
use snorri_core::journal::ReceivedEvent;
use snorri_core::{SagaId, StepPath};

/// Clones share the keys.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Snorri's own queues and exchanges.
    pub names: Names,
    pub keys: Keyring,
    /// The exchange that participants publish their replies to; `None`: the default exchange.
    pub reply_exchange: Option<String>,
    /// The queues that a start may name for the saga's outcome.
    pub reply_to: ReplyToPattern,
}

impl Wire {
    /// Replies go through the default exchange, outcomes to any queue that is not Snorri's own.
    pub fn new(names: Names, keys: Keyring) -> Self {
        Self { names, keys, reply_exchange: None, reply_to: ReplyToPattern::default() }
    }

    /// The `correlation_id` of a reply to this attempt.
    pub fn correlation_id(&self, saga: SagaId, attempt: &Attempt) -> String {
        Token::new(saga, attempt.clone()).sign(&self.keys)
    }

    /// Decodes a participant's reply.
    pub fn decode_reply(&self, delivery: &Delivery) -> Result<DecodedReply, Undecodable> {
        reply::decode(delivery, &self.keys)
    }

    /// Decodes a domain event: its exchange and routing key identify it, its JSON body is what an expression sees. One that
    /// returns from the dead letters has them in its headers, which are valid only with a MAC.
    pub fn decode_event(&self, delivery: &Delivery) -> Result<ReceivedEvent, Undecodable> {
        let (exchange, routing_key) = match origin(&delivery.properties, &delivery.body, &self.keys) {
            Some(origin) if delivery.exchange.is_empty() => origin,
            _ => (delivery.exchange.as_str(), delivery.routing_key.as_str()),
        };
        signal::decode_event(delivery, exchange, routing_key)
    }

    /// Checks the `reply_to` of a start: it must match the configured pattern, and must not be a queue of Snorri's own.
    pub fn check_reply_to(&self, start: &Properties) -> Result<(), Undecodable> {
        let Some(queue) = start.reply_to.as_deref().filter(|queue| !queue.is_empty()) else { return Ok(()) };
        let shown = queue.escape_debug();
        let reason = if self.names.is_own(queue) {
            format!("the `reply_to` `{shown}` is a queue of Snorri's own: name a queue of yours")
        } else if self.reply_to.matches(queue) {
            return Ok(());
        } else {
            format!("the `reply_to` `{shown}` does not match the setting `broker.reply_to_pattern`")
        };
        Err(Undecodable { code: Undecodable::REPLY_TO_REFUSED, reason })
    }

    /// The saga, and the step, that a message is about, as far as it has authentic data.
    pub fn addressee(&self, properties: &Properties) -> Option<(SagaId, Option<StepPath>)> {
        match properties.correlation_id.as_deref().map(|text| Token::verify(text, &self.keys)) {
            Some(Ok(Token { saga, attempt })) => return Some((saga, Some(attempt.step))),
            Some(Err(TokenError::Forged)) => return None,
            Some(Err(TokenError::Foreign)) | None => {}
        }
        Some((text(&properties.headers, header::SAGA)?.parse().ok()?, None))
    }
}

/// The MAC, for the header [`header::ORIGIN`], over the exchange and routing key that a dead letter was first published to.
pub fn sign_origin(keys: &Keyring, exchange: &str, routing_key: &str, body: &[u8]) -> String {
    keys.sign(Purpose::Origin, &[exchange.as_bytes(), routing_key.as_bytes(), body])
}

/// The exchange and routing key in the headers of a dead letter, if their MAC is valid.
pub fn origin<'a>(properties: &'a Properties, body: &[u8], keys: &Keyring) -> Option<(&'a str, &'a str)> {
    let text = |name| text(&properties.headers, name);
    let (exchange, key, code) = (text(header::EXCHANGE)?, text(header::ROUTING_KEY)?, text(header::ORIGIN)?);
    let parts = [exchange.as_bytes(), key.as_bytes(), body];
    keys.verify(Purpose::Origin, &parts, code).then_some((exchange, key))
}

fn text<'a>(headers: &'a BTreeMap<String, HeaderValue>, name: &str) -> Option<&'a str> {
    match headers.get(name) {
        Some(HeaderValue::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::wire;

    fn check(wire: &Wire, queue: &str) -> Option<&'static str> {
        let start = Properties { reply_to: Some(queue.to_owned()), ..Properties::default() };
        wire.check_reply_to(&start).err().map(|refused| refused.code)
    }

    #[test]
    fn an_outcome_goes_to_any_queue_but_snorris_own() {
        let wire = wire();
        for queue in ["", "shop.outcomes", "amq.gen-1x_Y==", "größe 2", "snorrix.starts", "my.snorri.starts"]
        {
            assert_eq!(check(&wire, queue), None, "{queue}");
        }
        for queue in [
            "snorri.starts",
            "snorri.replies",
            "snorri.dead-letters",
            "snorri.probe",
            "snorri.parked",
            "a\nb",
            "\0",
        ] {
            assert_eq!(check(&wire, queue), Some("reply_to_refused"), "{queue:?}");
        }
        assert!(wire.check_reply_to(&Properties::default()).is_ok());
    }

    #[test]
    fn a_pattern_is_for_the_whole_name() {
        let pattern = |text: &str| ReplyToPattern::try_from(text.to_owned());
        let wire = Wire { reply_to: pattern(r"shop\..*|.*").expect("a pattern"), ..wire() };
        assert_eq!(
            check(&wire, "snorri.replies"),
            Some("reply_to_refused"),
            "not even if the pattern matches it"
        );
        let wire = Wire { reply_to: pattern(r"shop\..*|bank").expect("a pattern"), ..wire };
        for (queue, code) in [
            ("shop.outcomes", None),
            ("bank", None),
            ("bank.x", Some("reply_to_refused")),
            ("my.shop.outcomes", Some("reply_to_refused")),
        ] {
            assert_eq!(check(&wire, queue), code, "{queue}");
        }
        assert!(pattern("(").is_err());
    }
}
