//! Registering, reading and comparing definitions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::schema;
use snorri_core::Status;

/// A definition to check and register.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The YAML source.
    pub source: String,
    /// The files that its schemas refer to, by their paths relative to the definition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The name of the file, for diagnostics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `true`: check the definition without registering it.
    #[serde(default)]
    pub check_only: bool,
    /// The reason for the registration, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::optional_reason)]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// A registered version of a definition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub name: String,
    pub version: u32,
    /// SHA-256 of the parsed source and files, in hexadecimal. Comments, line endings and the order of keys do not affect it.
    pub digest: String,
    pub description: Option<String>,
    /// Whether new sagas can start in this version.
    pub active: bool,
    /// The time of registration. `null` if the definition was only checked.
    #[schema(format = DateTime)]
    pub registered_at: Option<String>,
    /// Why the responding process starts no sagas in this version: it cannot load it, or an exchange that it names is unusable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    pub steps: Vec<String>,
    /// The warnings of the checks, if there are any: `{file, omitted, diagnostics: [...]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Definitions {
    pub definitions: Vec<DefinitionSummary>,
    /// The definitions that the responding process could not load. It starts no sagas in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_errors: Vec<LoadError>,
}

/// The reason why a process could not load a definition. Registered versions and their sagas are not affected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadError {
    /// The file of the definition, or `name@version` if it comes from the database.
    pub file: String,
    /// The name of the definition, if the file states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The version of the definition, if the file states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Stable code: `invalid_definition`, `definition_changed`, `definition_unreadable`, ...
    pub code: String,
    pub message: String,
}

/// A definition with its versions, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DefinitionSummary {
    pub name: String,
    pub description: Option<String>,
    /// The version in which new sagas start, if any version is active.
    pub latest: Option<u32>,
    pub versions: Vec<VersionSummary>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    pub version: u32,
    pub active: bool,
    #[schema(format = DateTime)]
    pub registered_at: String,
    /// Why the responding process starts no sagas in this version: it cannot load it, or an exchange that it names is unusable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// The number of sagas of this version, by status.
    pub sagas: Vec<StatusCount>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusCount {
    #[schema(value_type = schema::Status)]
    pub status: Status,
    pub count: u64,
}

/// The two versions to compare.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    pub from: u32,
    pub to: u32,
}

/// The changes from one version to another.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    pub breaking: bool,
    pub changes: Vec<DiffChange>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiffChange {
    pub breaking: bool,
    /// The place of the change in the definition: `input`, `steps.charge`, ...
    pub at: String,
    pub message: String,
}

/// The `input` schema of a definition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct InputSchema(pub Value);
