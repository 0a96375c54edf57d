//! The fields of the mappings of a definition.

use crate::code;
use crate::decode::words::{Shape, Stranger};
use crate::diagnostic::Diagnostic;
use crate::source::{Entry, fields};

pub(super) type DefinitionFields<'a> = fields::Fields<'a, Shape>;

impl fields::MappingKind for Shape {
    fn name(&self) -> &'static str {
        self.name
    }

    fn example(&self) -> &'static str {
        self.keys().next().unwrap_or_default()
    }

    fn takes(&self, key: &str) -> bool {
        self.takes(key)
    }

    fn suggest_keyword(&self, wrong: &str) -> Option<&'static str> {
        self.suggest_keyword(wrong)
    }

    fn stranger(&self, entry: &Entry) -> Diagnostic {
        let (key, span) = (&entry.key, entry.key_span.clone());
        match self.stranger(key) {
            Stranger::Misplaced(help) => {
                Diagnostic::new(code::MISPLACED_KEY, span, format!("`{key}` does not belong {}", self.place))
                    .label("not here")
                    .help(help)
            }
            Stranger::Unknown(help) => {
                Diagnostic::new(code::UNKNOWN_KEY, span, format!("{} has no `{key}`", self.name))
                    .label("unknown key")
                    .maybe_help(help)
            }
        }
    }
}
