//! Writes a graph in DOT, the language of Graphviz.

use std::fmt::{self, Write};

use super::Direction;
use super::edges::{EdgePath, edges};
use super::model::{Graph, Group, GroupKind, Node, Part};
use snorri_core::definition::StepKind;

pub fn write(graph: &Graph, direction: Direction) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = digraph(&mut text, graph, direction);
    text
}

fn digraph(out: &mut String, graph: &Graph, direction: Direction) -> fmt::Result {
    writeln!(out, "digraph {} {{", quoted(&graph.name))?;
    writeln!(
        out,
        "  label={}; labelloc=t; fontsize=16; rankdir={};",
        quoted(&format!("{} v{}", graph.title, graph.version)),
        direction.letters()
    )?;
    writeln!(out, "  fontname=\"Helvetica\"; compound=true; nodesep=0.5;")?;
    writeln!(
        out,
        "  node [fontname=\"Helvetica\", fontsize=11, shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", color=\"#94a3b8\"];"
    )?;
    writeln!(out, "  edge [fontname=\"Helvetica\", fontsize=10, color=\"#64748b\"];")?;
    let start: Vec<_> = std::iter::once("start").chain(graph.starts.iter().map(String::as_str)).collect();
    writeln!(out, "  start [label={}, shape=oval];", quoted(&start.join("\n")))?;
    parts(out, &graph.parts, 1)?;
    writeln!(
        out,
        "  completed [label=\"completed\", shape=oval, color=\"#16a34a\", fillcolor=\"#f0fdf4\"];"
    )?;
    if graph.leads_back {
        writeln!(
            out,
            "  compensated [label=\"compensated\", shape=oval, color=\"#d97706\", fillcolor=\"#fffbeb\"];"
        )?;
    }
    for edge in edges(graph) {
        let mut look = match edge.way {
            EdgePath::Forward => String::new(),
            EdgePath::Compensated => {
                " style=dotted, color=\"#d97706\", arrowhead=none, constraint=false".into()
            }
            EdgePath::Back => " style=dashed, color=\"#d97706\", constraint=false".into(),
        };
        if let Some(label) = edge.label {
            write!(look, " label={}", quoted(&label))?;
        }
        writeln!(out, "  {} -> {} [{}];", edge.from, edge.to, look.trim_start())?;
    }
    writeln!(out, "}}")
}

fn parts(out: &mut String, list: &[Part], depth: usize) -> fmt::Result {
    list.iter().try_for_each(|part| match part {
        Part::Node(step) => node(out, step, depth),
        Part::Group(block) => group(out, block, depth),
    })
}

fn node(out: &mut String, node: &Node, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    let mut lines = vec![node.label.clone(), node.doing()];
    lines.extend(node.marks().map(str::to_owned));
    let look = match node.kind {
        _ if node.pivot => ", color=\"#9333ea\", fillcolor=\"#faf5ff\", penwidth=3",
        StepKind::Fail => ", shape=octagon, style=filled, color=\"#dc2626\", fillcolor=\"#fef2f2\"",
        StepKind::Saga => ", peripheries=2",
        StepKind::Wait | StepKind::Sleep => ", shape=oval, style=filled",
        StepKind::Command | StepKind::Publish | StepKind::Choice | StepKind::ForEach => "",
    };
    let tooltip = quoted(&node.about.join("\n"));
    writeln!(out, "{pad}s{} [label={}, tooltip={tooltip}{look}];", node.index, quoted(&lines.join("\n")))?;
    if let Some(compensation) = &node.compensation {
        let label = quoted(&format!("compensate\n{}", compensation.detail));
        let look = "style=\"rounded,filled,dashed\", color=\"#d97706\", fillcolor=\"#fff7ed\"";
        writeln!(out, "{pad}u{} [label={label}, {look}];", node.index)?;
        writeln!(out, "{pad}{{ rank=same; s{index}; u{index}; }}", index = node.index)?;
    }
    Ok(())
}

fn group(out: &mut String, group: &Group, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    writeln!(out, "{pad}subgraph cluster_g{} {{", group.id)?;
    writeln!(
        out,
        "{pad}  label={}; fontsize=12; style=\"rounded,filled\"; color=\"#cbd5e1\"; fillcolor=\"#f1f5f9\";",
        quoted(&group.caption())
    )?;
    match group.kind {
        GroupKind::Parallel => {
            writeln!(out, "{pad}  o{} [label=\"\", shape=point, width=0.12];", group.id)?;
            writeln!(out, "{pad}  c{} [label=\"\", shape=point, width=0.12];", group.id)?;
        }
        GroupKind::Choice => {
            writeln!(out, "{pad}  o{} [label=\"?\", shape=diamond, style=filled];", group.id)?;
        }
        GroupKind::ForEach => {}
    }
    group.branches.iter().try_for_each(|branch| parts(out, &branch.parts, depth + 1))?;
    writeln!(out, "{pad}}}")
}

/// Quotes a string for DOT.
fn quoted(text: &str) -> String {
    let inner: String = text
        .chars()
        .map(|character| match character {
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\n' => "\\n".into(),
            character if character.is_control() => " ".into(),
            character => character.to_string(),
        })
        .collect();
    format!("\"{inner}\"")
}
