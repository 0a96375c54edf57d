//! Which JSON numbers are kept exactly, and how a number is written as text.

use serde_json::Number;

/// Whether a JSON number stays the same when it is read and written again: an integer that fits in 64 bits, or a decimal that
/// equals the text of its double.
pub(super) fn is_exact(token: &str) -> bool {
    if !token.contains(['.', 'e', 'E']) {
        return token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
    }
    is_exact_double(token)
}

/// Whether a decimal text denotes the same number as the text of its double. Of two shortest texts of one double, such as
/// 1703082518960670.2 and 1703082518960670.3, JSON's writer and the standard library's may choose different ones.
pub fn is_exact_double(text: &str) -> bool {
    let written = text.parse().ok().and_then(Number::from_f64).map(|number| number.to_string());
    written.is_some_and(|written| is_same_number(text, &written))
}

/// Whether two decimal texts denote the same number.
pub fn is_same_number(one: &str, other: &str) -> bool {
    Decimal::of(one).is_some_and(|one| Decimal::of(other) == Some(one))
}

/// The number of a decimal text: its digits times a power of ten.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero, which has no sign and no exponent.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// `None`: the exponent is out of all bounds.
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let digits = all.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let significant = digits.trim_end_matches('0');
        let exponent = i64::from(exponent.parse::<i32>().ok()?);
        let (fraction, zeros) = (signed(fraction.len())?, signed(digits.len() - significant.len())?);
        Some(Self { negative, digits: significant.to_owned(), exponent: exponent - fraction + zeros })
    }
}

fn signed(length: usize) -> Option<i64> {
    i64::try_from(length).ok()
}

/// The text of a number in a business key, an attribute or a text: equal numbers have the same text, different numbers
/// different ones. A number without a fraction that fits in 64 bits is written as an integer: `1.0` as `1`, `1e3` as `1000`.
pub fn number_text(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()).and_then(integer_of) {
        Some(integer) => integer.to_string(),
        None => number.to_string(),
    }
}

/// Every integer below 2^64 that a double holds is converted exactly.
fn integer_of(double: f64) -> Option<i128> {
    const LEAST: f64 = -9_223_372_036_854_775_808.0;
    const BEYOND: f64 = 18_446_744_073_709_551_616.0;
    let fits = double.fract() == 0.0 && (LEAST..BEYOND).contains(&double);
    fits.then_some(double as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_written_again_as_they_were_read_are_exact() {
        let exact = [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e9999999999",
            "12.50",
            "0.1",
            "100.00",
            "1e3",
            "1E2",
            "1E+2",
            "1.5e-7",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "9007199254740992.0",
            "5e-324",
            "1.7976931348623157e308",
            "123456789.123456",
            "0.30000000000000004",
            "1e20",
            "1703082518960670.2",
        ];
        for token in exact {
            assert!(is_exact(token), "{token}");
            let read: Number = serde_json::from_str(token).expect("a number");
            assert_eq!(Decimal::of(&read.to_string()), Decimal::of(token), "{token}");
        }
    }

    #[test]
    fn numbers_that_would_be_rounded_are_not() {
        let inexact = [
            "1703082518960670.3",
            "90071992547409931.25",
            "18446744073709551616",
            "-9223372036854775809",
            "340282366920938463463",
            "1e400",
            "-1e400",
            "1e-400",
            "4.9e-324",
            "0.1000000000000000055",
            "9007199254740993.0",
            "9007199254740993e0",
            "0.12345678901234567890",
            "1e99999999999999999999",
            "100000000000000000000",
        ];
        for token in inexact {
            assert!(!is_exact(token), "{token}");
        }
    }

    #[test]
    fn a_number_has_one_text() {
        let texts = [
            ("1", "1"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("12.50", "12.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("9007199254740992.0", "9007199254740992"),
            ("1e19", "10000000000000000000"),
            ("1e20", "1e+20"),
            ("18446744073709551616.0", "1.8446744073709552e+19"),
        ];
        for (token, text) in texts {
            let number: Number = serde_json::from_str(token).expect("a number");
            assert_eq!(number_text(&number), text, "{token}");
        }
    }
}
