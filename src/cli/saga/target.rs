//! The saga that a command applies to.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use snorri_core::SagaId;

/// A saga, given by its id, or by its definition and business key, from which the id is derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: Uuid,
    /// The text on the command line.
    text: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = match (Uuid::parse_str(text), text.split_once('/')) {
            (Ok(id), _) => id,
            (Err(_), Some((definition, key))) if !definition.is_empty() && !key.is_empty() => {
                SagaId::of_key(definition, key).0
            }
            _ => return Err("a saga must be given by its id (a UUID) or as DEFINITION/KEY".to_owned()),
        };
        Ok(Self { id, text: text.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    /// The id, as a segment of a path.
    pub fn segment(&self) -> String {
        self.id.to_string()
    }
}
