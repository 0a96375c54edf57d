//! `snorri graph`: a definition as a picture.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use super::failure::Failure;
use super::{output, sources};
use crate::graph::{self, Direction, Options};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  snorri graph sagas/order.yaml -o order.svg
  snorri graph sagas/order.yaml --format mermaid
  snorri graph sagas/order.yaml --format dot | dot -Tpdf > order.pdf")]
pub struct Args {
    /// The definition
    file: PathBuf,
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
    let compiled = sources::definition(&args.file)?;
    let format = args.format.unwrap_or_else(|| of_name(args.output.as_ref()));
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
fn of_name(output: Option<&PathBuf>) -> Format {
    match output.and_then(|path| path.extension()).and_then(|extension| extension.to_str()) {
        Some("mmd" | "mermaid") => Format::Mermaid,
        Some("dot" | "gv") => Format::Dot,
        _ => Format::Svg,
    }
}
