//! Whole numbers in any notation: `2` and `2.0` are the same integer in JSON and in JSON Schema.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Decodes a non-negative whole number from JSON or a query.
pub fn read<'de, D: Deserializer<'de>, N: Number>(deserializer: D) -> Result<N, D::Error> {
    deserializer.deserialize_option(Whole(PhantomData))
}

/// A required or optional number.
pub trait Number: Sized {
    /// `None`: the number is too large.
    fn of(number: u64) -> Option<Self>;
    /// `None`: the number is required.
    fn absent() -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn of(number: u64) -> Option<Self> {
                Self::try_from(number).ok()
            }

            fn absent() -> Option<Self> {
                None
            }
        }
    )*};
}

numbers!(u32, u64);

impl<N: Number> Number for Option<N> {
    fn of(number: u64) -> Option<Self> {
        N::of(number).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

struct Whole<N>(PhantomData<N>);

impl<'de, N: Number> Visitor<'de> for Whole<N> {
    type Value = N;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        N::of(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        let unsigned = u64::try_from(number).ok().and_then(N::of);
        unsigned.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before the cast")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<N, E> {
        // The range in which a float is exact.
        let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
        let whole = is_whole.then_some(number as u64).and_then(N::of);
        whole.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        let number = text.parse().ok().and_then(N::of);
        number.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<N, E> {
        N::absent().ok_or_else(|| E::invalid_value(Unexpected::Unit, &self))
    }

    fn visit_none<E: Error>(self) -> Result<N, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<N, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "super::read")]
        must: u32,
        #[serde(default, deserialize_with = "super::read")]
        may: Option<u64>,
    }

    fn read(json: &str) -> Option<(u32, Option<u64>)> {
        serde_json::from_str::<Body>(json).ok().map(|body| (body.must, body.may))
    }

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        assert_eq!(read(r#"{"must": 2}"#), Some((2, None)));
        assert_eq!(read(r#"{"must": 2.0, "may": 1e3}"#), Some((2, Some(1000))));
        assert_eq!(read(r#"{"must": 0, "may": null}"#), Some((0, None)));
        for wrong in ["-1", "2.5", "4294967296", "1e300", "null", "true", "[]"] {
            assert_eq!(read(&format!(r#"{{"must": {wrong}}}"#)), None, "{wrong}");
        }
    }
}
