//! Invisible characters: refused in names, escaped in output.

use std::borrow::Cow;

/// Whether a character is invisible, or changes how others are shown: control characters (C0, DEL, C1), format characters
/// (Unicode's category Cf: zero width, bidirectional controls, byte order mark, tags), line and paragraph separators, and the
/// blank letters.
pub fn is_invisible(character: char) -> bool {
    match character {
        ' '..='~' => false,
        _ => is_control_or_format(character) || is_blank_letter(character),
    }
}

/// The first invisible character of a text.
pub fn find_invisible(text: &str) -> Option<char> {
    text.chars().find(|&character| is_invisible(character))
}

/// Escapes the invisible characters of a text, as `\u{202e}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_except(text, |_| false)
}

/// As [`escape`], but keeps lines and tabs.
pub fn escape_in_lines(text: &str) -> Cow<'_, str> {
    escape_except(text, |character| matches!(character, '\n' | '\t'))
}

/// Escapes the invisible characters of JSON: they can only be in its strings, and become `\u202e`. Lines stay.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |character: char| is_invisible(character) && !matches!(character, '\n' | '\r' | '\t');
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Escapes the invisible characters of text for a terminal, except lines, tabs, colours and styles.
pub fn escape_styled(text: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    if !text.contains(ESCAPE) {
        return escape_in_lines(text);
    }
    let mut parts = text.split(ESCAPE);
    let mut escaped = parts.next().map(escape_in_lines).unwrap_or_default().into_owned();
    for part in parts {
        // A style is `ESC [ 1 ; 31 m`.
        let length = part.strip_prefix('[').and_then(|style| style.find('m')).map_or(0, |end| end + 2);
        let style = part.get(1..length.saturating_sub(1)).unwrap_or_default();
        if length > 0 && style.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
            escaped.push(ESCAPE);
        } else {
            escaped.push_str(r"\u{1b}");
        }
        escaped.push_str(&escape_in_lines(part));
    }
    Cow::Owned(escaped)
}

fn escape_except(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character: char| is_invisible(character) && !stays(character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn is_control_or_format(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Hangul fillers, the combining grapheme joiner and the like: they are not format characters, but show nothing.
fn is_blank_letter(character: char) -> bool {
    matches!(
        character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
    )
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn all_control_and_format_characters_are_invisible() {
        let hidden = Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").expect("a pattern");
        let mut buffer = [0; 4];
        for character in
            ('\0'..=char::MAX).filter(|&character| hidden.is_match(character.encode_utf8(&mut buffer)))
        {
            assert!(is_invisible(character), "{}", character.escape_unicode());
        }
        for character in "aß漢 🦀~\u{a0}\u{301}\u{fe0f}".chars() {
            assert!(!is_invisible(character), "{}", character.escape_unicode());
        }
    }

    #[test]
    fn what_is_invisible_is_escaped() {
        assert_eq!(escape("plain ünïcode"), "plain ünïcode");
        assert_eq!(escape("a\u{1b}[31mb\u{202e}\n\0"), "a\\u{1b}[31mb\\u{202e}\\u{a}\\u{0}");
        assert_eq!(escape_in_lines("a\n\tb\r"), "a\n\tb\\u{d}");
        assert_eq!(find_invisible("a\u{200b}b"), Some('\u{200b}'));
        assert_eq!(find_invisible("ab"), None);
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = "{\"a\": \"\u{202e}b\u{e0041}\u{85}\"}\n";
        let escaped = escape_json(json);
        assert_eq!(escaped, "{\"a\": \"\\u202eb\\udb40\\udc41\\u0085\"}\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&escaped), read(json));
    }

    #[test]
    fn only_styles_reach_a_terminal() {
        let styled = "\u{1b}[1;31mred\u{1b}[0m\n";
        assert_eq!(escape_styled(styled), styled);
        assert_eq!(
            escape_styled("\u{1b}[2Jx\u{1b}]0;title\u{7}\u{1b}"),
            "\\u{1b}[2Jx\\u{1b}]0;title\\u{7}\\u{1b}"
        );
        assert_eq!(escape_styled("a\u{202e}\tb"), "a\\u{202e}\tb");
    }
}
