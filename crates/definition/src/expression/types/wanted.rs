//! The type that an expression must have in its place.

use super::super::super::code;
use super::super::super::diagnostic::Diagnostic;
use super::super::scope::{At, Scope};
use super::extent::Text;
use super::kind::Kinds;
use super::report;
use super::value::Typed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Anything,
    /// `when`, or another key whose value must be true or false.
    Condition(&'static str),
    /// Whether an event belongs to a step.
    Match,
    /// The list of a `for_each`.
    List,
    /// When a sleep ends.
    Time,
    /// A business key.
    Key(&'static str),
    Attribute,
    /// A part of a text.
    InText,
}

/// The kinds that become a text in JSON, and those that become a number.
const TEXTS: Kinds = Kinds::any_of(&[Kinds::TEXT, Kinds::BYTES, Kinds::TIMESTAMP, Kinds::TYPE]);
const NUMBERS: Kinds = Kinds::any_of(&[Kinds::NUMERIC, Kinds::DURATION]);

impl Wanted {
    /// The type that is wanted under a key.
    pub(crate) fn under(key: &str) -> Self {
        match key {
            "when" => Self::Condition("when"),
            "match" => Self::Match,
            "for_each" => Self::List,
            "until" => Self::Time,
            "correlate" => Self::Key("correlate"),
            _ => Self::Anything,
        }
    }

    /// Refines the wanted type by the scope.
    pub(crate) fn at(self, scope: Scope) -> Self {
        match (self, scope.at) {
            (Self::Anything, At::Key) => Self::Key("key"),
            (Self::Anything, At::Attribute) => Self::Attribute,
            (wanted, _) => wanted,
        }
    }

    /// Whether null can be used here.
    pub(super) fn takes_null(self) -> bool {
        matches!(self, Self::Anything | Self::Attribute)
    }

    fn kinds(self) -> Kinds {
        match self {
            Self::Anything => Kinds::ANY,
            Self::Condition(_) | Self::Match => Kinds::BOOL,
            Self::List => Kinds::LIST,
            Self::Time => TEXTS,
            Self::Key(_) => TEXTS | NUMBERS,
            Self::Attribute => TEXTS | NUMBERS | Kinds::BOOL | Kinds::NULL,
            Self::InText => TEXTS | NUMBERS | Kinds::BOOL,
        }
    }

    /// Checks the type of a whole expression.
    pub(super) fn check(self, text: &Text<'_>, whole: &Typed<'_>) -> Option<Diagnostic> {
        let kinds = whole.of.kinds;
        if kinds.may_be(self.kinds() | Kinds::OPTIONAL) {
            return None;
        }
        let message = match self {
            Self::Anything => return None,
            Self::Condition(key) => format!("`{key}` must be true or false, not {kinds}"),
            Self::Match => format!("`match` must be true or false, not {kinds}"),
            Self::List => format!("`for_each` goes through a list, not {kinds}"),
            Self::Time => format!("`until` must be a time, written as a text, not {kinds}"),
            Self::Key(key) => format!("`{key}` must be a text or a number, not {kinds}"),
            Self::Attribute => {
                format!("an attribute must be a text, a number, a boolean or null, not {kinds}")
            }
            Self::InText => format!("{kinds} has no place within a text"),
        };
        let diagnostic = Diagnostic::new(code::WRONG_RESULT, 0..text.source.len(), message)
            .label(format!("this is {kinds}"))
            .maybe_help(self.help(text, whole));
        Some(report::declared(diagnostic, [whole]))
    }

    fn help(self, text: &Text<'_>, whole: &Typed<'_>) -> Option<String> {
        let (source, kinds) = (text.source, whole.of.kinds);
        match self {
            Self::Condition(_) | Self::Match => report::as_condition(text, whole),
            Self::List if kinds.is(Kinds::OBJECT) => Some(format!(
                "to go through the values of its fields write `{source}.map(name, {source}[name])`"
            )),
            Self::List if kinds.is(Kinds::NUMERIC) => {
                Some("have the list itself in the input: an expression cannot count".into())
            }
            Self::List if kinds.is(Kinds::TEXT) => Some(format!("for a list of one write `[{source}]`")),
            Self::Time if kinds.is(Kinds::NUMERIC) => {
                Some(format!("if these are seconds since 1970 write `timestamp(int({source}))`"))
            }
            Self::Time if kinds.is(Kinds::DURATION) => {
                Some("for as long as that from now on write `sleep: 1h`".into())
            }
            Self::Key(_) | Self::Attribute | Self::InText if kinds.is(Kinds::OBJECT) => {
                Some(format!("take one of its fields, like `{source}.id`"))
            }
            Self::InText if kinds.is(Kinds::LIST) => {
                Some("send the list alone: `\"${ ... }\"` with nothing around it keeps its type".into())
            }
            Self::Key(_) if kinds.is(Kinds::BOOL) => {
                Some("use a value that identifies the saga, like an id".into())
            }
            Self::Key(_) | Self::Attribute if kinds.is(Kinds::LIST) => {
                Some(format!("take one of its items, like `{source}[0]`"))
            }
            _ => None,
        }
    }
}
