//! Draws blocks and their arrows at the positions of the layout.

use super::canvas::{Canvas, Head, Rect, short};
use super::icons;
use super::layout::{
    AROUND, BEHIND, CARD, Column, GAP, HEAD, Measures, PAD, PILL, PIVOT, Placed, UNDO_CARD, WHEN,
    badge_width, badges, behind, label_room, pivots,
};
use super::text::{COMPENSATION, CONDITION, DETAIL, NAME, SMALL};
use crate::graph::model::{Group, GroupKind, Node, Part};
use snorri_core::definition::StepKind;

/// The text of the line after a pivot.
const NO_WAY_BACK: &str = "no way back after this";
/// The radius of the corners of the compensation line.
const BEND: f64 = 8.0;

pub(super) struct Pen<'c> {
    pub canvas: &'c mut Canvas,
    pub measures: Measures,
}

/// The position of a column: that of its forward line, and the ends of its lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub x: f64,
    /// The top of its first part.
    pub top: f64,
    /// Where the forward line begins, and the compensation line ends.
    pub from: f64,
    /// Where the forward line ends, and the compensation line begins.
    pub to: f64,
    /// Whether both lines end with an arrowhead.
    pub arrows: bool,
    /// Whether the compensation line comes from outside the column.
    pub undone_from: bool,
}

