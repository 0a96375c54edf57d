//! Conversion of definitions, dead letters and audit entries into the types of the API.

use snorri_api::definitions::{Diff, DiffChange, LoadError, StatusCount, Version, VersionSummary};
use snorri_api::records::{AuditEntry, DeadLetter, DeadLetterLink};
use snorri_core::Time;
use snorri_definition::{Compiled, Diagnostics, diff};
use snorri_engine::definitions::exchanges::Exchanges;
use snorri_engine::queries::view;

/// A version. `stored` is `None` if it is not registered.
pub fn version(compiled: &Compiled, stored: Option<&view::StoredDefinition>) -> Version {
    let definition = &compiled.definition;
    Version {
        name: definition.name.to_string(),
        version: definition.version,
        digest: compiled.digest.clone(),
        description: definition.description.clone(),
        active: stored.is_some_and(|stored| stored.active),
        registered_at: stored.map(|stored| stored.registered_at.to_rfc3339()),
        unusable: None,
        steps: definition.steps().iter().map(|step| step.name.to_string()).collect(),
        diagnostics: None,
    }
}

/// The version with the findings of the checks, if there are any.
pub fn with_findings(version: Version, findings: &Diagnostics) -> Version {
    let found = (!findings.list.is_empty()).then_some(findings);
    Version { diagnostics: found.and_then(|findings| serde_json::to_value(findings).ok()), ..version }
}

/// A registered version, with the reason why no sagas start in it, if there is one.
pub fn registered(compiled: &Compiled, stored: &view::StoredDefinition, unusable: Option<String>) -> Version {
    Version { unusable, ..version(compiled, Some(stored)) }
}

/// The reason why this process starts no sagas in a version.
pub fn unusable(
    definitions: &snorri_engine::definitions::Definitions,
    name: &str,
    version: u32,
) -> Option<String> {
    if let Some(error) = definitions.load_error_of(name, version) {
        return Some(error.message);
    }
    match definitions.exchanges(name, version) {
        Exchanges::Unusable(reason) => Some(reason),
        Exchanges::Unchecked | Exchanges::Usable => None,
    }
}

pub fn load_error(error: snorri_engine::definitions::load_errors::LoadError) -> LoadError {
    LoadError {
        file: error.file,
        definition: error.identity.name,
        version: error.identity.version,
        code: error.code.to_owned(),
        message: error.message,
    }
}

pub fn version_summary(
    stored: &view::StoredDefinition,
    counts: &[view::Count],
    unusable: Option<String>,
) -> VersionSummary {
    let count = |count: &view::Count| StatusCount { status: count.status, count: count.count };
    VersionSummary {
        version: stored.version,
        active: stored.active,
        registered_at: stored.registered_at.to_rfc3339(),
        unusable,
        sagas: counts.iter().map(count).collect(),
    }
}

pub fn diff(diff: diff::Diff) -> Diff {
    let change = |change: diff::Change| DiffChange {
        breaking: change.breaks.is_some(),
        at: change.place,
        message: change.change,
    };
    Diff { breaking: diff.breaking, changes: diff.changes.into_iter().map(change).collect() }
}

pub fn dead_letter(letter: &view::DeadLetter) -> DeadLetter {
    DeadLetter {
        id: letter.id,
        at: letter.at.to_rfc3339(),
        queue: letter.queue.clone(),
        code: letter.code.clone(),
        reason: letter.reason.clone(),
        saga: letter.saga.map(|saga| saga.0),
        step: letter.step.clone(),
        properties: letter.properties.clone(),
        body: String::from_utf8_lossy(&letter.body).into_owned(),
        resolved_at: letter.resolved_at.map(Time::to_rfc3339),
    }
}

/// The link from a saga to one of its dead letters.
pub fn dead_letter_link(letter: &view::DeadLetter) -> DeadLetterLink {
    DeadLetterLink {
        id: letter.id,
        at: letter.at.to_rfc3339(),
        code: letter.code.clone(),
        reason: letter.reason.clone(),
        step: letter.step.clone(),
    }
}

pub fn audit_entry(entry: view::AuditEntry) -> AuditEntry {
    AuditEntry {
        id: entry.id,
        at: entry.at.to_rfc3339(),
        actor: entry.actor,
        action: entry.action,
        reason: entry.reason,
        saga: entry.saga.map(|saga| saga.0),
        seq: entry.seq,
        step: entry.step,
        definition: entry.definition,
        before: entry.before,
        after: entry.after,
    }
}
