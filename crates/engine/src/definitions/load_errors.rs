//! Definitions that this process could not load: each starts no sagas here, and has a reason. All others work.
//!
//! A definition is not loaded if its file cannot be read, compiled or registered, or if the file differs in meaning from the
//! registered version. The registered version is not affected: its sagas continue.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::PoisonError;

use crate::definitions::{Definitions, Error};
use snorri_definition::{self, Compiled, Identity, Source};

/// Why a definition starts no sagas in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Its file, or `name@version` if it is loaded from the database.
    pub file: String,
    /// As far as the file states it.
    pub identity: Identity,
    /// A stable code.
    pub code: &'static str,
    pub message: String,
}

impl LoadError {
    /// `order@1`, or the file if the identity is unknown.
    pub fn label(&self) -> String {
        match (&self.identity.name, self.identity.version) {
            (Some(name), Some(version)) => format!("{name}@{version}"),
            (Some(name), None) => name.clone(),
            (None, _) => self.file.clone(),
        }
    }

    fn is_of(&self, name: &str, version: Option<u32>) -> bool {
        self.identity.name.as_deref() == Some(name) && (version.is_none() || self.identity.version == version)
    }

    fn to_error(&self, name: &str) -> Error {
        Error::NotLoaded {
            name: name.to_owned(),
            version: self.identity.version,
            code: self.code,
            reason: self.message.clone(),
        }
    }
}

/// The load errors of a process, by file.
pub(crate) type LoadErrors = BTreeMap<String, LoadError>;

impl Definitions {
    /// The definitions that start no sagas in this process because they could not be loaded, by file.
    pub fn load_errors(&self) -> Vec<LoadError> {
        self.load_errors.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Why this version was not loaded, if that is the case.
    pub fn load_error_of(&self, name: &str, version: u32) -> Option<LoadError> {
        let errors = self.load_errors.read().unwrap_or_else(PoisonError::into_inner);
        errors.values().find(|error| error.is_of(name, Some(version))).cloned()
    }

    /// Records a load error, and logs it if it is new.
    pub(crate) fn add_load_error(&self, error: &LoadError) {
        let mut errors = self.load_errors.write().unwrap_or_else(PoisonError::into_inner);
        let before = errors.insert(error.file.clone(), error.clone());
        drop(errors);
        if before.as_ref() != Some(error) {
            tracing::error!(
                definition = error.label(),
                file = error.file,
                code = error.code,
                "a definition is not loaded and starts no sagas in this process: {}",
                error.message
            );
        }
    }

    /// Records that the file of a definition cannot be read.
    pub fn add_unreadable_file(&self, path: &Path, error: &snorri_definition::Error) {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let message = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        let error = Error::Unreadable(message);
        self.add_load_error(&LoadError {
            file: path.display().to_string(),
            identity: Identity::default(),
            code: error.code(),
            message: error.to_string(),
        });
    }

    /// Records why the definition of a file was not loaded.
    pub(crate) fn add_source_error(&self, source: &Source, error: &Error) {
        self.add_load_error(&LoadError {
            file: source.path.display().to_string(),
            identity: Identity::of(&source.text),
            code: error.code(),
            message: error.to_string(),
        });
    }

    /// Removes the load errors of a version that has been registered since.
    pub(crate) fn clear_load_errors_of(&self, compiled: &Compiled) {
        let (name, version) = (&compiled.definition.name, compiled.definition.version);
        let mut errors = self.load_errors.write().unwrap_or_else(PoisonError::into_inner);
        errors.retain(|_, error| !error.is_of(name, Some(version)));
    }

    /// Removes the load errors of these files.
    pub(crate) fn clear_load_errors_in(&self, files: &HashSet<String>) {
        let mut errors = self.load_errors.write().unwrap_or_else(PoisonError::into_inner);
        errors.retain(|file, _| !files.contains(file));
    }

    /// Whether sagas of a definition can be started as far as its file is concerned.
    pub(crate) fn check_loaded(&self, compiled: &Compiled) -> Result<(), Error> {
        let (name, version) = (&compiled.definition.name, compiled.definition.version);
        match self.load_error_of(name, version) {
            Some(error) => Err(error.to_error(name)),
            None => Ok(()),
        }
    }

    /// The error of a missing definition: it was not loaded, or it does not exist.
    pub(crate) fn missing(&self, name: &str, version: Option<u32>) -> Error {
        let errors = self.load_errors.read().unwrap_or_else(PoisonError::into_inner);
        match errors.values().find(|error| error.is_of(name, version)) {
            Some(error) => error.to_error(name),
            None => Error::NotFound { name: name.to_owned(), version },
        }
    }
}
