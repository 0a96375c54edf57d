//! The definitions that can run: compiled, in memory, and backed by the store.
//!
//! A definition is registered once and never changes. A saga keeps its version for life, so whatever the store has can
//! be compiled again at any time, also when its file is gone or another process registered it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::broker::topology::{self, Names};
use crate::broker::{self, Broker};
use crate::catalog::{self, Compiled, Diagnostics};
use crate::saga::Time;
use crate::store::{self, Registered, Store, StoredDefinition};

/// Compiled definitions by name and version.
#[derive(Debug)]
pub struct Definitions {
    store: Arc<dyn Store>,
    by_name: RwLock<HashMap<String, Versions>>,
}

type Versions = HashMap<u32, Arc<Compiled>>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
    #[error(
        "{file}: version {version} of `{name}` is registered already, with another source (digest {registered}). \
         A registered version never changes, because sagas may be running it: give the file a new version, or put \
         the registered source back"
    )]
    Changed { file: String, name: String, version: u32, registered: String },
    #[error("there is no definition `{name}`{}", version.map(|version| format!(" of version {version}")).unwrap_or_default())]
    NotFound { name: String, version: Option<u32> },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Definitions {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, by_name: RwLock::default() }
    }

    /// Compiles and registers one source, which `file` is the name of and which refers to no others.
    pub async fn register(&self, file: &str, source: &str, now: Time) -> Result<Arc<Compiled>, Error> {
        self.register_with(file, source, &BTreeMap::new(), now).await
    }

    /// The same with the files that the source may refer to. Those that it does refer to are kept with it.
    pub async fn register_with(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
        now: Time,
    ) -> Result<Arc<Compiled>, Error> {
        let compiled = catalog::compile_with(file, source, files)?;
        let stored = StoredDefinition {
            name: compiled.definition.name.to_string(),
            version: compiled.definition.version,
            digest: compiled.digest.clone(),
            source: source.to_owned(),
            files: compiled.files.clone(),
            registered_at: now,
            active: true,
        };
        match self.store.register(&stored, None).await? {
            Registered::New | Registered::Same => Ok(self.remember(compiled)),
            Registered::Conflict { digest } => Err(Error::Changed {
                file: file.to_owned(),
                name: stored.name,
                version: stored.version,
                registered: digest,
            }),
        }
    }

    /// Compiles everything that the store has and that is not here yet.
    pub async fn load(&self) -> Result<(), Error> {
        for stored in self.store.definitions().await? {
            if self.known(&stored.name, Some(stored.version)).is_none() {
                self.compile_stored(&stored)?;
            }
        }
        Ok(())
    }

    /// Declares all exchanges that the definitions name, and binds the events that they listen for.
    pub async fn declare(&self, broker: &dyn Broker, names: &Names) -> Result<(), broker::Error> {
        let all = self.all();
        let definitions = all.iter().map(|compiled| &*compiled.definition);
        broker.declare(&topology::topology_of(names, definitions)).await
    }

    /// This version of a definition, or the latest one.
    pub async fn find(&self, name: &str, version: Option<u32>) -> Result<Arc<Compiled>, Error> {
        if let Some(compiled) = self.known(name, version) {
            return Ok(compiled);
        }
        let not_found = || Error::NotFound { name: name.to_owned(), version };
        let version = version.ok_or_else(not_found)?;
        let stored = self.store.definition(name, version).await?.ok_or_else(not_found)?;
        self.compile_stored(&stored)
    }

    /// The version of a definition that is in memory already.
    pub fn known(&self, name: &str, version: Option<u32>) -> Option<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let versions = by_name.get(name)?;
        let version = version.or_else(|| versions.keys().max().copied())?;
        versions.get(&version).cloned()
    }

    /// All of them, by name and version.
    pub fn all(&self) -> Vec<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = by_name.values().flat_map(|versions| versions.values().cloned()).collect();
        all.sort_by(|a, b| {
            let key =
                |compiled: &Compiled| (Arc::clone(&compiled.definition.name), compiled.definition.version);
            key(a).cmp(&key(b))
        });
        all
    }

    /// The latest version of each, by name.
    pub fn latest(&self) -> Vec<Arc<Compiled>> {
        let mut latest: Vec<Arc<Compiled>> = Vec::new();
        for compiled in self.all() {
            match latest.last_mut() {
                Some(last) if last.definition.name == compiled.definition.name => *last = compiled,
                _ => latest.push(compiled),
            }
        }
        latest
    }

    fn compile_stored(&self, stored: &StoredDefinition) -> Result<Arc<Compiled>, Error> {
        let file = format!("{}@{}", stored.name, stored.version);
        Ok(self.remember(catalog::compile_with(&file, &stored.source, &stored.files)?))
    }

    fn remember(&self, compiled: Compiled) -> Arc<Compiled> {
        let compiled = Arc::new(compiled);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name
            .entry(compiled.definition.name.to_string())
            .or_default()
            .insert(compiled.definition.version, Arc::clone(&compiled));
        compiled
    }
}
