//! The queues that the outcome of a saga may be sent to. The `reply_to` of a start comes from a client, but the outcome is
//! published with Snorri's rights: without a check, a client could write to queues that it has no right to.

use regex::Regex;
use serde::Deserialize;

use super::Undecodable;
use super::wire::Wire;
use crate::message::Properties;

/// A regular expression that a queue's whole name must match. Without one, any name of visible characters is allowed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct ReplyToPattern(Option<Regex>);

impl TryFrom<String> for ReplyToPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        if pattern.is_empty() {
            return Ok(Self(None));
        }
        let whole = Regex::new(&format!("^(?:{pattern})$"));
        whole
            .map(|regex| Self(Some(regex)))
            .map_err(|error| format!("it is not a regular expression: {error}"))
    }
}

impl ReplyToPattern {
    fn matches(&self, queue: &str) -> bool {
        match &self.0 {
            Some(regex) => regex.is_match(queue),
            None => !queue.chars().any(char::is_control),
        }
    }
}

impl Wire {
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
