//! `snorri graph`: draws a definition.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use crate::cli::definition::named;
use crate::cli::failure::Failure;
use crate::cli::output;
use snorri_verify::graph::{self, Direction, Options};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The extension of the output selects the format: .svg, .mmd, .mermaid, .dot or .gv. For any other, set --format.

Exit codes: 0 done, 1 the definition has errors (see `snorri check`), 2 wrong usage, or not readable.

Examples:
  snorri graph order -o order.svg
  snorri graph sagas/order.yaml --format mermaid
  snorri graph sagas/order.yaml --format dot | dot -Tpdf > order.pdf")]
pub struct Args {
    /// The definition: a file, or the name of a definition in `sagas`
    definition: String,
    /// The format; default: by the extension of the output, or svg
    #[arg(long, value_enum)]
    format: Option<GraphFormat>,
    /// The output file; default: standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The title; default: the name of the definition
    #[arg(long)]
    title: Option<String>,
    /// Omit compensations
    #[arg(long)]
    no_compensation: bool,
    /// The direction of Mermaid and DOT; SVG is always drawn downwards
    #[arg(long, value_enum, default_value_t = Grows::Down)]
    direction: Grows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    Svg,
    Mermaid,
    Dot,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Grows {
    Down,
    Right,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let format = match (args.format, args.output.as_deref()) {
        (Some(format), _) => format,
        (None, Some(path)) => of_name(path)?,
        (None, None) => GraphFormat::Svg,
    };
    let compiled = named::definition(&args.definition)?;
    let options = Options { title: args.title, compensation: !args.no_compensation };
    let graph = graph::graph(&compiled.definition, &options);
    let direction = match args.direction {
        Grows::Down => Direction::Down,
        Grows::Right => Direction::Right,
    };
    let text = match format {
        GraphFormat::Svg => graph::svg::write(&graph),
        GraphFormat::Mermaid => graph::mermaid::write(&graph, direction),
        GraphFormat::Dot => graph::dot::write(&graph, direction),
    };
    match args.output {
        Some(path) => {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(())
        }
        None => output::raw(&text),
    }
}

/// The format by the extension of a file.
fn of_name(path: &Path) -> Result<GraphFormat, Failure> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("svg") | None => Ok(GraphFormat::Svg),
        Some("mmd" | "mermaid") => Ok(GraphFormat::Mermaid),
        Some("dot" | "gv") => Ok(GraphFormat::Dot),
        Some(other) => Err(Failure::usage(format!(
            "unknown extension .{other} of {}: use .svg, .mmd, .mermaid, .dot or .gv, or --format",
            path.display()
        ))),
    }
}
