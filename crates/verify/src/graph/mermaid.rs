//! Writes a graph as a Mermaid flowchart, which many forges and wikis render.

use std::fmt::{self, Write};

use super::Direction;
use super::edges::{EdgePath, edges};
use super::model::{Graph, Group, GroupKind, Node, Part};
use snorri_core::definition::StepKind;

const STYLES: &str = "  classDef step fill:#ffffff,stroke:#94a3b8,color:#0f172a
  classDef compensation fill:#fff7ed,stroke:#d97706,color:#92400e,stroke-dasharray:4 3
  classDef pivot fill:#faf5ff,stroke:#9333ea,color:#581c87,stroke-width:3px
  classDef fail fill:#fef2f2,stroke:#dc2626,color:#991b1b
  classDef gate fill:#e2e8f0,stroke:#64748b,color:#0f172a
  classDef completed fill:#f0fdf4,stroke:#16a34a,color:#166534
  classDef compensated fill:#fffbeb,stroke:#d97706,color:#92400e
";

pub fn write(graph: &Graph, direction: Direction) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = flowchart(&mut text, graph, direction);
    text
}

fn flowchart(out: &mut String, graph: &Graph, direction: Direction) -> fmt::Result {
    writeln!(
        out,
        "---\ntitle: {}\n---",
        serde_json::Value::from(format!("{} v{}", graph.title, graph.version))
    )?;
    writeln!(out, "flowchart {}", direction.letters())?;
    let starts: Vec<_> = graph.starts.iter().map(|start| format!("<br/>{}", escaped(start))).collect();
    writeln!(out, "  start([\"start{}\"]):::gate", starts.concat())?;
    parts(out, &graph.parts, 1)?;
    writeln!(out, "  completed([\"completed\"]):::completed")?;
    if graph.leads_back {
        writeln!(out, "  compensated([\"compensated\"]):::compensated")?;
    }
    for edge in edges(graph) {
        let (from, to) = (edge.from, edge.to);
        let label = edge.label.map(|label| format!("|\"{}\"|", escaped(&label))).unwrap_or_default();
        match edge.way {
            EdgePath::Forward => writeln!(out, "  {from} -->{label} {to}")?,
            EdgePath::Compensated => writeln!(out, "  {from} -. compensated by .- {to}")?,
            EdgePath::Back => writeln!(out, "  {from} -.-> {to}")?,
        }
    }
    out.write_str(STYLES)
}

fn parts(out: &mut String, list: &[Part], depth: usize) -> fmt::Result {
    list.iter().try_for_each(|part| match part {
        Part::Node(step) => node(out, step, depth),
        Part::Group(block) => group(out, block, depth),
    })
}

fn node(out: &mut String, node: &Node, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    let marks: String = node.marks().map(|mark| format!("<br/><i>{mark}</i>")).collect();
    let (open, close) = match node.kind {
        StepKind::Wait | StepKind::Sleep => ("([", "])"),
        StepKind::Saga => ("[[", "]]"),
        StepKind::Publish => (">", "]"),
        StepKind::Fail => ("{{", "}}"),
        StepKind::Command | StepKind::Choice | StepKind::ForEach => ("[", "]"),
    };
    let class = match node.kind {
        _ if node.pivot => "pivot",
        StepKind::Fail => "fail",
        _ => "step",
    };
    let (name, doing) = (escaped(&node.label), escaped(&node.doing()));
    writeln!(out, "{pad}s{}{open}\"<b>{name}</b><br/>{doing}{marks}\"{close}:::{class}", node.index)?;
    if let Some(compensation) = &node.compensation {
        writeln!(
            out,
            "{pad}u{}[\"compensation: {}\"]:::compensation",
            node.index,
            escaped(&compensation.detail)
        )?;
    }
    Ok(())
}

fn group(out: &mut String, group: &Group, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    writeln!(out, "{pad}subgraph g{}[\"{}\"]", group.id, escaped(&group.caption()))?;
    match group.kind {
        GroupKind::Parallel => {
            writeln!(out, "{pad}  o{id}((\" \")):::gate\n{pad}  c{id}((\" \")):::gate", id = group.id)?;
        }
        GroupKind::Choice => {
            writeln!(out, "{pad}  o{}{{\"?\"}}:::gate", group.id)?;
        }
        GroupKind::ForEach => {}
    }
    group.branches.iter().try_for_each(|branch| parts(out, &branch.parts, depth + 1))?;
    writeln!(out, "{pad}end")
}

/// Escapes the characters with a meaning in Mermaid as numeric entities.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | ';' | '*' | '_' | '{' | '}' | '[' | ']' | '|' => {
                out.push_str(&format!("#{};", u32::from(character)));
            }
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}
