//! `snorri check`: whether definitions would be taken, and why not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args as ClapArgs;

use super::failure::{Failure, Outcome};
use super::output;
use crate::catalog::{self, Compiled, Diagnostics, Source};
use crate::check::check;
use crate::proof::Bounds;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Definitions, and directories of them
    #[arg(default_value = "sagas")]
    paths: Vec<PathBuf>,
}

pub async fn run(args: Args) -> Outcome {
    let mut compiled: Vec<Arc<Compiled>> = Vec::new();
    let mut told: Vec<Diagnostics> = Vec::new();
    for Source { path, text, files } in sources(&args.paths)? {
        match catalog::compile_with(&path.display().to_string(), &text, &files) {
            Ok(definition) => compiled.push(Arc::new(definition)),
            Err(diagnostics) => told.push(diagnostics),
        }
    }
    for (index, definition) in compiled.iter().enumerate() {
        let beside: Vec<_> = compiled
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, other)| Arc::clone(other))
            .collect();
        told.push(check(definition, &beside, &Bounds::default()).findings);
    }
    told.iter().try_for_each(|diagnostics| output::print(&diagnostics.pretty()))?;
    let errors: usize = told.iter().map(Diagnostics::errors).sum();
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The definitions at these paths.
fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        let found = if path.is_dir() {
            catalog::read_directory(path)
        } else {
            catalog::read_definition(path).map(|source| vec![source])
        };
        sources.extend(found.with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(sources)
}
