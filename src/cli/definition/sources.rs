//! Finds, compiles and cross-checks definitions in files, for all commands that read them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use crate::cli::failure::Failure;
use snorri_core::text::escape_styled;
use snorri_definition::{Compiled, Diagnostics, Source};
use snorri_verify::check::check;
use snorri_verify::model_check::{Bounds, ModelCheck};

/// The result of the checks of one file.
#[derive(Debug)]
pub struct Checked {
    pub findings: Diagnostics,
    /// `None`: the file is not a definition.
    pub definition: Option<(Arc<Compiled>, ModelCheck)>,
}

/// The requested definitions, and the others of their directories.
#[derive(Debug)]
pub struct Loaded {
    pub asked_for: Vec<Source>,
    /// Used for cross-definition checks. Their own findings are not reported.
    pub neighbours: Vec<Source>,
}

/// Loads the definitions at these paths, which may be directories, and the other definitions in the directory of each file.
/// Unreadable files among the latter are ignored.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<Loaded> {
    let mut asked_for = Vec::new();
    let mut neighbours: Vec<Source> = Vec::new();
    for path in paths.iter().filter(|path| !snorri_definition::is_scenarios(path)) {
        if path.is_dir() {
            asked_for.extend(snorri_definition::read_directory(path)?);
        } else {
            asked_for.push(snorri_definition::read_definition(path)?);
            neighbours.extend(read_neighbours(path));
        }
    }
    let mut known: BTreeSet<_> = asked_for.iter().map(|source| real(&source.path)).collect();
    neighbours.retain(|source| known.insert(real(&source.path)));
    Ok(Loaded { asked_for, neighbours })
}

/// Reads the other definitions in the directory of a file. Unreadable ones are ignored.
pub fn read_neighbours(path: &Path) -> Vec<Source> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let paths = snorri_definition::list_directory(parent.unwrap_or(Path::new("."))).unwrap_or_default();
    let others = paths.into_iter().filter(|other| real(other) != real(path) && other.is_file());
    others.filter_map(|other| snorri_definition::read_definition(other).ok()).collect()
}

/// The canonical path of a file.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Checks each requested definition together with all others.
pub fn checked(loaded: &Loaded, bounds: &Bounds) -> Vec<Checked> {
    let all: Vec<_> = loaded.asked_for.iter().map(|source| compiled(source).map(Arc::new)).collect();
    let others = compiled_all(&loaded.neighbours);
    let neighbours = |own: &Arc<Compiled>| -> Vec<_> {
        let asked_for = all.iter().flatten().filter(|other| !Arc::ptr_eq(other, own));
        asked_for.chain(&others).cloned().collect()
    };
    let each = all.iter().map(|compiled| match compiled {
        Ok(compiled) => {
            let checked = check(compiled, &neighbours(compiled), bounds);
            let definition = Some((Arc::clone(compiled), checked.model_check));
            Checked { findings: checked.findings, definition }
        }
        Err(findings) => Checked { findings: findings.clone(), definition: None },
    });
    each.collect()
}

/// Fails if the checks find errors in a definition, and prints them to standard error.
pub fn refuse(compiled: &Compiled, neighbours: &[Arc<Compiled>]) -> Result<(), Failure> {
    let findings = check(compiled, neighbours, &Bounds::default()).findings;
    if findings.errors() == 0 {
        return Ok(());
    }
    anstream::eprint!("{}", escape_styled(&findings.pretty()));
    Err(not_run(&findings.file).into())
}

/// Compiles the sources, and ignores those with errors.
pub fn compiled_all(sources: &[Source]) -> Vec<Arc<Compiled>> {
    sources.iter().filter_map(|source| compiled(source).ok()).map(Arc::new).collect()
}

fn not_run(file: &str) -> anyhow::Error {
    anyhow!("{file} is not a valid definition")
}

/// Prints all findings to standard error, and fails if there are errors.
pub fn report(checked: &[Checked]) -> Result<(), Failure> {
    checked.iter().for_each(|checked| anstream::eprint!("{}", escape_styled(&checked.findings.pretty())));
    match checked.iter().filter(|checked| checked.findings.errors() > 0).count() {
        0 => Ok(()),
        wrong => Err(anyhow!("{} not valid", crate::cli::output::counted(wrong as u64, "definition")).into()),
    }
}

/// Reads and compiles the definition in a file. Prints its errors to standard error.
pub fn definition(path: &Path) -> anyhow::Result<Compiled> {
    shown(&snorri_definition::read_definition(path)?)
}

/// Compiles a source. Prints its errors to standard error.
pub fn shown(source: &Source) -> anyhow::Result<Compiled> {
    compiled(source).map_err(|diagnostics| {
        anstream::eprint!("{}", escape_styled(&diagnostics.pretty()));
        not_run(&source.path.display().to_string())
    })
}

pub fn compiled(source: &Source) -> Result<Compiled, Diagnostics> {
    snorri_definition::compile_with(&source.path.display().to_string(), &source.text, &source.files)
}
