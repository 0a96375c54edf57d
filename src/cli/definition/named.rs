//! Finds a definition by its file, or by its name in `sagas`.

use std::path::Path;
use std::sync::Arc;

use crate::cli::definition::sources;
use crate::cli::failure::Failure;
use snorri_definition::{Compiled, Source};

/// The directory of definitions that are given by name.
const DIRECTORY: &str = "sagas";

/// Reads a definition without errors. Unreadable definitions of its directory are ignored.
pub fn definition(name: &str) -> Result<Arc<Compiled>, Failure> {
    let path = Path::new(name);
    if !path.exists() || path.is_dir() {
        return with_neighbours(name).map(|(wanted, _)| wanted);
    }
    let source = snorri_definition::read_definition(path).map_err(|error| unreadable(error, ""))?;
    let wanted = Arc::new(sources::shown(&source)?);
    sources::refuse(&wanted, &sources::compiled_all(&sources::read_neighbours(path)))?;
    Ok(wanted)
}

/// Reads a definition without errors, and all others of its directory.
pub fn with_neighbours(name: &str) -> Result<(Arc<Compiled>, Vec<Arc<Compiled>>), Failure> {
    let (wanted, neighbours) = read_with_neighbours(name)?;
    sources::refuse(&wanted, &neighbours)?;
    Ok((wanted, neighbours))
}

fn read_with_neighbours(name: &str) -> Result<(Arc<Compiled>, Vec<Arc<Compiled>>), Failure> {
    let path = Path::new(name);
    let is_file = path.is_file();
    let directory = match path.parent().filter(|_| is_file) {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new(DIRECTORY),
    };
    if !directory.is_dir() {
        return Err(Failure::usage(format!(
            "cannot read {name}: there is no such file, and no directory `{DIRECTORY}` with such a definition"
        )));
    }
    let why = if is_file {
        format!("; {name} is read with the other definitions of its directory, for its child sagas")
    } else {
        String::new()
    };
    let mut sources =
        snorri_definition::read_directory(directory).map_err(|error| unreadable(error, &why))?;
    let mut wanted = None;
    if is_file {
        let own = sources.iter().position(|source| source.path.file_name() == path.file_name());
        let source = match own {
            Some(index) => sources.remove(index),
            None => snorri_definition::read_definition(path).map_err(|error| unreadable(error, ""))?,
        };
        wanted = Some(Arc::new(sources::shown(&source)?));
    }
    let mut neighbours = Vec::new();
    // Errors in the others are not reported here.
    for compiled in sources.iter().filter_map(|source| sources::compiled(source).ok()).map(Arc::new) {
        if !is_file && *compiled.definition.name == *name {
            neighbours.extend(wanted.replace(compiled));
        } else {
            neighbours.push(compiled);
        }
    }
    match wanted {
        Some(wanted) => Ok((wanted, neighbours)),
        None => Err(not_there(name, &sources, &neighbours)),
    }
}

fn unreadable(error: snorri_definition::Error, why: &str) -> Failure {
    Failure::usage(format!("{:#}{why}", anyhow::Error::from(error)))
}

fn not_there(name: &str, sources: &[Source], there: &[Arc<Compiled>]) -> Failure {
    let is_called = |source: &&Source| source.path.file_stem().is_some_and(|stem| stem == name);
    if let Some(Err(error)) = sources.iter().find(is_called).map(sources::shown) {
        return error.into();
    }
    let mut names: Vec<_> = there.iter().map(|compiled| &*compiled.definition.name).collect();
    names.dedup();
    let suggestion = match snorri_definition::diagnostic::suggest::nearest(name, names.iter().copied()) {
        Some(near) => format!(": did you mean `{near}`? In"),
        None => "; in".to_owned(),
    };
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Failure::usage(format!(
        "there is no file and no definition `{name}`{suggestion} {DIRECTORY} there are: {names}"
    ))
}