impl Pen<'_> {
    /// Draws a column with its arrows.
    pub fn column(&mut self, column: &Column<'_>, frame: Frame) {
        self.forward(column, frame);
        self.back(column, frame);
        for item in &column.items {
            let y = frame.top + item.top;
            match item.part {
                Part::Node(node) => self.node(node, frame.x, y),
                Part::Group(group) => self.group(group, item, frame.x, y),
            }
            if pivots(item.part) {
                let y = y + item.height + (GAP + PIVOT) / 2.0;
                self.pivot_line(frame.x, y, (frame.x - column.left, frame.x + column.right));
            }
        }
    }

    fn forward(&mut self, column: &Column<'_>, frame: Frame) {
        let mut from = Some(frame.from);
        for item in &column.items {
            let top = frame.top + item.top;
            if let Some(from) = from {
                self.canvas.down(frame.x, from, top, true);
            }
            let below = top + item.height;
            from = (!item.part.ends()).then_some(below);
            if item.part.when().is_some() {
                self.around(
                    frame.x,
                    (top - WHEN / 2.0 - 3.0, below + AROUND - 2.0),
                    frame.x - item.left - AROUND,
                );
                if matches!(item.part, Part::Node(node) if node.kind == StepKind::Fail) {
                    from = Some(below + AROUND - 2.0);
                }
            }
            if let Some(condition) = item.part.when() {
                self.condition(&format!("if {condition}"), frame.x, top - WHEN + 4.0, self.measures.card);
            }
        }
        if let Some(from) = from {
            self.canvas.down(frame.x, from, frame.to, frame.arrows);
        }
    }

    /// Draws the line past a step that may be skipped, on its left.
    fn around(&mut self, x: f64, (from, to): (f64, f64), left: f64) {
        let [x, from, to, left, inner, below, above] =
            [x, from, to, left, left + BEND, from + BEND, to - BEND].map(short);
        let path =
            format!("M{x} {from}H{inner}Q{left} {from} {left} {below}V{above}Q{left} {to} {inner} {to}H{x}");
        self.canvas.path("sg-path sg-around", &path);
    }

    fn back(&mut self, column: &Column<'_>, frame: Frame) {
        let lane = frame.x + self.measures.lane;
        let start = |y: f64| format!("M{} {}", short(lane), short(y));
        let undoes = column.items.iter().any(|item| item.part.leads_back());
        let mut path = (frame.undone_from && undoes).then(|| start(frame.to));
        for item in column.items.iter().rev() {
            let top = frame.top + item.top;
            let middle = top + CARD / 2.0;
            match item.part {
                Part::Node(node) if node.compensation.is_some() => {
                    if let Some(path) = path {
                        self.up(&path, lane, middle + UNDO_CARD / 2.0, true);
                    }
                    path = Some(start(middle - UNDO_CARD / 2.0));
                }
                Part::Node(node) if node.leads_back => {
                    let edge = frame.x + self.measures.card / 2.0;
                    let bend = format!(
                        "M{} {}H{}Q{lane} {} {lane} {}",
                        short(edge),
                        short(middle),
                        short(lane - BEND),
                        short(middle),
                        short(middle - BEND),
                        lane = short(lane),
                    );
                    if path.is_some() {
                        self.canvas.path("sg-back", &bend);
                    } else {
                        path = Some(bend);
                    }
                }
                Part::Node(_) => {}
                Part::Group(group) => {
                    let passed = path.is_some();
                    if let Some(path) = path.take() {
                        self.up(&path, lane, top + item.height, true);
                    }
                    if passed || group.leads_back {
                        path = Some(start(top));
                    }
                }
            }
        }
        if let Some(path) = path {
            self.up(&path, lane, frame.from, frame.arrows);
        }
    }

    /// Draws the rest of a compensation line, straight up.
    fn up(&mut self, path: &str, x: f64, to: f64, arrow: bool) {
        let end = if arrow { to + 6.0 } else { to };
        self.canvas.path("sg-back", &format!("{path}V{}", short(end)));
        if arrow {
            self.canvas.head("sg-back-head", (x, to), Head::Up);
        }
    }

    fn condition(&mut self, text: &str, x: f64, y: f64, most: f64) {
        let width = (CONDITION.width(text) + 22.0).min(most);
        self.canvas.pill("sg-when", CONDITION, text, Rect { x: x - width / 2.0, y, width, height: PILL });
    }

    fn node(&mut self, node: &Node, x: f64, y: f64) {
        let card = Rect { x: x - self.measures.card / 2.0, y, width: self.measures.card, height: CARD };
        let state = match node.kind {
            _ if node.pivot => "sg-step sg-is-pivot",
            StepKind::Fail => "sg-step sg-is-fail",
            _ => "sg-step",
        };
        self.canvas.open(&[("class", state), ("data-step", &node.name), ("data-kind", node.kind.as_str())]);
        self.canvas.about(&node.about);
        if node.kind == StepKind::Saga {
            self.canvas.rect("sg-behind", Rect { x: card.x + BEHIND, y: card.y + BEHIND, ..card }, 10.0);
        }
        self.canvas.rect("sg-card", card, 10.0);
        let (class, icon) = icons::of(node.kind);
        self.canvas.open(&[("class", if node.pivot { "sg-pivot" } else { class })]);
        let tile = Rect { x: card.x + 14.0, y: y + 16.0, width: 30.0, height: 30.0 };
        self.canvas.rect("sg-tile", tile, 8.0);
        self.canvas.icon(icon, tile.center());
        self.canvas.close();
        let mut right = card.x + card.width - 12.0;
        for (class, text) in badges(node) {
            let width = badge_width(text);
            self.canvas.badge(class, text, (right, y + 12.0), width);
            right -= width + 6.0;
        }
        let left = card.x + 56.0;
        self.canvas.text(NAME, &node.label, (left, y + 27.0), right - left);
        self.canvas.text(DETAIL, &node.detail, (left, y + 46.0), card.x + card.width - 12.0 - left);
        if node.compensation.is_some() {
            self.compensation(node, x, y + CARD / 2.0);
        }
        self.canvas.close();
    }

    /// Draws the compensation of a step, to its right.
    fn compensation(&mut self, node: &Node, x: f64, middle: f64) {
        let Some(compensation) = &node.compensation else { return };
        let (edge, center) = (x + self.measures.card / 2.0, x + self.measures.lane);
        let card = Rect {
            x: center - self.measures.compensation / 2.0,
            y: middle - UNDO_CARD / 2.0,
            width: self.measures.compensation,
            height: UNDO_CARD,
        };
        self.canvas.open(&[("class", "sg-compensation"), ("data-compensation", &node.name)]);
        self.canvas.about(&compensation.about);
        let from = if node.kind == StepKind::Saga { edge + BEHIND } else { edge };
        let path = format!("M{} {}H{}", short(from), short(middle), short(card.x - 6.0));
        self.canvas.path("sg-back", &path);
        self.canvas.head("sg-back-head", (card.x, middle), Head::Right);
        self.canvas.rect("sg-compensation-card", card, 9.0);
        self.canvas.icon(icons::COMPENSATION, (card.x + 20.0, middle));
        self.canvas.text(
            COMPENSATION,
            &compensation.detail,
            (card.x + 36.0, middle + 4.0),
            card.width - 46.0,
        );
        self.canvas.close();
    }

    fn pivot_line(&mut self, x: f64, y: f64, (left, right): (f64, f64)) {
        let width = SMALL.width(NO_WAY_BACK) + 44.0;
        let pill = Rect { x: x - width / 2.0, y: y - 13.0, width, height: 26.0 };
        self.canvas.open(&[("class", "sg-pivot sg-no-way-back")]);
        let line = format!("M{} {y}H{}", short(left), short(right), y = short(y));
        self.canvas.path("sg-pivot-line", &line);
        self.canvas.rect("sg-canvas", pill, 13.0);
        self.canvas.rect("sg-pill", pill, 13.0);
        self.canvas.icon(icons::PIVOT, (pill.x + 19.0, y - 0.5));
        let text = super::text::Font { class: "sg-small sg-strong", ..SMALL };
        self.canvas.centered(text, NO_WAY_BACK, (x + 9.0, y + 4.0), width - 40.0);
        self.canvas.close();
    }

    fn group(&mut self, group: &Group, placed: &Placed<'_>, x: f64, y: f64) {
        let behind = behind(placed.part);
        let body = Rect {
            x: x - placed.left,
            y,
            width: placed.left + placed.right - behind,
            height: placed.height - behind,
        };
        let mut attributes = vec![("class", "sg-group"), ("data-kind", group.kind.word())];
        if let Some(name) = &group.name {
            attributes.push(("data-step", name));
        }
        self.canvas.open(&attributes);
        self.canvas.about(&group.about);
        if group.kind == GroupKind::ForEach {
            self.canvas.rect(
                "sg-group-body sg-behind-group",
                Rect { x: body.x + BEHIND, y: y + BEHIND, ..body },
                14.0,
            );
        }
        self.canvas.rect("sg-group-body", body, 14.0);
        self.heading(group, body);
        let (from, to) = (y + HEAD, body.y + body.height);
        for (column, x) in placed.columns.iter().zip(placed.axes(x)) {
            let top = from + GAP + label_room(column) - if column.label.is_some() { 8.0 } else { 0.0 };
            let frame = Frame { x, top, from, to, arrows: false, undone_from: true };
            self.column(column, frame);
            self.canvas.dot((x, from));
            if !column.items.last().is_some_and(|last| last.part.ends()) {
                self.canvas.dot((x, to));
            }
            if let Some(label) = column.label {
                let room = 2.0 * column.left.min(column.right) + PAD;
                self.condition(label, x, from + 14.0, room);
            }
        }
        self.canvas.close();
    }

    /// Draws the strip along the upper edge of a group.
    fn heading(&mut self, group: &Group, body: Rect) {
        let (left, right, bottom) = (body.x, body.x + body.width, body.y + HEAD);
        let strip = format!(
            "M{} {bottom}V{}a14 14 0 0 1 14 -14H{}a14 14 0 0 1 14 14V{bottom}z",
            short(left),
            short(body.y + 14.0),
            short(right - 14.0),
            bottom = short(bottom),
        );
        self.canvas.path("sg-group-head", &strip);
        let middle = body.y + HEAD / 2.0;
        let icon = match group.kind {
            GroupKind::Parallel => icons::PARALLEL,
            GroupKind::Choice => icons::CHOICE,
            GroupKind::ForEach => icons::REPEAT,
        };
        self.canvas.open(&[("class", "sg-accent")]);
        self.canvas.icon(icon, (left + 22.0, middle));
        self.canvas.close();
        let (at, room) = (left + 38.0, body.width - 50.0);
        match (group.kind, &group.name) {
            (GroupKind::ForEach, Some(name)) => {
                self.canvas.pair((NAME, name), (SMALL, &group.heading), (at, middle + 5.0), room);
            }
            _ => self.canvas.text(SMALL, &group.heading, (at, middle + 4.0), room),
        }
    }
}
