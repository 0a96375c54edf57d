//! Names, times and ids: small types that cannot be wrong once they exist.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This time and `later`, at most the end of representable time.
    pub fn after(self, later: Duration) -> Self {
        let millis = i64::try_from(later.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This time less `earlier`.
    pub fn before(self, earlier: Duration) -> Self {
        let millis = i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// Parses a time as RFC 3339 text. `None` if the text is not a time.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(time.timestamp_millis()))
    }

    /// Formats the time as RFC 3339 text, in UTC. A time outside of its range is formatted in milliseconds.
    pub fn to_rfc3339(self) -> String {
        self.format(SecondsFormat::Millis)
    }

    /// The same, truncated to seconds: the format of `schedule.time`.
    pub fn to_rfc3339_seconds(self) -> String {
        self.format(SecondsFormat::Secs)
    }

    fn format(self, precision: SecondsFormat) -> String {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(time) => time.to_rfc3339_opts(precision, true),
            None => format!("{} ms", self.0),
        }
    }

    /// The time from `earlier` to this one, zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The id of one saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SagaId(pub Uuid);

impl SagaId {
    /// The id of the saga with business key `key`: always the same one, so that the journal's own key
    /// keeps a second saga for that key from being started.
    pub fn of_key(definition: &str, key: &str) -> Self {
        Self::named("key", definition, key)
    }

    /// The id of the saga that the start message with this id starts, if its definition has no business key.
    pub fn of_message(definition: &str, message_id: &str) -> Self {
        Self::named("message", definition, message_id)
    }

    /// The id of the saga that a start leads to: given by its business key, without one by its message id. `None`: the start
    /// has neither, and every repetition is another saga.
    pub fn of_start(definition: &str, key: Option<&str>, message_id: Option<&str>) -> Option<Self> {
        let of_message = || message_id.map(|message_id| Self::of_message(definition, message_id));
        key.map(|key| Self::of_key(definition, key)).or_else(of_message)
    }

    fn named(kind: &str, definition: &str, name: &str) -> Self {
        let of_kind = Uuid::new_v5(&Uuid::NAMESPACE_OID, kind.as_bytes());
        let of_definition = Uuid::new_v5(&of_kind, definition.as_bytes());
        Self(Uuid::new_v5(&of_definition, name.as_bytes()))
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SagaId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Whether a command does a step or compensates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Forward,
    Compensate,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Compensate => "compensate",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place of one execution of a step in the tree of blocks: the step's name, which is unique in its definition, and the
/// item's index for every `for_each` around it. Written `ship` or `ship[3]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepPath {
    name: Arc<str>,
    items: Vec<u32>,
}

impl StepPath {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), items: Vec::new() }
    }

    /// A step within the items of the `for_each` blocks around it, outermost first.
    pub fn at(name: impl Into<Arc<str>>, items: &[u32]) -> Self {
        Self { name: name.into(), items: items.to_vec() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The index of the item for each `for_each` around it, outermost first.
    pub fn items(&self) -> &[u32] {
        &self.items
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.items.iter().try_for_each(|item| write!(f, "[{item}]"))
    }
}

/// A text that is not `name` or `name[index]...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the path of a step")]
pub struct NotAStepPath(String);

impl FromStr for StepPath {
    type Err = NotAStepPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAStepPath(text.to_owned());
        let (name, items) = text.split_once('[').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(wrong());
        }
        let items = match items {
            "" if !text.contains('[') => Vec::new(),
            items => items
                .strip_suffix(']')
                .ok_or_else(wrong)?
                .split("][")
                .map(|item| item.parse().map_err(|_| wrong()))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { name: name.into(), items })
    }
}

impl Serialize for StepPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_path_reads_as_it_writes() {
        for text in ["ship", "ship[3]", "ship[3][0]"] {
            assert_eq!(text.parse::<StepPath>().expect("a path").to_string(), text);
        }
        for text in ["", "[1]", "ship[", "ship[]", "ship[x]", "ship[1]x"] {
            assert!(text.parse::<StepPath>().is_err(), "{text}");
        }
    }
}
