//! The colours and fonts of the picture. Each colour is a CSS variable (`--sg-card` and so on), so a page that embeds a picture
//! can replace them.

/// The names of the colours, with their values on a light and on a dark page.
const PALETTE: [(&str, &str, &str); 26] = [
    ("canvas", "#fbfcfe", "#0d1219"),
    ("card", "#ffffff", "#18202c"),
    ("edge", "#d5dce8", "#2f3b4e"),
    ("ink", "#0f172a", "#e8eef7"),
    ("muted", "#5b6b82", "#9aa8bd"),
    ("line", "#64748b", "#8492a8"),
    ("group", "#f1f5fa", "#121925"),
    ("group-head", "#e7edf5", "#1a2433"),
    ("group-edge", "#d3dce9", "#2a3648"),
    ("accent", "#2f5bd8", "#8fb0ff"),
    ("accent-soft", "#e8eefd", "#1d2a4a"),
    ("compensation", "#c8700a", "#eda03a"),
    ("compensation-ink", "#8f4a06", "#f6c377"),
    ("compensation-soft", "#fff8ec", "#261d10"),
    ("pivot", "#8b2fd0", "#c58bff"),
    ("pivot-soft", "#f6edfd", "#2a1b3b"),
    ("good", "#15803d", "#58d68d"),
    ("good-soft", "#ecfaf1", "#10271a"),
    ("bad", "#c62828", "#ff8a80"),
    ("bad-soft", "#fdeeee", "#331718"),
    ("time", "#0e7490", "#67d3ea"),
    ("time-soft", "#e6f6f9", "#12303a"),
    ("calm", "#0f766e", "#5fd3c4"),
    ("calm-soft", "#e6f5f3", "#12302d"),
    ("note", "#64748b", "#9aa8bd"),
    ("note-soft", "#eef1f6", "#232d3c"),
];

/// The style rules. `$name` is a colour of the palette.
const RULES: [(&str, &str); 43] = [
    (
        "",
        "font-family:Inter,ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif",
    ),
    (" .sg-canvas", "fill:$canvas"),
    (" .sg-title", "font-size:20px;font-weight:700;letter-spacing:-.01em;fill:$ink"),
    (" .sg-text", "font-size:12.5px;font-weight:400;letter-spacing:0;fill:$muted"),
    (" .sg-small", "font-size:11px;font-weight:400;letter-spacing:0;fill:$muted"),
    (" .sg-name", "font-size:14px;font-weight:600;fill:$ink"),
    (" .sg-detail", "font-size:11.5px;font-family:$mono;fill:$muted"),
    (" .sg-compensation-text", "font-size:11.5px;font-family:$mono;fill:$compensation-ink"),
    (" .sg-condition", "font-size:11px;font-family:$mono;fill:$accent"),
    (" .sg-badge-text", "font-size:10px;font-weight:600"),
    (" .sg-end-text", "font-size:12.5px;font-weight:600"),
    (" .sg-card", "fill:$card;stroke:$edge;stroke-width:1.25"),
    (" .sg-behind", "fill:$card;stroke:$edge;stroke-width:1.25"),
    (" .sg-is-pivot>.sg-card", "stroke:$pivot;stroke-width:2"),
    (" .sg-is-fail>.sg-card", "stroke:$bad"),
    (
        " .sg-compensation-card",
        "fill:$compensation-soft;stroke:$compensation;stroke-width:1.25;stroke-dasharray:4 3",
    ),
    (" .sg-group-body", "fill:$group;stroke:$group-edge;stroke-width:1.25"),
    (" .sg-group-head", "fill:$group-head"),
    (" .sg-path", "fill:none;stroke:$line;stroke-width:1.75;stroke-linecap:round;stroke-linejoin:round"),
    (" .sg-head", "fill:$line"),
    (
        " .sg-back",
        "fill:none;stroke:$compensation;stroke-width:1.6;stroke-dasharray:5 4;stroke-linejoin:round",
    ),
    (" .sg-back-head", "fill:$compensation"),
    (" .sg-dot", "fill:$line"),
    (" .sg-icon", "fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round"),
    (" .sg-accent .sg-icon", "stroke:$accent"),
    (" .sg-accent .sg-tile", "fill:$accent-soft"),
    (" .sg-pivot .sg-icon", "stroke:$pivot"),
    (" .sg-pivot .sg-tile,.sg-graph .sg-pivot>.sg-pill", "fill:$pivot-soft"),
    (" .sg-pivot>text", "fill:$pivot"),
    (" .sg-time .sg-icon", "stroke:$time"),
    (" .sg-time .sg-tile", "fill:$time-soft"),
    (" .sg-calm .sg-icon", "stroke:$calm"),
    (" .sg-calm .sg-tile,.sg-graph .sg-calm>.sg-pill", "fill:$calm-soft"),
    (" .sg-calm>text", "fill:$calm"),
    (" .sg-bad .sg-icon", "stroke:$bad"),
    (" .sg-bad .sg-tile", "fill:$bad-soft"),
    (" .sg-note>.sg-pill", "fill:$note-soft"),
    (" .sg-note>text", "fill:$note"),
    (" .sg-compensation .sg-icon", "stroke:$compensation"),
    (" .sg-when>.sg-pill", "fill:$accent-soft;stroke:$card;stroke-width:2"),
    (" .sg-good>.sg-pill", "fill:$good-soft;stroke:$good;stroke-width:1.5"),
    (" .sg-good>text", "fill:$good"),
    (" .sg-pivot-line", "stroke:$pivot;stroke-width:2.5;stroke-linecap:round"),
];

