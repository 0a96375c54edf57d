//! A definition as people name it: by its file, or by its name among those in `sagas`.

use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::sources;
use crate::catalog::{self, Compiled, Source};

/// Where a definition is looked for that is given by its name.
const DIRECTORY: &str = "sagas";

/// Reads a definition that `snorri check` takes. Other definitions of its directory that cannot be read are left out.
pub fn definition(name: &str) -> Result<Arc<Compiled>, Failure> {
    let path = Path::new(name);
    if !path.exists() || path.is_dir() {
        return with_beside(name).map(|(wanted, _)| wanted);
    }
    let source = catalog::read_definition(path).map_err(|error| unreadable(error, ""))?;
    let wanted = Arc::new(sources::shown(&source)?);
    sources::refuse(&wanted, &sources::compiled_all(&sources::read_beside(path)))?;
    Ok(wanted)
}

/// Reads a definition that `snorri check` takes, and all others in its directory.
pub fn with_beside(name: &str) -> Result<(Arc<Compiled>, Vec<Arc<Compiled>>), Failure> {
    let (wanted, beside) = read_with_beside(name)?;
    sources::refuse(&wanted, &beside)?;
    Ok((wanted, beside))
}

fn read_with_beside(name: &str) -> Result<(Arc<Compiled>, Vec<Arc<Compiled>>), Failure> {
    let path = Path::new(name);
    let is_file = path.is_file();
    let directory = match path.parent().filter(|_| is_file) {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new(DIRECTORY),
    };
    if !directory.is_dir() {
        return Err(Failure::usage(format!(
            "cannot read {name}: there is no such file, and no directory `{DIRECTORY}` with a definition of that name"
        )));
    }
    let why = if is_file {
        format!("; {name} is read with all that stand beside it, which its child sagas may be of")
    } else {
        String::new()
    };
    let mut sources = catalog::read_directory(directory).map_err(|error| unreadable(error, &why))?;
    let mut wanted = None;
    if is_file {
        let own = sources.iter().position(|source| source.path.file_name() == path.file_name());
        let source = match own {
            Some(index) => sources.remove(index),
            None => catalog::read_definition(path).map_err(|error| unreadable(error, ""))?,
        };
        wanted = Some(Arc::new(sources::shown(&source)?));
    }
    let mut beside = Vec::new();
    // What is wrong with the others is not asked for here.
    for compiled in sources.iter().filter_map(|source| sources::compiled(source).ok()).map(Arc::new) {
        if !is_file && *compiled.definition.name == *name {
            beside.extend(wanted.replace(compiled));
        } else {
            beside.push(compiled);
        }
    }
    match wanted {
        Some(wanted) => Ok((wanted, beside)),
        None => Err(not_there(name, &sources, &beside)),
    }
}

fn unreadable(error: catalog::Error, why: &str) -> Failure {
    Failure::usage(format!("{:#}{why}", anyhow::Error::from(error)))
}

fn not_there(name: &str, sources: &[Source], there: &[Arc<Compiled>]) -> Failure {
    let is_called = |source: &&Source| source.path.file_stem().is_some_and(|stem| stem == name);
    if let Some(Err(error)) = sources.iter().find(is_called).map(sources::shown) {
        return error.into();
    }
    let mut names: Vec<_> = there.iter().map(|compiled| &*compiled.definition.name).collect();
    names.dedup();
    let meant = match catalog::suggest::nearest(name, names.iter().copied()) {
        Some(meant) => format!(": did you mean `{meant}`? In"),
        None => "; in".to_owned(),
    };
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Failure::usage(format!(
        "there is no file and no definition `{name}`{meant} {DIRECTORY} there are: {names}"
    ))
}
