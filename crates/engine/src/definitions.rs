//! The definitions that can run: compiled, in memory, and backed by the store.
//!
//! A registered version is immutable, except that an operator can deactivate it for new sagas. Every stored definition can be
//! compiled again at any time, also when its file is gone or another process registered it.

pub mod admission;
pub(crate) mod computing;
pub mod exchanges;
pub mod load_errors;
pub mod registration;
pub mod reload;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use crate::definitions::computing::Pools;
use crate::definitions::exchanges::Exchanges;
use crate::definitions::load_errors::{LoadError, LoadErrors};
use crate::definitions::reload::Reload;
use snorri_core::Time;
use snorri_core::journal::By;
use snorri_core::text;
use snorri_definition::{self, Compiled, Diagnostics, Identity};
use snorri_ports::store::{self, AuditEntry, Store, StoredDefinition};

/// Compiled definitions by name and version.
#[derive(Debug)]
pub struct Definitions {
    pub(super) store: Arc<dyn Store>,
    by_name: RwLock<HashMap<String, Versions>>,
    pub(super) load_errors: RwLock<LoadErrors>,
    pub(super) pools: Pools,
    last_reload: Mutex<Option<Reload>>,
    /// Notifies that a reload has loaded definitions.
    loaded: Notify,
}

type Versions = HashMap<u32, CachedDefinition>;

#[derive(Debug, Clone)]
struct CachedDefinition {
    compiled: Arc<Compiled>,
    /// Whether new sagas may be started in it.
    is_active: bool,
    exchanges: Exchanges,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
    #[error(
        "{file}: version {version} of `{name}` is registered already, with another meaning (digest {registered}). \
         A registered version never changes, because sagas may be running it: give the file a new version, or put \
         the registered source back"
    )]
    Changed { file: String, name: String, version: u32, registered: String },
    /// The file of the definition cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// The check of the definition panicked: a fault of this program.
    #[error("the check of the definition failed: {0}. Report this, with the definition")]
    CheckFailed(String),
    /// The limit of definitions that are being compiled or checked is reached.
    #[error("too many definitions are being compiled and checked: try again in some seconds")]
    Busy,
    /// The definition is not loaded in this process. `code` has the reason.
    #[error(
        "no saga of `{name}`{} can be started by this process, because its definition could not be loaded: {reason}",
        version.map(|version| format!(" of version {version}")).unwrap_or_default()
    )]
    NotLoaded { name: String, version: Option<u32>, code: &'static str, reason: String },
    #[error("there is no definition `{}`{}", text::escape(name), version.map(|version| format!(" of version {version}")).unwrap_or_default())]
    NotFound { name: String, version: Option<u32> },
    #[error("`{name}`{} is deactivated: no new saga is started in it", version.map(|version| format!(" of version {version}")).unwrap_or_default())]
    Inactive { name: String, version: Option<u32> },
    /// Its commands or events would not arrive as they should.
    #[error(
        "no saga of `{name}` of version {version} can be started, because an exchange cannot be used: {reason}. It is checked \
         again every minute, and after a reconnection to the broker"
    )]
    UnusableExchange { name: String, version: u32, reason: String },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_definition",
            Self::Changed { .. } => "definition_changed",
            Self::Unreadable(_) => "definition_unreadable",
            Self::CheckFailed(_) => "definition_check_failed",
            Self::Busy => "too_busy",
            Self::NotLoaded { code, .. } => code,
            Self::NotFound { .. } => "definition_not_found",
            Self::Inactive { .. } => "definition_inactive",
            Self::Store(store::Error::Invalid(_)) => "invalid_value",
            Self::UnusableExchange { .. } => "exchange_unusable",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<computing::Error> for Error {
    fn from(error: computing::Error) -> Self {
        match error {
            computing::Error::Busy => Self::Busy,
            computing::Error::Panicked(why) => Self::CheckFailed(why),
        }
    }
}

