//! Reading the definitions of a directory: the only IO of the catalog.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::source::MAX_SOURCE_BYTES;

/// Why a directory of definitions cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has {bytes} bytes; a definition has at most {MAX_SOURCE_BYTES}", path.display())]
    TooLong { path: PathBuf, bytes: u64 },
}

/// The definitions (`*.yaml` and `*.yml`) right in a directory, in the order of their names. Hidden files are passed
/// over; links are followed, because that is how Kubernetes mounts a `ConfigMap`.
pub fn read_directory(path: impl AsRef<Path>) -> Result<Vec<(PathBuf, String)>, Error> {
    let directory = path.as_ref();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let entries = fs::read_dir(directory).map_err(failed(directory))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed(directory))?;
    paths.retain(|path| is_definition(path));
    paths.sort();
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let metadata = fs::metadata(&path).map_err(failed(&path))?;
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > MAX_SOURCE_BYTES as u64 {
            return Err(Error::TooLong { path, bytes: metadata.len() });
        }
        let source = fs::read_to_string(&path).map_err(failed(&path))?;
        sources.push((path, source));
    }
    Ok(sources)
}

fn is_definition(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    yaml && !hidden
}
