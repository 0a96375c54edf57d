//! Bringing definitions: what is wrong with one keeps it out, and one that is in stays what it is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::definitions::{Definitions, Error, audit_entry};
use crate::catalog::{self, Compiled, Diagnostics, Source};
use crate::check::{Checked, check};
use crate::proof::Bounds;
use crate::saga::Time;
use crate::saga::journal::By;
use crate::store::{self, Registered, StoredDefinition};

/// A file of definitions with what it was compiled to.
type Candidate<'a> = (&'a Source, Arc<Compiled>);

/// Most states that are tried of a definition while somebody waits for an answer.
const MOST_STATES: usize = 100_000;
/// The same, times its steps.
const MOST_WORK: usize = 2_000_000;

/// A definition that was taken.
#[derive(Debug)]
pub struct Registration {
    pub compiled: Arc<Compiled>,
    pub is_new: bool,
    /// Warnings: what it may not do as it was meant.
    pub findings: Diagnostics,
}

impl Definitions {
    /// Registers one source, which `file` is the name of and which refers to no others.
    pub async fn register(&self, file: &str, source: &str, now: Time) -> Result<Arc<Compiled>, Error> {
        Ok(self.register_with(file, source, &BTreeMap::new(), now, None).await?.compiled)
    }

    /// The same with the files that the source may refer to, and for somebody who asks for it. Those files that it does refer
    /// to are kept with it.
    pub async fn register_with(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
        now: Time,
        by: Option<&By>,
    ) -> Result<Registration, Error> {
        let (compiled, findings) = self.compile_and_check(file, source, files).await?;
        let is_new = self.put(file, &compiled, now, by).await?;
        Ok(Registration { compiled, is_new, findings })
    }

