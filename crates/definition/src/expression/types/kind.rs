//! The kinds of values that an expression can have, as CEL distinguishes them.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A set of kinds: what a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOL: Self = Self(1 << 1);
    pub(super) const INT: Self = Self(1 << 2);
    pub(super) const UINT: Self = Self(1 << 3);
    pub(super) const DOUBLE: Self = Self(1 << 4);
    pub(super) const TEXT: Self = Self(1 << 5);
    pub(super) const BYTES: Self = Self(1 << 6);
    pub(super) const LIST: Self = Self(1 << 7);
    pub(super) const OBJECT: Self = Self(1 << 8);
    pub(super) const TIMESTAMP: Self = Self(1 << 9);
    pub(super) const DURATION: Self = Self(1 << 10);
    pub(super) const TYPE: Self = Self(1 << 11);
    pub(super) const OPTIONAL: Self = Self(1 << 12);
    pub(super) const ANY: Self = Self((1 << 13) - 1);
    /// What a `number` of JSON becomes: 3 is an integer, 3.5 is not.
    pub(super) const NUMBER: Self = Self(Self::INT.0 | Self::DOUBLE.0);
    pub(super) const NUMERIC: Self = Self(Self::NUMBER.0 | Self::UINT.0);
    /// What JSON becomes. It has no times and no bytes: they are texts.
    pub(super) const JSON: Self =
        Self(Self::NULL.0 | Self::BOOL.0 | Self::NUMERIC.0 | Self::TEXT.0 | Self::LIST.0 | Self::OBJECT.0);

    /// All of these together.
    pub(super) const fn any_of(all: &[Self]) -> Self {
        let (mut kinds, mut index) = (0, 0);
        while index < all.len() {
            kinds |= all[index].0;
            index += 1;
        }
        Self(kinds)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it may be one of `other`.
    pub(super) fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is certainly one of `other`.
    pub(super) fn is(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each kind of the set, as a set of its own.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        (0..13).map(|bit| Self(1 << bit)).filter(move |kind| self.may_be(*kind))
    }

    /// Whether two values may be equal. Numbers are compared by value.
    pub(super) fn may_equal(self, other: Self) -> bool {
        let widened = |kinds: Self| if kinds.may_be(Self::NUMERIC) { kinds | Self::NUMERIC } else { kinds };
        // An optional value is compared by rules of its own.
        widened(self).may_be(widened(other)) || (self | other).may_be(Self::OPTIONAL)
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Kinds {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// For people, with an article: "an integer or null".
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORDS: [(Kinds, &str); 14] = [
            (Kinds::NUMBER, "a number"),
            (Kinds::INT, "an integer"),
            (Kinds::UINT, "an unsigned integer"),
            (Kinds::DOUBLE, "a decimal number"),
            (Kinds::BOOL, "a boolean"),
            (Kinds::TEXT, "a text"),
            (Kinds::BYTES, "bytes"),
            (Kinds::LIST, "a list"),
            (Kinds::OBJECT, "an object"),
            (Kinds::TIMESTAMP, "a timestamp"),
            (Kinds::DURATION, "a duration"),
            (Kinds::TYPE, "a type"),
            (Kinds::OPTIONAL, "an optional value"),
            (Kinds::NULL, "null"),
        ];
        match *self {
            Self::ANY => return f.write_str("anything"),
            Self::JSON => return f.write_str("a value of JSON"),
            _ => {}
        }
        let mut left = *self;
        let mut words = Vec::new();
        for (kinds, word) in WORDS {
            if kinds.is(left) {
                words.push(word);
                left = left.without(kinds);
            }
        }
        match words.as_slice() {
            [] => f.write_str("nothing"),
            [word] => f.write_str(word),
            [words @ .., last] => write!(f, "{} or {last}", words.join(", ")),
        }
    }
}
