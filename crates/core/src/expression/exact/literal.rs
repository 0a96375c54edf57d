//! Inexact literals.

use crate::json;

/// The first decimal literal of a source that a double does not hold exactly.
pub(crate) fn inexact_literal(source: &str) -> Option<&str> {
    let bytes = source.as_bytes();
    let length = |start: usize, is_in: &dyn Fn(usize, u8) -> bool| {
        bytes[start..].iter().enumerate().take_while(|&(index, &byte)| is_in(start + index, byte)).count()
    };
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                let rest = bytes[at + 1..].iter().enumerate();
                let mut rest = rest.filter(|&(index, &end)| end == byte && bytes[at + index] != b'\\');
                at += rest.next().map_or(bytes.len(), |(index, _)| index + 2);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                at += length(at, &|_, byte| byte.is_ascii_alphanumeric() || byte == b'_');
            }
            b'0'..=b'9' => {
                let end = at
                    + length(at, &|at, byte| match byte {
                        b'+' | b'-' => matches!(bytes[at - 1], b'e' | b'E'),
                        byte => byte.is_ascii_alphanumeric() || byte == b'.',
                    });
                let token = &source[at..end];
                let is_decimal =
                    token.contains('.') || (!token.starts_with("0x") && token.contains(['e', 'E']));
                if is_decimal && token.parse::<f64>().is_ok() && !json::is_exact_double(token) {
                    return Some(token);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_exact() {
        for source in
            ["0.5 < a1 && b_2.c3 > 1e3", "'0.1000000000000000055' != \"\\\"90071992547409931.25\"", "0x1e5"]
        {
            assert_eq!(inexact_literal(source), None, "{source}");
        }
        let inexact = inexact_literal("input.amount>90071992547409931.25 || true");
        assert_eq!(inexact, Some("90071992547409931.25"));
        assert_eq!(inexact_literal("'a' == 'b' ? 1e-400 : 1.0"), Some("1e-400"));
    }
}