    /// What a source says, with what was found in it. A definition that is registered already is not checked again.
    pub(super) async fn compile_and_check(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(Arc<Compiled>, Diagnostics), Error> {
        let compiled = self.compile(file, source, files).await?;
        let findings = match self.is_here(&compiled) {
            true => Diagnostics { list: Vec::new(), ..compiled.findings.clone() },
            false => self.without_errors(&compiled, &[]).await?,
        };
        Ok((compiled, findings))
    }

    /// Whether this version is registered, with this source or another one.
    pub(super) fn has_version(&self, compiled: &Compiled) -> bool {
        self.known(&compiled.definition.name, Some(compiled.definition.version)).is_some()
    }

    /// Registers these, which may be parts of each other. What is wrong with one keeps only that one from being registered:
    /// [`Definitions::load_errors`] has the reasons.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the database does not answer. Those before are registered.
    pub async fn register_all(&self, sources: &[Source], now: Time) -> Result<(), Error> {
        self.clear_load_errors_in(&sources.iter().map(|source| source.path.display().to_string()).collect());
        let mut candidates: Vec<Candidate<'_>> = Vec::with_capacity(sources.len());
        for source in sources {
            let file = source.path.display().to_string();
            match self.compile(&file, &source.text, &source.files).await {
                Ok(compiled) => match self.conflicting(&compiled) {
                    Some(error) => self.add_source_error(source, &error),
                    None => candidates.push((source, compiled)),
                },
                Err(error) => self.add_source_error(source, &error),
            }
        }
        self.drop_erroneous(&mut candidates).await;
        for (source, compiled) in &candidates {
            match self.put(&compiled.findings.file, compiled, now, None).await {
                Ok(_) => {}
                Err(Error::Store(error @ store::Error::Unavailable(_))) => return Err(error.into()),
                Err(error) => self.add_source_error(source, &error),
            }
        }
        Ok(())
    }

    /// The error of a definition whose version is registered with another meaning.
    fn conflicting(&self, compiled: &Compiled) -> Option<Error> {
        let (name, version) = (&compiled.definition.name, compiled.definition.version);
        let registered = self.known(name, Some(version)).filter(|known| known.digest != compiled.digest)?;
        Some(Error::Changed {
            file: compiled.findings.file.clone(),
            name: name.to_string(),
            version,
            registered: registered.digest.clone(),
        })
    }

    /// Drops the candidates in which errors are found.
    async fn drop_erroneous(&self, candidates: &mut Vec<Candidate<'_>>) {
        let together: Vec<_> = candidates.iter().map(|(_, compiled)| Arc::clone(compiled)).collect();
        let mut dropped = HashSet::new();
        for (source, compiled) in candidates.iter().filter(|(_, compiled)| !self.is_here(compiled)) {
            match self.without_errors(compiled, &together).await {
                Ok(findings) if findings.warnings() > 0 => {
                    tracing::warn!("a definition may not do what is meant:\n{findings}");
                }
                Ok(_) => {}
                Err(error) => {
                    self.add_source_error(source, &error);
                    dropped.insert(Arc::as_ptr(compiled));
                }
            }
        }
        candidates.retain(|(_, compiled)| !dropped.contains(&Arc::as_ptr(compiled)));
    }

    /// Whether a definition would be taken, beside those that are here. What is found keeps it from nothing.
    pub async fn check(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(Arc<Compiled>, Diagnostics), Error> {
        let compiled = self.compile(file, source, files).await?;
        let findings = self.without_errors(&compiled, &[]).await?;
        Ok((compiled, findings))
    }

    /// What is found in a definition beside `others` and those that are here, if no error is.
    async fn without_errors(
        &self,
        compiled: &Arc<Compiled>,
        others: &[Arc<Compiled>],
    ) -> Result<Diagnostics, Error> {
        let findings = self.findings(compiled, others).await?;
        if findings.errors() > 0 { Err(Error::Invalid(findings)) } else { Ok(findings) }
    }

    /// Whether this very definition is here. Its sagas may be running, whatever would be found in it now.
    fn is_here(&self, compiled: &Compiled) -> bool {
        let known = self.known(&compiled.definition.name, Some(compiled.definition.version));
        known.is_some_and(|known| known.digest == compiled.digest)
    }

    async fn findings(
        &self,
        compiled: &Arc<Compiled>,
        others: &[Arc<Compiled>],
    ) -> Result<Diagnostics, Error> {
        let id = |compiled: &Compiled| (Arc::clone(&compiled.definition.name), compiled.definition.version);
        let own = id(compiled);
        let mut beside: Vec<Arc<Compiled>> =
            others.iter().filter(|other| !Arc::ptr_eq(other, compiled)).cloned().collect();
        let registered = self
            .all()
            .into_iter()
            .filter(|known| id(known) != own && !others.iter().any(|other| id(other) == id(known)));
        beside.extend(registered);
        let checked = Arc::clone(compiled);
        let bounds = Bounds { states: MOST_STATES, work: MOST_WORK, ..Bounds::default() };
        let Checked { findings, .. } =
            self.pools.checks.run(move || check(&checked, &beside, &bounds)).await?;
        Ok(findings)
    }

    async fn compile(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<Arc<Compiled>, Error> {
        let (file, source, files) = (file.to_owned(), source.to_owned(), files.clone());
        let compile = move || catalog::compile_with(&file, &source, &files);
        Ok(Arc::new(self.pools.checks.run(compile).await??))
    }

    /// Registers what was compiled before, unchecked. Whether it is new.
    pub async fn put(
        &self,
        file: &str,
        compiled: &Arc<Compiled>,
        now: Time,
        by: Option<&By>,
    ) -> Result<bool, Error> {
        let stored = StoredDefinition {
            name: compiled.definition.name.to_string(),
            version: compiled.definition.version,
            digest: compiled.digest.clone(),
            source: compiled.source.clone(),
            files: compiled.files.clone(),
            registered_at: now,
            active: true,
        };
        let audit = by.map(|by| {
            let after = json!({ "digest": stored.digest });
            audit_entry("register_definition", (&stored.name, stored.version), by, now, (Value::Null, after))
        });
        let is_new = match self.store.register(&stored, audit.as_ref()).await? {
            Registered::New => true,
            Registered::Same => false,
            Registered::Conflict { .. } if self.means_the_same(compiled).await? => false,
            Registered::Conflict { digest } => {
                return Err(Error::Changed {
                    file: file.to_owned(),
                    name: stored.name,
                    version: stored.version,
                    registered: digest,
                });
            }
        };
        self.insert(Arc::clone(compiled), is_new.then_some(true));
        self.clear_load_errors_of(compiled);
        Ok(is_new)
    }

    /// Whether the registered version means the same, although its digest differs: another release of this program may have
    /// computed it from something else.
    async fn means_the_same(&self, compiled: &Compiled) -> Result<bool, Error> {
        let definition = &compiled.definition;
        let Some(stored) = self.store.definition(&definition.name, definition.version).await? else {
            return Ok(false);
        };
        let registered = catalog::compile_with(&compiled.label(), &stored.source, &stored.files);
        Ok(registered.is_ok_and(|registered| registered.digest == compiled.digest))
    }
}
