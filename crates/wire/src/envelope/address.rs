//! The queues that the outcome of a saga may be sent to. The `reply_to` of a start comes from a client, but the outcome is
//! published with Snorri's rights: without a check, a client could write to queues that it has no right to.

use regex::Regex;
use serde::Deserialize;

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
    pub(super) fn matches(&self, queue: &str) -> bool {
        match &self.0 {
            Some(regex) => regex.is_match(queue),
            None => !queue.chars().any(char::is_control),
        }
    }
}