/// The style rules that must come last.
const MORE_RULES: [(&str, &str); 5] = [
    (" .sg-strong", "font-weight:600"),
    (" .sg-back-end>.sg-pill", "fill:$compensation-soft;stroke:$compensation;stroke-width:1.5"),
    (" .sg-back-end>text", "fill:$compensation-ink"),
    (" .sg-begin>.sg-pill", "fill:$card;stroke:$line;stroke-width:1.5"),
    (" .sg-begin>text", "fill:$ink"),
];

const MONO: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";

/// The style sheet. Rules of the page for the variables take precedence over those here, wherever they are. Renderers without
/// support for variables draw the light page.
pub(super) fn sheet() -> String {
    let variables = |dark: bool| -> String {
        let colors = PALETTE
            .iter()
            .map(|(name, light, night)| format!("--sg-{name}:{};", if dark { night } else { light }));
        colors.collect()
    };
    let mut sheet = format!(
        ":where(.sg-graph){{{}}}\n@media (prefers-color-scheme:dark){{:where(.sg-graph){{{}}}}}\n",
        variables(false),
        variables(true)
    );
    for (selector, declarations) in RULES.iter().chain(&MORE_RULES) {
        let declarations: Vec<_> = declarations.split(';').map(declaration).collect();
        sheet.push_str(&format!(".sg-graph{selector}{{{}}}\n", declarations.join(";")));
    }
    sheet
}

/// Writes a colour twice: as a value, and as a variable for the renderers that support variables.
fn declaration(text: &str) -> String {
    match text.split_once(":$") {
        Some(("font-family", _)) => format!("font-family:{MONO}"),
        Some((property, name)) => {
            let color =
                PALETTE.iter().find(|(known, ..)| *known == name).map_or("#000", |(_, light, _)| light);
            format!("{property}:{color};{property}:var(--sg-{name})")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_that_is_used_is_in_the_palette() {
        for (selector, declarations) in RULES.iter().chain(&MORE_RULES) {
            for (_, name) in declarations.split(';').filter_map(|text| text.split_once(":$")) {
                assert!(
                    name == "mono" || PALETTE.iter().any(|(known, ..)| *known == name),
                    "{selector}: {name}"
                );
            }
        }
    }
}
