//! Registers definitions. A definition with errors is rejected; a registered version is immutable.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::definitions::{Definitions, Error, audit_entry};
use snorri_core::Time;
use snorri_core::journal::By;
use snorri_definition::{self, Compiled, Diagnostics, Source};
use snorri_ports::store::{self, Registered, StoredDefinition};
use snorri_verify::check::{Checked, check};
use snorri_verify::model_check::Bounds;

/// A source file and its compiled definition.
type Candidate<'a> = (&'a Source, Arc<Compiled>);

/// Most states that are explored of a definition while a caller waits for an answer.
const MOST_STATES: usize = 100_000;
/// The same, times its steps.
const MOST_WORK: usize = 2_000_000;

/// A registered definition.
#[derive(Debug)]
pub struct Registration {
    pub compiled: Arc<Compiled>,
    pub is_new: bool,
    /// Warnings: what it may not do as intended.
    pub findings: Diagnostics,
}

impl Definitions {
    /// Registers one source with the name `file`, which refers to no other files.
    pub async fn register(&self, file: &str, source: &str, now: Time) -> Result<Arc<Compiled>, Error> {
        Ok(self.register_with(file, source, &BTreeMap::new(), now, None).await?.compiled)
    }

    /// Registers a source with the files that it may refer to, on request of an operator. Those that it does refer to are kept
    /// with it.
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

    /// Compiles and checks a source. A definition that is registered already is not checked again.
    pub(crate) async fn compile_and_check(
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
    pub(crate) fn has_version(&self, compiled: &Compiled) -> bool {
        self.known(&compiled.definition.name, Some(compiled.definition.version)).is_some()
    }

    /// Registers these definitions, which may be parts of each other. An error rejects only its own definition:
    /// [`Definitions::load_errors`] has the reasons.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the database does not answer. The definitions before that are registered.
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

    /// Drops the candidates that have errors.
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

    /// Checks a definition against those that are registered. Findings have no further effect.
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

    /// Checks a definition against `others` and those that are registered. Fails if there are errors.
    async fn without_errors(
        &self,
        compiled: &Arc<Compiled>,
        others: &[Arc<Compiled>],
    ) -> Result<Diagnostics, Error> {
        let findings = self.findings(compiled, others).await?;
        if findings.errors() > 0 { Err(Error::Invalid(findings)) } else { Ok(findings) }
    }

    /// Whether this very definition is registered. Its sagas may be running, whatever a check would find now.
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
        let mut siblings: Vec<Arc<Compiled>> =
            others.iter().filter(|other| !Arc::ptr_eq(other, compiled)).cloned().collect();
        let registered = self
            .all()
            .into_iter()
            .filter(|known| id(known) != own && !others.iter().any(|other| id(other) == id(known)));
        siblings.extend(registered);
        let checked = Arc::clone(compiled);
        let bounds = Bounds { states: MOST_STATES, work: MOST_WORK, ..Bounds::default() };
        let Checked { findings, .. } =
            self.pools.checks.run(move || check(&checked, &siblings, &bounds)).await?;
        Ok(findings)
    }

    async fn compile(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<Arc<Compiled>, Error> {
        let (file, source, files) = (file.to_owned(), source.to_owned(), files.clone());
        let compile = move || snorri_definition::compile_with(&file, &source, &files);
        Ok(Arc::new(self.pools.checks.run(compile).await??))
    }

    /// Registers a compiled definition without a check. Returns whether it is new.
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

    /// Whether the registered version has the same meaning, although its digest differs: another release of this program may
    /// have computed it differently.
    async fn means_the_same(&self, compiled: &Compiled) -> Result<bool, Error> {
        let definition = &compiled.definition;
        let Some(stored) = self.store.definition(&definition.name, definition.version).await? else {
            return Ok(false);
        };
        let registered = snorri_definition::compile_with(&compiled.label(), &stored.source, &stored.files);
        Ok(registered.is_ok_and(|registered| registered.digest == compiled.digest))
    }
}
