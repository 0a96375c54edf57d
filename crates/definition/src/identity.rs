//! Reads the name and version of a definition, even from a source that does not compile.

use crate::diagnostic::Problems;
use crate::source::{self, Node, Value};

/// The name and version of a definition, if its source has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub name: Option<String>,
    pub version: Option<u32>,
}

impl Identity {
    /// Reads the identity from `source`. If that is not YAML, searches for lines that begin with the keys.
    pub fn of(source: &str) -> Self {
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        match source::parse(text, &mut Problems::default()) {
            Some(root) => Self::of_node(&root),
            None => Self::of_lines(text),
        }
    }

    fn of_node(root: &Node) -> Self {
        let Value::Mapping(entries) = &root.value else { return Self::default() };
        let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value.value);
        let name = match value("saga") {
            Some(Value::String(name)) => Some(name.clone()),
            _ => None,
        };
        let version = match value("version") {
            Some(Value::Number(version)) => version.as_u64().and_then(|version| u32::try_from(version).ok()),
            _ => None,
        };
        Self { name, version }
    }

    fn of_lines(text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            let value = line.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            (!value.is_empty()).then(|| value.to_owned())
        };
        Self { name: value("saga"), version: value("version").and_then(|version| version.parse().ok()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_does_not_compile_still_has_an_identity() {
        let order = Identity { name: Some("order".to_owned()), version: Some(3) };
        for source in [
            "saga: order\nversion: 3\nsteps: nonsense\n",
            "{ version: 3, saga: order }",
            "\u{feff}saga: 'order' # of the shop\r\nversion: 3\r\nsteps: [\r\n",
        ] {
            assert_eq!(Identity::of(source), order, "{source}");
        }
        assert_eq!(Identity::of("saga: order\nversion: one\n").version, None);
        assert_eq!(Identity::of("- a list\n"), Identity::default());
        assert_eq!(Identity::of(""), Identity::default());
    }
}
