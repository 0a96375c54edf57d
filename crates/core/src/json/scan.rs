//! One pass over a JSON text before it is parsed: depth, numbers, and how many members its objects have.
//!
//! The text need not be JSON: a refused token in other text is only a reason to parse it for the error.

use super::number;

/// Longest run of plain digits, with sign and decimal point, that a double keeps exactly whatever its digits.
const ALWAYS_EXACT: usize = 15;

/// The first token that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// Where the token begins, in bytes of the text.
    pub at: usize,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    TooDeep,
    InexactNumber,
}

/// The number of members of all objects in the text, or the first token that is refused.
pub(super) fn scan(text: &str, most_depth: usize) -> Result<usize, Refused> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut members) = (0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                if !is_exact(&text[at..end]) {
                    return Err(Refused { at, why: Why::InexactNumber });
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > most_depth {
                    return Err(Refused { at, why: Why::TooDeep });
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b':' => {
                members += 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(members)
}

/// The end of the string that begins here: after its closing quote, or the end of the text.
pub(super) fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    bytes[start..].iter().position(|byte| !is_part(byte)).map_or(bytes.len(), |length| start + length)
}

fn is_exact(token: &str) -> bool {
    let is_short = token.len() <= ALWAYS_EXACT && !token.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    is_short || number::is_exact(token)
}
