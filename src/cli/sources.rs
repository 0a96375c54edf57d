//! Definitions in files, for all commands that read them: found, compiled, and held against each other.

use std::collections::BTreeSet;
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

/// The definitions that are asked for, and the others of their directories.
#[derive(Debug)]
pub struct Loaded {
    pub asked_for: Vec<Source>,
    /// Read so that what is asked for is held against them; what is wrong with them is not reported.
    pub beside: Vec<Source>,
}

/// Loads the definitions at these paths, which may be directories, and what stands in the directory of each file. Of the
/// latter, what cannot be read is left out.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<Loaded> {
    let mut asked_for = Vec::new();
    let mut beside: Vec<Source> = Vec::new();
    for path in paths.iter().filter(|path| !catalog::is_scenarios(path)) {
        if path.is_dir() {
            asked_for.extend(catalog::read_directory(path)?);
        } else {
            asked_for.push(catalog::read_definition(path)?);
            beside.extend(read_beside(path));
        }
    }
    let mut known: BTreeSet<_> = asked_for.iter().map(|source| real(&source.path)).collect();
    beside.retain(|source| known.insert(real(&source.path)));
    Ok(Loaded { asked_for, beside })
}

/// Reads the other definitions in the directory of a file, as far as they can be read.
pub fn read_beside(path: &Path) -> Vec<Source> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let paths = catalog::list_directory(parent.unwrap_or(Path::new("."))).unwrap_or_default();
    let others = paths.into_iter().filter(|other| real(other) != real(path) && other.is_file());
    others.filter_map(|other| catalog::read_definition(other).ok()).collect()
}

/// One name for a file, however its path is written.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The findings in each that is asked for, checked together with all the others.
pub fn checked(loaded: &Loaded, bounds: &Bounds) -> Vec<Checked> {
    let all: Vec<_> = loaded.asked_for.iter().map(|source| compiled(source).map(Arc::new)).collect();
    let others = compiled_all(&loaded.beside);
    let beside = |own: &Arc<Compiled>| -> Vec<_> {
        let asked_for = all.iter().flatten().filter(|other| !Arc::ptr_eq(other, own));
        asked_for.chain(&others).cloned().collect()
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

/// Refuses a definition that `snorri check` refuses, after it has shown why on standard error.
pub fn refuse(compiled: &Compiled, beside: &[Arc<Compiled>]) -> Result<(), Failure> {
    let findings = check(compiled, beside, &Bounds::default()).findings;
    if findings.errors() == 0 {
        return Ok(());
    }
    anstream::eprint!("{}", escape_styled(&findings.pretty()));
    Err(not_run(&findings.file).into())
}

/// Those of these sources that are definitions.
pub fn compiled_all(sources: &[Source]) -> Vec<Arc<Compiled>> {
    sources.iter().filter_map(|source| compiled(source).ok()).map(Arc::new).collect()
}

fn not_run(file: &str) -> anyhow::Error {
    anyhow!("{file} is not a definition that runs")
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
        not_run(&source.path.display().to_string())
    })
}

pub fn compiled(source: &Source) -> Result<Compiled, Diagnostics> {
    catalog::compile_with(&source.path.display().to_string(), &source.text, &source.files)
}
