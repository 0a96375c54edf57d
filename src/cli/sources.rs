//! Definitions in files, for all commands that read them: found, compiled, and held against each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use super::failure::Failure;
use crate::catalog::{self, Compiled, Diagnostics, Source};
use crate::check::check;
use crate::proof::{Bounds, Proof};
use crate::text::escape_styled;

/// What there is to say of one file.
#[derive(Debug)]
pub struct Checked {
    pub findings: Diagnostics,
    /// `None`: it is not a definition.
    pub definition: Option<(Arc<Compiled>, Proof)>,
}

/// The definitions at these paths, which may be directories.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths.iter().filter(|path| !catalog::is_scenarios(path)) {
        if path.is_dir() {
            sources.extend(catalog::read_directory(path)?);
        } else {
            sources.push(catalog::read_definition(path)?);
        }
    }
    Ok(sources)
}

/// What is found in each, beside all the others.
pub fn checked(sources: &[Source], bounds: &Bounds) -> Vec<Checked> {
    let all: Vec<_> = sources.iter().map(|source| compiled(source).map(Arc::new)).collect();
    let beside = |own: &Arc<Compiled>| -> Vec<_> {
        all.iter().flatten().filter(|other| !Arc::ptr_eq(other, own)).cloned().collect()
    };
    let each = all.iter().map(|compiled| match compiled {
        Ok(compiled) => {
            let checked = check(compiled, &beside(compiled), bounds);
            let definition = Some((Arc::clone(compiled), checked.proof));
            Checked { findings: checked.findings, definition }
        }
        Err(findings) => Checked { findings: findings.clone(), definition: None },
    });
    each.collect()
}

/// Shows all that was found on standard error, and fails if any of it keeps a definition from being taken.
pub fn report(checked: &[Checked]) -> Result<(), Failure> {
    checked.iter().for_each(|checked| anstream::eprint!("{}", escape_styled(&checked.findings.pretty())));
    match checked.iter().filter(|checked| checked.findings.errors() > 0).count() {
        0 => Ok(()),
        wrong => Err(anyhow!("{} not valid", super::output::counted(wrong as u64, "definition")).into()),
    }
}

/// The definition in one file. What is wrong with it is shown on standard error.
pub fn definition(path: &Path) -> anyhow::Result<Compiled> {
    shown(&catalog::read_definition(path)?)
}

/// The same for a source that has been read.
pub fn shown(source: &Source) -> anyhow::Result<Compiled> {
    compiled(source).map_err(|diagnostics| {
        anstream::eprint!("{}", escape_styled(&diagnostics.pretty()));
        anyhow!("{} is not a definition that runs", source.path.display())
    })
}

pub fn compiled(source: &Source) -> Result<Compiled, Diagnostics> {
    catalog::compile_with(&source.path.display().to_string(), &source.text, &source.files)
}
