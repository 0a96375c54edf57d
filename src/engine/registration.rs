//! Bringing definitions: what is wrong with one keeps it out, and one that is in stays what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::definitions::{Definitions, Error, audit_entry};
use crate::catalog::{self, Compiled, Diagnostics, Source};
use crate::check::{Checked, check};
use crate::proof::Bounds;
use crate::saga::Time;
use crate::saga::journal::By;
use crate::store::{Registered, StoredDefinition};

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
        let compiled = Arc::new(catalog::compile_with(file, source, files)?);
        let findings = match self.is_here(&compiled) {
            true => Diagnostics { list: Vec::new(), ..compiled.findings.clone() },
            false => self.without_errors(&compiled).await?,
        };
        Ok((compiled, findings))
    }

    /// Whether this version is registered, with this source or another one.
    pub(super) fn has_version(&self, compiled: &Compiled) -> bool {
        self.known(&compiled.definition.name, Some(compiled.definition.version)).is_some()
    }

    /// Registers these, which may be parts of each other, or none of them: what is wrong with any is told of all.
    pub async fn register_all(&self, sources: &[Source], now: Time) -> Result<(), Error> {
        let mut wrong = Vec::new();
        let mut all = Vec::with_capacity(sources.len());
        for source in sources {
            let file = source.path.display().to_string();
            match catalog::compile_with(&file, &source.text, &source.files) {
                Ok(compiled) => all.push((file, Arc::new(compiled))),
                Err(diagnostics) => wrong.push(diagnostics),
            }
        }
        let together: Vec<_> = all.iter().map(|(_, compiled)| Arc::clone(compiled)).collect();
        for compiled in together.iter().filter(|compiled| !self.is_here(compiled)) {
            let findings = self.findings(compiled, &together).await;
            if findings.errors() > 0 {
                wrong.push(findings);
            } else if findings.warnings() > 0 {
                tracing::warn!("a definition may not do what is meant:\n{findings}");
            }
        }
        if !wrong.is_empty() {
            return Err(Error::InvalidSet(wrong));
        }
        for (file, compiled) in &all {
            self.put(file, compiled, now, None).await?;
        }
        Ok(())
    }

    /// Whether a definition would be taken, beside those that are here. What is found keeps it from nothing.
    pub async fn check(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(Arc<Compiled>, Diagnostics), Error> {
        let compiled = Arc::new(catalog::compile_with(file, source, files)?);
        let findings = self.without_errors(&compiled).await?;
        Ok((compiled, findings))
    }

    async fn without_errors(&self, compiled: &Arc<Compiled>) -> Result<Diagnostics, Error> {
        let findings = self.findings(compiled, &[]).await;
        if findings.errors() > 0 { Err(Error::Invalid(findings)) } else { Ok(findings) }
    }

    /// Whether this very definition is here. Its sagas may be running, whatever would be found in it now.
    fn is_here(&self, compiled: &Compiled) -> bool {
        let known = self.known(&compiled.definition.name, Some(compiled.definition.version));
        known.is_some_and(|known| known.digest == compiled.digest)
    }

    /// What is found in a definition beside `others` and those that are here.
    async fn findings(&self, compiled: &Arc<Compiled>, others: &[Arc<Compiled>]) -> Diagnostics {
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
        // It computes for a while, and others want to go on.
        match tokio::task::spawn_blocking(move || check(&checked, &beside, &bounds)).await {
            Ok(Checked { findings, .. }) => findings,
            // What could not be checked is not taken: the mistake is the caller's to hear of, as if it had happened here.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Whether it is new.
    pub(super) async fn put(
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
        Ok(is_new)
    }
}
