//! Writes a graph as SVG: for documents, and for pages that show the progress of a saga.
//!
//! Every step is a group with its name in `data-step`; its compensation is a group within, with the name in `data-compensation`.
//! All colours are CSS variables, light or dark by the preference of the reader.

mod canvas;
mod draw;
mod icons;
mod layout;
mod style;
mod text;

use super::model::Graph;
use canvas::{Canvas, Rect, short};
use draw::{Frame, Pen};
use layout::{GAP, Measures, PILL};
use text::{CONDITION, END, SMALL, TEXT, TITLE, escaped};

const MARGIN: f64 = 32.0;
const END_HEIGHT: f64 = 32.0;
/// The distance between two lines of the description.
const LINE: f64 = 18.0;
/// The least width of the content, for the title.
const LEAST: f64 = 400.0;

pub fn write(graph: &Graph) -> String {
    let measures = Measures::of(graph);
    let mut column = measures.column(&graph.parts, None);
    let widest = graph.starts.iter().map(|start| trigger_width(start)).fold(0.0, f64::max);
    column.left = column.left.max(widest / 2.0);
    let content = column.left + column.right;
    let width = content.max(LEAST) + 2.0 * MARGIN;
    let x = (width - content) / 2.0 + column.left;
    let described = graph.description.as_deref().unwrap_or_default();
    let lines = TEXT.wrap(described, width - 2.0 * MARGIN, 3);
    let mut canvas = Canvas::default();
    title(&mut canvas, graph, &lines, width);
    #[expect(clippy::cast_precision_loss, reason = "three lines")]
    let mut y = MARGIN + 24.0 + lines.len() as f64 * LINE + 22.0;
    let mut pen = Pen { canvas: &mut canvas, measures };
    y = starts(&mut pen, graph, x, y);
    let top = y + END_HEIGHT + GAP;
    let bottom = top + column.height + GAP;
    let frame = Frame { x, top, from: y + END_HEIGHT, to: bottom, arrows: true, undone_from: false };
    pen.column(&column, frame);
    end(&mut pen, "sg-begin", "start", x, y);
    if graph.leads_back {
        end(&mut pen, "sg-back-end", "compensated", x + measures.lane, y);
    }
    end(&mut pen, "sg-good", "completed", x, bottom);
    let height = legend(&mut canvas, graph, bottom + END_HEIGHT + 26.0) + MARGIN - 8.0;
    document(graph, &canvas.out, (width, height))
}

fn document(graph: &Graph, drawn: &str, (width, height): (f64, f64)) -> String {
    let id: String = graph.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let title = format!("{}, version {}", graph.title, graph.version);
    let about = match &graph.description {
        Some(description) => {
            format!("{description} The steps of the saga from top to bottom, and how they are compensated.")
        }
        None => "The steps of the saga from top to bottom, and how they are compensated.".into(),
    };
    let mut canvas = Canvas::default();
    canvas.rect("sg-canvas", Rect { x: 0.0, y: 0.0, width, height }, 16.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"sg-graph\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"sg-{id}-title sg-{id}-desc\" style=\"max-width:100%;height:auto\" data-saga=\"{name}\" data-version=\"{version}\">\n\
         <title id=\"sg-{id}-title\">{title}</title>\n<desc id=\"sg-{id}-desc\">{about}</desc>\n<style>\n{style}</style>\n\
         {canvas}\n{drawn}</svg>\n",
        width = short(width),
        height = short(height),
        name = escaped(&graph.name),
        version = graph.version,
        title = escaped(&title),
        about = escaped(&about),
        style = style::sheet(),
        canvas = canvas.out,
    )
}

fn title(canvas: &mut Canvas, graph: &Graph, lines: &[String], width: f64) {
    let version = format!("v{}", graph.version);
    let at = (MARGIN, MARGIN + 17.0);
    canvas.pair((TITLE, &graph.title), (TEXT, &version), at, width - 2.0 * MARGIN);
    let mut y = MARGIN + 24.0;
    for line in lines {
        y += LINE;
        canvas.text(TEXT, line, (MARGIN, y), width - 2.0 * MARGIN);
    }
}

fn trigger_width(text: &str) -> f64 {
    (CONDITION.width(text) + 22.0).min(360.0)
}

/// Draws the triggers above the start. Returns the y of the start.
fn starts(pen: &mut Pen<'_>, graph: &Graph, x: f64, mut y: f64) -> f64 {
    for start in &graph.starts {
        let width = trigger_width(start);
        let at = Rect { x: x - width / 2.0, y, width, height: PILL };
        pen.canvas.pill("sg-when sg-trigger", CONDITION, start, at);
        y += PILL + 8.0;
    }
    if !graph.starts.is_empty() {
        pen.canvas.down(x, y - 6.0, y + 16.0, true);
        y += 16.0;
    }
    y
}

fn end(pen: &mut Pen<'_>, class: &str, text: &str, x: f64, y: f64) {
    let width = END.width(text) + 36.0;
    let at = Rect { x: x - width / 2.0, y, width, height: END_HEIGHT };
    pen.canvas.pill(class, END, text, at);
}

/// Draws the legend of the lines. Returns the y of its end.
fn legend(canvas: &mut Canvas, graph: &Graph, y: f64) -> f64 {
    let mut at = MARGIN;
    let mut entry = |class: &str, text: &str| {
        canvas.path(class, &format!("M{} {}h26", short(at), short(y)));
        canvas.text(SMALL, text, (at + 34.0, y + 4.0), 300.0);
        at += 34.0 + SMALL.width(text) + 20.0;
    };
    entry("sg-path", "forward");
    if graph.leads_back {
        entry("sg-back", "compensated, in the reverse order");
    }
    y + 8.0
}
