//! `snorri graph`: a definition as a picture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use super::failure::Failure;
use super::{named, output};
use crate::graph::{self, Direction, Options};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Files that are written: .svg, .mmd and .mermaid, .dot and .gv; --format writes any other too.

Exit codes: 0 done, 1 not a definition that `snorri check` takes, 2 wrong usage, or not readable.

Examples:
  snorri graph order -o order.svg
  snorri graph sagas/order.yaml --format mermaid
  snorri graph sagas/order.yaml --format dot | dot -Tpdf > order.pdf")]
pub struct Args {
    /// The definition: a file, or the name of one in `sagas`
    definition: String,
    /// Default: as the name of the output ends, or svg
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write it; default: standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Another title than the saga's name
    #[arg(long)]
    title: Option<String>,
    /// Leave out how steps are undone
    #[arg(long)]
    no_undo: bool,
    /// Where Mermaid and DOT grow to; SVG always goes down
    #[arg(long, value_enum, default_value_t = Grows::Down)]
    direction: Grows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
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
        (None, None) => Format::Svg,
    };
    let compiled = named::definition(&args.definition)?;
    let options = Options { title: args.title, undo: !args.no_undo };
    let graph = graph::graph(&compiled.definition, &options);
    let direction = match args.direction {
        Grows::Down => Direction::Down,
        Grows::Right => Direction::Right,
    };
    let text = match format {
        Format::Svg => graph::svg::write(&graph),
        Format::Mermaid => graph::mermaid::write(&graph, direction),
        Format::Dot => graph::dot::write(&graph, direction),
    };
    match args.output {
        Some(path) => {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(())
        }
        None => output::raw(&text),
    }
}

/// What a file of this name holds.
fn of_name(path: &Path) -> Result<Format, Failure> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("svg") | None => Ok(Format::Svg),
        Some("mmd" | "mermaid") => Ok(Format::Mermaid),
        Some("dot" | "gv") => Ok(Format::Dot),
        Some(other) => Err(Failure::usage(format!(
            "cannot tell what {} is to be: .{other} is none of .svg, .mmd, .mermaid, .dot and .gv; name it so, or give --format",
            path.display()
        ))),
    }
}
