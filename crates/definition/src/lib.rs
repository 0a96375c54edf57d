//! The compiler of definitions: YAML in, a valid definition or all its errors out.
//!
//! This crate owns the definition language: its keys and values (`decode`), the names that an expression may use
//! (`expression`), and the diagnostics (`diagnostic`). It is pure: text comes in, a [`Compiled`] definition or
//! [`Diagnostics`] come out. Only [`read_directory`] and [`read_definition`] touch files.
//!
//! ```text
//! text -> source (values with their places) -> decode (all errors at once) -> core::Definition
//! ```
//!
//! It must not depend on storage, on the broker, or on the state of running sagas.

mod bundle;
mod compiled;
mod decode;
pub mod diagnostic;
pub mod diff;
mod directory;
pub mod duration;
pub mod entry;
mod expression;
mod files;
mod identity;
pub mod language;
mod literal;
mod meaning;
mod schema;
pub mod source;
mod syntax;

pub use compiled::Only;
pub use compiled::{Compiled, InvalidInput, MAX_ATTRIBUTE_BYTES, MAX_KEY_BYTES};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, code, explanation, suggest};
pub use directory::{
    Error, Read, Source, is_scenarios, list_directory, read_definition, read_directory, read_directory_each,
};
pub use identity::Identity;
pub use source::MAX_SOURCE_BYTES;

use std::collections::BTreeMap;

use diagnostic::Problems;
use files::Files;

/// Compiles the definition in `source`, which refers to no files. `file` is its name in diagnostics.
pub fn compile(file: &str, source: &str) -> Result<Compiled, Diagnostics> {
    compile_with(file, source, &BTreeMap::new())
}

/// Compiles a definition with the files that its schemas may refer to, JSON or YAML, by their paths from the definitions'
/// directory. Those paths have forward slashes, and neither `.` nor `..` in them.
pub fn compile_with(
    file: &str,
    source: &str,
    files: &BTreeMap<String, String>,
) -> Result<Compiled, Diagnostics> {
    // The parser counts places from the end of a byte order mark.
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut problems = Problems::default();
    let Some(root) = source::parse(text, &mut problems) else {
        return Err(problems.into_diagnostics(file, shown(text)));
    };
    match decode::decode(text, &root, Files::new(files), problems) {
        Ok(decoded) => Ok(Compiled::new(file, source, &root, decoded)),
        Err(problems) => Err(problems.into_diagnostics(file, text)),
    }
}

/// The part of a source that diagnostics carry: all of it, or the start of its first line if it is too long.
fn shown(source: &str) -> &str {
    if source.len() <= MAX_SOURCE_BYTES {
        return source;
    }
    let line = source.lines().next().unwrap_or_default();
    line.char_indices().nth(80).map_or(line, |(end, _)| &line[..end])
}
