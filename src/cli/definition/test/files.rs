//! Finds files of scenarios, and the definitions that they test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::definition::sources;
use crate::cli::failure::Failure;
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::code;
use snorri_verify::check::check;
use snorri_verify::model_check::Bounds;
use snorri_verify::scenario;

/// The loaded definitions, by their paths.
#[derive(Debug, Default)]
pub(super) struct LoadedDefinitions {
    known: BTreeMap<PathBuf, LoadedDefinition>,
    directories: Vec<PathBuf>,
}

#[derive(Debug)]
struct LoadedDefinition {
    compiled: Result<Arc<Compiled>, Diagnostics>,
    /// Whether the definition is requested, or only in the same directory.
    is_asked_for: bool,
    /// The findings of the checks, once they ran.
    findings: Option<Diagnostics>,
}

/// Finds the files of scenarios at these paths.
pub(super) fn find(paths: &[PathBuf], definitions: &mut LoadedDefinitions) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            definitions.read_directory(path)?;
            for (file, known) in &mut definitions.known {
                known.is_asked_for |= file.parent() == Some(path);
            }
            found.extend(in_directory(path)?);
        } else if snorri_definition::is_scenarios(path) {
            if !path.exists() {
                return Err(nothing_there(path));
            }
            found.push(path.clone());
        } else {
            let candidates = ["test.yaml", "test.yml"].map(|end| path.with_extension(end));
            let Some(scenarios) = candidates.into_iter().find(|path| path.is_file()) else {
                if !path.exists() {
                    return Err(nothing_there(path));
                }
                let (path, wanted) = (path.display(), path.with_extension("test.yaml"));
                return Err(Failure::usage(format!("{path} has no scenarios: create {}", wanted.display())));
            };
            found.push(scenarios);
        }
    }
    if found.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::usage(format!(
            "there are no scenarios in {}: those of order.yaml belong in order.test.yaml next to it",
            paths.join(", ")
        )));
    }
    // `sagas/*.yaml` matches a definition and its scenarios.
    found.sort();
    found.dedup();
    Ok(found)
}

fn nothing_there(path: &Path) -> Failure {
    let help = match path == Path::new("sagas") {
        true => "run the command in its parent directory, or name the directory of your definitions",
        false => "name a directory, a definition or a file of scenarios",
    };
    Failure::usage(format!("there is no {}: {help}", path.display()))
}

fn in_directory(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| unreadable(directory, &error))?;
    paths.retain(|path| snorri_definition::is_scenarios(path) && path.is_file());
    paths.sort();
    Ok(paths)
}

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

impl LoadedDefinitions {
    /// Loads all definitions of a directory, because they are checked together.
    fn read_directory(&mut self, directory: &Path) -> Result<(), Failure> {
        if self.directories.iter().any(|read| read == directory) {
            return Ok(());
        }
        let sources = snorri_definition::read_directory(directory);
        let failure = |error| Failure::usage(format!("{:#}", anyhow::Error::from(error)));
        for source in sources.map_err(failure)? {
            let compiled = sources::compiled(&source).map(Arc::new);
            let known = LoadedDefinition { compiled, is_asked_for: false, findings: None };
            self.known.entry(source.path).or_insert(known);
        }
        self.directories.push(directory.to_owned());
        Ok(())
    }

    /// The definition that the scenarios in `source`, the file `path`, test; or the errors, unless they were reported
    /// before.
    pub(super) fn definition_of(
        &mut self,
        path: &Path,
        source: &str,
    ) -> Result<Result<Arc<Compiled>, Option<Diagnostics>>, Failure> {
        let named = scenario::definition_of(source);
        let directory = path.parent().unwrap_or(Path::new(""));
        let candidates = match &named {
            Some((file, _)) => vec![directory.join(file)],
            None => default_paths(path),
        };
        let Some(wanted) = candidates.iter().find(|candidate| candidate.is_file()) else {
            return Ok(Err(Some(missing(path, source, named, &candidates))));
        };
        let home = wanted.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.read_directory(home)?;
        let key = home.join(wanted.file_name().unwrap_or_default());
        let Some(known) = self.known.get_mut(&key) else {
            return Ok(Err(Some(missing(path, source, named, &candidates))));
        };
        known.is_asked_for = true;
        let Ok(compiled) = &known.compiled else { return Ok(Err(None)) };
        let compiled = Arc::clone(compiled);
        let errors = match &known.findings {
            Some(findings) => findings.errors(),
            None => self.check(&key, &compiled),
        };
        Ok(if errors == 0 { Ok(compiled) } else { Err(None) })
    }

    /// Checks a definition and stores the findings. Returns the number of errors.
    fn check(&mut self, key: &Path, compiled: &Compiled) -> usize {
        let others = self.known.iter().filter(|(path, _)| *path != key && path.parent() == key.parent());
        let compiled_others = others.filter_map(|(_, known)| known.compiled.as_ref().ok().cloned());
        let neighbours: Vec<_> = compiled_others.collect();
        // With the bounds of `snorri check`, so that both find the same errors.
        let findings = check(compiled, &neighbours, &Bounds::default()).findings;
        let errors = findings.errors();
        if let Some(known) = self.known.get_mut(key) {
            known.findings = Some(findings);
        }
        errors
    }

    /// The requested definitions without syntax errors.
    pub(super) fn asked_for(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        self.known
            .values()
            .filter(|known| known.is_asked_for)
            .filter_map(|known| known.compiled.as_ref().ok())
    }

    /// The errors of the requested definitions.
    pub(super) fn into_broken(self) -> impl Iterator<Item = Diagnostics> {
        let asked_for = self.known.into_values().filter(|known| known.is_asked_for);
        asked_for.filter_map(|known| match known.compiled {
            Err(diagnostics) => Some(diagnostics),
            Ok(_) => known.findings.filter(|findings| findings.errors() > 0),
        })
    }
}

/// The default paths of the definition of a file of scenarios.
fn default_paths(path: &Path) -> Vec<PathBuf> {
    let stem = path.with_extension("").with_extension("");
    ["yaml", "yml"].map(|extension| stem.with_extension(extension)).to_vec()
}

fn missing(
    path: &Path,
    source: &str,
    named: Option<(String, std::ops::Range<usize>)>,
    candidates: &[PathBuf],
) -> Diagnostics {
    let wanted = candidates.first().map(|path| path.display().to_string()).unwrap_or_default();
    let message = format!("there is no definition `{wanted}`");
    let diagnostic = match named {
        Some((_, span)) => Diagnostic::new(code::SCENARIO_DEFINITION, span, message)
            .label("no such file")
            .help("write the path relative to this file"),
        None => Diagnostic::new(code::SCENARIO_DEFINITION, 0..0, message)
            .help("name the file like its definition, or add `definition: other.yaml` to it"),
    };
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut diagnostics = Diagnostics::none(&path.display().to_string(), source);
    diagnostics.extend([diagnostic]);
    diagnostics
}
