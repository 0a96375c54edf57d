//! Reads the definitions of a directory: the only IO of this crate.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;
use crate::source::MAX_SOURCE_BYTES;

/// Why a directory of definitions cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has {bytes} bytes; a definition has at most {MAX_SOURCE_BYTES}", path.display())]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{} leads out of the directory of the definitions", path.display())]
    Outside { path: PathBuf },
}

/// The text of a definition and of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
    /// The files that it may refer to, by their paths from the directory.
    pub files: BTreeMap<String, String>,
}

/// The path of a definition, and what was read from it.
pub type Read = (PathBuf, Result<Source, Error>);

/// Reads the definitions (`*.yaml` and `*.yml`) directly in a directory, in the order of their names, with the files that they
/// refer to. Skips hidden files and scenarios (`*.test.yaml`). Follows links, because Kubernetes mounts a `ConfigMap` with
/// links, but refuses a referenced file that is a link out of the directory.
pub fn read_directory(path: impl AsRef<Path>) -> Result<Vec<Source>, Error> {
    read_directory_each(path)?.into_iter().map(|(_, source)| source).collect()
}

/// Reads the definitions of a directory, with an error for each that cannot be read.
///
/// # Errors
///
/// [`Error::Read`] if the directory itself cannot be read.
pub fn read_directory_each(path: impl AsRef<Path>) -> Result<Vec<Read>, Error> {
    let directory = path.as_ref();
    let read = |path: PathBuf| {
        let source = read_in(directory, &path).transpose()?;
        Some((path, source))
    };
    Ok(list_directory(directory)?.into_iter().filter_map(read).collect())
}

/// Reads the definition at `path`. `None` if it is not a file.
fn read_in(directory: &Path, path: &Path) -> Result<Option<Source>, Error> {
    if !fs::metadata(path).map_err(failed(path))?.is_file() {
        return Ok(None);
    }
    let text = read(path)?;
    let files = read_files(directory, &text)?;
    Ok(Some(Source { path: path.to_owned(), text, files }))
}

/// Lists the paths that [`read_directory`] reads, in the order of their names.
pub fn list_directory(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).map_err(failed(directory))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(failed(directory))?;
    paths.retain(|path| is_definition(path));
    paths.sort();
    Ok(paths)
}

/// Reads the definition at `path`, with the files in its directory that it refers to.
pub fn read_definition(path: impl AsRef<Path>) -> Result<Source, Error> {
    let path = path.as_ref();
    let text = read(path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let files = read_files(directory.unwrap_or(Path::new(".")), &text)?;
    Ok(Source { path: path.to_owned(), text, files })
}

/// Reads the files that a definition refers to, and those that they refer to. Skips missing files: the compiler reports them
/// at the place of the reference.
fn read_files(directory: &Path, definition: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut found = BTreeMap::new();
    let mut todo = files::wanted("", definition);
    if todo.is_empty() {
        return Ok(found);
    }
    let root = fs::canonicalize(directory).map_err(failed(directory))?;
    while let Some(name) = todo.pop() {
        let path = directory.join(&name);
        let Ok(real) = fs::canonicalize(&path) else { continue };
        if found.contains_key(&name) || !real.is_file() {
            continue;
        }
        if !real.starts_with(&root) {
            return Err(Error::Outside { path });
        }
        let text = read(&path)?;
        todo.extend(files::wanted(&name, &text));
        found.insert(name, text);
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, Error> {
    let bytes = fs::metadata(path).map_err(failed(path))?.len();
    if bytes > MAX_SOURCE_BYTES as u64 {
        return Err(Error::TooLong { path: path.to_owned(), bytes });
    }
    fs::read_to_string(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Read { path, source }
}

fn is_definition(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    yaml && !hidden && !is_scenarios(path)
}

/// Whether this is the name of a scenario file, which lies next to its definition: `order.test.yaml`.
pub fn is_scenarios(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}
