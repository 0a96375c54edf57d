//! Which saga is meant.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::saga::SagaId;

/// A saga: by its id, or by its definition and business key, from which the id follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: Uuid,
    /// As it was typed.
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
            _ => return Err("a saga is named by its id (a UUID), or as DEFINITION/KEY".to_owned()),
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
    /// The id as it stands in paths.
    pub fn segment(&self) -> String {
        self.id.to_string()
    }
}
