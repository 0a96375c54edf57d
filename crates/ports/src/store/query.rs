//! The filters of the store's queries: sagas, dead letters and entries of the audit.

use uuid::Uuid;

use super::{AuditEntry, DeadLetter, SagaRow};
use snorri_core::{SagaId, Status, Time};

/// The filter of a list of sagas: those that match every given field.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub definition: Option<String>,
    /// The version of the definition; no index helps without a definition.
    pub version: Option<u32>,
    pub status: Option<Status>,
    /// Only those that are running, compensating or stuck.
    pub unfinished: bool,
    /// The business key, by which sagas are found whose ids follow from it ([`SagaId::of_key`]).
    pub key: Option<String>,
    /// Started at this time or later.
    pub started_from: Option<Time>,
    /// Started before this time.
    pub started_until: Option<Time>,
    /// The code of an open incident.
    pub incident: Option<String>,
    /// The name of an attribute, and its value.
    pub attribute: Option<(String, String)>,
    pub paused: Option<bool>,
    /// The last saga of the page before: keyset paging, newest first by (started_at, id).
    pub after: Option<(Time, SagaId)>,
}

/// The number of sagas of one version of a definition with one status; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub definition: String,
    pub version: u32,
    pub status: Status,
    pub count: u64,
}

/// The filter of a list of dead letters: those that match every given field.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    pub saga: Option<SagaId>,
    pub queue: Option<String>,
    pub code: Option<String>,
    /// Whether resolved ones are listed, too.
    pub resolved: bool,
    /// The last one of the page before: keyset paging, newest first by (at, id).
    pub after: Option<(Time, Uuid)>,
}

/// The filter of a list of audit entries: those that match every given field.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub saga: Option<SagaId>,
    pub actor: Option<String>,
    pub action: Option<String>,
    /// The last one of the page before: keyset paging, newest first by (at, id).
    pub after: Option<(Time, Uuid)>,
}

impl Filter {
    /// Whether a saga's row matches. Incidents and attributes are not in it.
    pub fn takes(&self, saga: &SagaRow) -> bool {
        let Self { definition, version, status, unfinished, key, started_from, started_until, .. } = self;
        definition.as_deref().is_none_or(|name| *name == *saga.definition)
            && version.is_none_or(|version| version == saga.version)
            && status.is_none_or(|status| status == saga.status)
            && !(*unfinished && saga.status.is_final())
            && (key.is_none() || *key == saga.key)
            && started_from.is_none_or(|from| saga.started_at >= from)
            && started_until.is_none_or(|until| saga.started_at < until)
            && self.paused.is_none_or(|paused| paused == saga.paused)
            && self.after.is_none_or(|after| (saga.started_at, saga.id) < after)
    }
}

impl LetterFilter {
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let Self { saga, queue, code, resolved, after } = self;
        (saga.is_none() || *saga == letter.saga)
            && queue.as_ref().is_none_or(|queue| *queue == letter.queue)
            && code.as_ref().is_none_or(|code| *code == letter.code)
            && (*resolved || letter.resolved_at.is_none())
            && after.is_none_or(|after| (letter.at, letter.id) < after)
    }
}

impl AuditFilter {
    pub fn takes(&self, entry: &AuditEntry) -> bool {
        let Self { saga, actor, action, after } = self;
        (saga.is_none() || *saga == entry.saga)
            && actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && action.as_ref().is_none_or(|action| *action == entry.action)
            && after.is_none_or(|after| (entry.at, entry.id) < after)
    }
}
