//! Registering definitions and looking at them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::saga::Status;

/// A definition to be checked and registered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The YAML.
    pub source: String,
    /// The files that its schemas refer to, by their paths from the definition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The name of the file, for diagnostics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `true`: only check it.
    #[serde(default)]
    pub check_only: bool,
    /// For the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

/// A registered version of a definition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub name: String,
    pub version: u32,
    /// SHA-256 of what the source and its files mean, hexadecimal: comments, line ends and the order of keys make no difference.
    pub digest: String,
    pub description: Option<String>,
    /// Whether new sagas may be started in it.
    pub active: bool,
    /// `None`: it was only checked.
    #[schema(format = DateTime)]
    pub registered_at: Option<String>,
    /// Why the process that answers starts no sagas in it, if it could not load it or an exchange that it names cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    pub steps: Vec<String>,
    /// What it may not do as it was meant, if anything was found: `{file, omitted, diagnostics: [...]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Definitions {
    pub definitions: Vec<DefinitionSummary>,
    /// The definitions that start no sagas in the process that answers, because it could not load them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_errors: Vec<LoadError>,
}

/// Why a definition could not be loaded. What is registered of it is not affected: its sagas run on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadError {
    /// Its file, or `name@version` if it is loaded from the database.
    pub file: String,
    /// Its name, if the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Its version, if the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// A stable code: `invalid_definition`, `definition_changed`, `definition_unreadable`, ...
    pub code: String,
    pub message: String,
}

/// A definition with its versions, the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DefinitionSummary {
    pub name: String,
    pub description: Option<String>,
    /// What new sagas are started in, if any version is active.
    pub latest: Option<u32>,
    pub versions: Vec<VersionSummary>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    pub version: u32,
    pub active: bool,
    #[schema(format = DateTime)]
    pub registered_at: String,
    /// Why the process that answers starts no sagas in it, if it could not load it or an exchange that it names cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// How many sagas of it there are, by state.
    pub sagas: Vec<StatusCount>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusCount {
    pub status: Status,
    pub count: u64,
}

/// Which two versions to compare.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    pub from: u32,
    pub to: u32,
}

/// What a version changes against another.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    pub breaking: bool,
    pub changes: Vec<DiffChange>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiffChange {
    pub breaking: bool,
    /// Where: `input`, `steps.charge`, ...
    pub at: String,
    pub message: String,
}

/// A definition's `input` schema.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct InputSchema(pub Value);
