//! Writes the shapes of a picture as SVG.

use std::fmt::Write;

use super::text::{BADGE, Font, escaped};

/// The SVG elements written so far.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    pub out: String,
}

/// A position and a size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The direction of an arrowhead.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    Down,
    Up,
    Right,
}

impl Rect {
    pub fn center(self) -> (f64, f64) {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }
}

impl Canvas {
    /// Opens a group; the attributes are names and values.
    pub fn open(&mut self, attributes: &[(&str, &str)]) {
        self.out.push_str("<g");
        for (name, value) in attributes {
            let _ = write!(self.out, " {name}=\"{}\"", escaped(value));
        }
        self.out.push('>');
    }

    pub fn close(&mut self) {
        self.out.push_str("</g>\n");
    }

    /// Adds a tooltip to the open group.
    pub fn about(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            let _ = write!(self.out, "<title>{}</title>", escaped(&lines.join("\n")));
        }
    }

    pub fn rect(&mut self, class: &str, at: Rect, radius: f64) {
        let Rect { x, y, width, height } = at;
        let _ = write!(
            self.out,
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}" rx="{radius}"/>"#,
            short(x),
            short(y),
            short(width),
            short(height)
        );
    }

    pub fn path(&mut self, class: &str, d: &str) {
        let _ = write!(self.out, r#"<path class="{class}" d="{d}"/>"#);
    }

    /// Writes a text that begins at `x`, cut to the width `room`.
    pub fn text(&mut self, font: Font, text: &str, (x, y): (f64, f64), room: f64) {
        self.words(font, text, (x, y), room, "");
    }

    /// Writes a text with another one after it in another font.
    pub fn pair(
        &mut self,
        (font, text): (Font, &str),
        (font_after, more): (Font, &str),
        (x, y): (f64, f64),
        room: f64,
    ) {
        let shown = font.fit(text, room * 0.7);
        let rest = font_after.fit(more, room - font.width(&shown) - 10.0);
        let _ = write!(
            self.out,
            r#"<text class="{}" x="{}" y="{}">{}<tspan class="{}" dx="10">{}</tspan></text>"#,
            font.class,
            short(x),
            short(y),
            escaped(&shown),
            font_after.class,
            escaped(&rest)
        );
    }

    pub fn dot(&mut self, (x, y): (f64, f64)) {
        let (x, y) = (short(x), short(y));
        let _ = write!(self.out, r#"<circle class="sg-dot" cx="{x}" cy="{y}" r="3"/>"#);
    }

    pub fn centered(&mut self, font: Font, text: &str, (x, y): (f64, f64), room: f64) {
        self.words(font, text, (x, y), room, r#" text-anchor="middle""#);
    }

    fn words(&mut self, font: Font, text: &str, (x, y): (f64, f64), room: f64, anchor: &str) {
        let shown = font.fit(text, room);
        let _ = write!(
            self.out,
            r#"<text class="{}" x="{}" y="{}"{anchor}>{}</text>"#,
            font.class,
            short(x),
            short(y),
            escaped(&shown)
        );
    }

    /// Draws an icon of 16 by 16, centered at a position.
    pub fn icon(&mut self, d: &str, (x, y): (f64, f64)) {
        let (x, y) = (short(x - 8.0), short(y - 8.0));
        let _ = write!(self.out, r#"<path class="sg-icon" transform="translate({x} {y})" d="{d}"/>"#);
    }

    pub fn head(&mut self, class: &str, (x, y): (f64, f64), head: Head) {
        let d = match head {
            Head::Down => format!("M{} {}l-4.5 -8h9z", short(x), short(y)),
            Head::Up => format!("M{} {}l-4.5 8h9z", short(x), short(y)),
            Head::Right => format!("M{} {}l-8 -4.5v9z", short(x), short(y)),
        };
        self.path(class, &d);
    }

    /// Draws the forward line from one height to another, with an arrowhead if `arrow`.
    pub fn down(&mut self, x: f64, from: f64, to: f64, arrow: bool) {
        let end = if arrow { to - 6.0 } else { to };
        self.path("sg-path", &format!("M{} {}V{}", short(x), short(from), short(end)));
        if arrow {
            self.head("sg-head", (x, to), Head::Down);
        }
    }

    /// Draws a pill with a text. A text that is cut is in the tooltip.
    pub fn pill(&mut self, class: &str, font: Font, text: &str, at: Rect) {
        self.open(&[("class", class)]);
        let shown = font.fit(text, at.width - 12.0);
        if shown != text {
            self.about(&[text.to_owned()]);
        }
        self.rect("sg-pill", at, at.height / 2.0);
        let (x, y) = at.center();
        self.centered(font, text, (x, y + font.size * 0.35), at.width - 12.0);
        self.close();
    }

    /// Draws a badge of `width` whose right end is at `x`.
    pub fn badge(&mut self, class: &str, text: &str, (x, y): (f64, f64), width: f64) {
        self.pill(class, BADGE, text, Rect { x: x - width, y, width, height: 17.0 });
    }
}

/// Formats a number with at most one decimal.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
