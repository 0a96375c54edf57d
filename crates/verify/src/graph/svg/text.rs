//! Measures, cuts and wraps texts.
//!
//! The font that a picture is rendered with is unknown. The widths are those of a wide one, so a text may leave some room but
//! never leaves its box.

/// The style of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Font {
    pub class: &'static str,
    pub size: f64,
    pub mono: bool,
    pub bold: bool,
}

pub(super) const TITLE: Font = Font { class: "sg-title", size: 20.0, mono: false, bold: true };
pub(super) const TEXT: Font = Font { class: "sg-text", size: 12.5, mono: false, bold: false };
pub(super) const NAME: Font = Font { class: "sg-name", size: 14.0, mono: false, bold: true };
pub(super) const DETAIL: Font = Font { class: "sg-detail", size: 11.5, mono: true, bold: false };
pub(super) const COMPENSATION: Font =
    Font { class: "sg-compensation-text", size: 11.5, mono: true, bold: false };
pub(super) const CONDITION: Font = Font { class: "sg-condition", size: 11.0, mono: true, bold: false };
pub(super) const BADGE: Font = Font { class: "sg-badge-text", size: 10.0, mono: false, bold: true };
pub(super) const SMALL: Font = Font { class: "sg-small", size: 11.0, mono: false, bold: false };
pub(super) const END: Font = Font { class: "sg-end-text", size: 12.5, mono: false, bold: true };

const ELLIPSIS: char = '…';

impl Font {
    pub fn width(self, text: &str) -> f64 {
        text.chars().map(|character| self.advance(character)).sum::<f64>() * self.size
    }

    /// The text, cut to the width `room`, with an ellipsis if it was cut.
    pub fn fit(self, text: &str, room: f64) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let room = room / self.size - self.advance(ELLIPSIS);
        let mut used = 0.0;
        let kept = text.chars().take_while(|character| {
            used += self.advance(*character);
            used <= room
        });
        let kept: String = kept.collect();
        format!("{}{ELLIPSIS}", kept.trim_end())
    }

    /// Wraps the text into at most `most` lines, the last of which is cut.
    pub fn wrap(self, text: &str, room: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer {
                Some(longer) if self.width(&longer) <= room || lines.len() == most => {
                    if let Some(last) = lines.last_mut() {
                        *last = longer;
                    }
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines.iter().map(|line| self.fit(line, room)).collect()
    }

    /// The width of a character, as a fraction of the font's size.
    fn advance(self, character: char) -> f64 {
        let wide = !character.is_ascii() && !is_latin(character);
        if self.mono {
            return if wide { 1.25 } else { 0.605 };
        }
        let width = match character {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.33,
            ' ' | 'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' | '·' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
            'A'..='Z' | '&' | '+' | '=' | '<' | '>' | '~' => 0.76,
            _ if wide => 1.25,
            _ => 0.63,
        };
        if self.bold { width * 1.09 } else { width }
    }
}

fn is_latin(character: char) -> bool {
    matches!(character, '\u{a0}'..='\u{24f}' | '\u{2010}'..='\u{2026}')
}

/// Escapes a text for XML. Characters that XML does not allow become replacement characters.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_and_fits_then() {
        for font in [TITLE, NAME, DETAIL, BADGE] {
            let text = font.fit("inventory.reserve-everything-there-is", 90.0);
            assert!(text.ends_with(ELLIPSIS) && font.width(&text) <= 90.0, "{text}");
            assert_eq!(font.fit("short", 90.0), "short");
        }
    }

    #[test]
    fn a_long_text_is_broken_between_words_and_cut_at_the_end() {
        let lines = TEXT.wrap("Reserve the stock, take the payment, book the shipment and more", 130.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| TEXT.width(line) <= 130.0), "{lines:?}");
        assert!(lines[1].ends_with(ELLIPSIS));
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("a < b && \"c\"\u{1}"), "a &lt; b &amp;&amp; &quot;c&quot;\u{fffd}");
    }
}