impl Definitions {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            by_name: RwLock::default(),
            load_errors: RwLock::default(),
            pools: Pools::default(),
            last_reload: Mutex::default(),
            loaded: Notify::new(),
        }
    }

    /// Activates or deactivates a version for new sagas. `false`: there was no change.
    pub async fn set_active(
        &self,
        name: &str,
        version: u32,
        active: bool,
        by: &By,
        now: Time,
    ) -> Result<bool, Error> {
        let compiled = self.find(name, Some(version)).await?;
        let action = if active { "activate_definition" } else { "deactivate_definition" };
        let state = |active: bool| json!({ "active": active });
        let audit = audit_entry(action, (name, version), by, now, (state(!active), state(active)));
        let changed = self.store.set_active(name, version, active, &audit).await?;
        self.insert(compiled, Some(active));
        Ok(changed)
    }

    /// Loads the store's definitions: compiles new ones, one by one, so that a definition that cannot be compiled here does not
    /// affect the others. Returns whether any was new.
    pub async fn load(&self) -> Result<bool, Error> {
        let mut any_new = false;
        for stored in self.store.definitions().await? {
            match self.known(&stored.name, Some(stored.version)) {
                Some(compiled) => {
                    self.insert(compiled, Some(stored.active));
                }
                None => match self.compile_stored(stored.clone()).await {
                    Ok(_) => any_new = true,
                    Err(error) => self.add_load_error(&LoadError {
                        file: format!("{}@{}", stored.name, stored.version),
                        identity: Identity { name: Some(stored.name), version: Some(stored.version) },
                        code: error.code(),
                        message: format!("the registered definition is not understood: {error}"),
                    }),
                },
            }
        }
        Ok(any_new)
    }

    /// The version in which a new saga is started: this one, or the latest, if it is active and its exchanges can be used.
    pub async fn find_to_start(&self, name: &str, version: Option<u32>) -> Result<Arc<Compiled>, Error> {
        let Some(requested) = version else {
            if let Some(latest) = self.latest_of(name) {
                self.check_loaded(&latest)?;
                self.check_usable(&latest)?;
                return Ok(latest);
            }
            return Err(match self.known(name, None) {
                Some(_) => Error::Inactive { name: name.to_owned(), version },
                None => self.missing(name, version),
            });
        };
        let compiled = match self.find(name, version).await {
            Err(Error::NotFound { .. } | Error::Invalid(_)) => return Err(self.missing(name, version)),
            found => found?,
        };
        if !self.is_active(name, requested) {
            return Err(Error::Inactive { name: name.to_owned(), version });
        }
        self.check_loaded(&compiled)?;
        self.check_usable(&compiled)?;
        Ok(compiled)
    }

    /// Finds this version of a definition, or the latest one.
    pub async fn find(&self, name: &str, version: Option<u32>) -> Result<Arc<Compiled>, Error> {
        if let Some(compiled) = self.known(name, version) {
            return Ok(compiled);
        }
        let not_found = || Error::NotFound { name: name.to_owned(), version };
        // No definition has such a name, and PostgreSQL does not accept a NUL in a query.
        let version = version.filter(|_| text::find_invisible(name).is_none()).ok_or_else(not_found)?;
        let stored = self.store.definition(name, version).await?.ok_or_else(not_found)?;
        self.compile_stored(stored).await
    }

    /// Returns a version that is in memory already.
    pub fn known(&self, name: &str, version: Option<u32>) -> Option<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let versions = by_name.get(name)?;
        let version = version.or_else(|| versions.keys().max().copied())?;
        versions.get(&version).map(|known| Arc::clone(&known.compiled))
    }

    /// Whether new sagas may be started in a version.
    pub fn is_active(&self, name: &str, version: u32) -> bool {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).and_then(|versions| versions.get(&version)).is_some_and(|known| known.is_active)
    }

    /// The latest active version of a definition.
    pub fn latest_of(&self, name: &str) -> Option<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let active = by_name.get(name)?.iter().filter(|(_, known)| known.is_active);
        active.max_by_key(|(version, _)| **version).map(|(_, known)| Arc::clone(&known.compiled))
    }

    /// The state of the exchanges of a version.
    pub fn exchanges(&self, name: &str, version: u32) -> Exchanges {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let known = by_name.get(name).and_then(|versions| versions.get(&version));
        known.map(|known| known.exchanges.clone()).unwrap_or_default()
    }

    /// Sets the state of the exchanges, and returns the state before.
    pub(super) fn replace_exchanges(&self, name: &str, version: u32, exchanges: Exchanges) -> Exchanges {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let known = by_name.get_mut(name).and_then(|versions| versions.get_mut(&version));
        known.map(|known| std::mem::replace(&mut known.exchanges, exchanges)).unwrap_or_default()
    }

    /// The versions whose exchanges are in a state that is `wanted`, by name and version.
    pub(super) fn with_exchanges(&self, wanted: impl Fn(&Exchanges) -> bool) -> Vec<Arc<Compiled>> {
        self.filtered(|known| wanted(&known.exchanges))
    }

    /// All versions, by name and version.
    pub fn all(&self) -> Vec<Arc<Compiled>> {
        self.filtered(|_| true)
    }

    /// All versions in which new sagas may be started, by name and version.
    pub fn all_active(&self) -> Vec<Arc<Compiled>> {
        self.filtered(|known| known.is_active)
    }

    fn filtered(&self, wanted: impl Fn(&CachedDefinition) -> bool) -> Vec<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = by_name.values().flat_map(HashMap::values).filter(|known| wanted(known));
        let mut all: Vec<_> = wanted.map(|known| Arc::clone(&known.compiled)).collect();
        all.sort_by(|a, b| {
            let key =
                |compiled: &Compiled| (Arc::clone(&compiled.definition.name), compiled.definition.version);
            key(a).cmp(&key(b))
        });
        all
    }

    /// The latest active version of each, by name.
    pub fn latest(&self) -> Vec<Arc<Compiled>> {
        let mut latest: Vec<Arc<Compiled>> = Vec::new();
        for compiled in self.all_active() {
            match latest.last_mut() {
                Some(last) if last.definition.name == compiled.definition.name => *last = compiled,
                _ => latest.push(compiled),
            }
        }
        latest
    }

    async fn compile_stored(&self, stored: StoredDefinition) -> Result<Arc<Compiled>, Error> {
        let active = stored.active;
        let compile = move || {
            let file = format!("{}@{}", stored.name, stored.version);
            snorri_definition::compile_with(&file, &stored.source, &stored.files)
        };
        let compiled = self.pools.loads.run(compile).await??;
        Ok(self.insert(Arc::new(compiled), Some(active)))
    }

    /// `None`: the version stays as active as it was; a new one is active.
    pub(super) fn insert(&self, compiled: Arc<Compiled>, is_active: Option<bool>) -> Arc<Compiled> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let versions = by_name.entry(compiled.definition.name.to_string()).or_default();
        let version = compiled.definition.version;
        let before = versions.get(&version);
        let is_active = is_active.or(before.map(|known| known.is_active)).unwrap_or(true);
        let exchanges = before.map(|known| known.exchanges.clone()).unwrap_or_default();
        versions.insert(version, CachedDefinition { compiled: Arc::clone(&compiled), is_active, exchanges });
        compiled
    }
}

pub(super) fn audit_entry(
    action: &str,
    (name, version): (&str, u32),
    by: &By,
    at: Time,
    (before, after): (Value, Value),
) -> AuditEntry {
    AuditEntry {
        id: Uuid::now_v7(),
        at,
        actor: by.actor.clone(),
        action: action.to_owned(),
        reason: by.reason.clone(),
        saga: None,
        seq: None,
        step: None,
        definition: Some(format!("{name}@{version}")),
        before,
        after,
    }
}
