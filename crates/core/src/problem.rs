//! Error codes and their owners.
//!
//! Snorri's own codes are a closed set, [`ProblemCode`], and decisions compare only these. A participant may send any code,
//! also `timeout` or `schema`: it is carried and shown, and never taken for one of Snorri's.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A code with its owner, a sentence for people, and details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "StoredProblem", from = "StoredProblem")]
pub struct Problem {
    pub code: Code,
    pub message: String,
    pub details: Option<Value>,
}

/// A code, by its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    Snorri(ProblemCode),
    /// Sent by a participant with a `failure` or an `error`.
    Participant(String),
    /// Written in a `fail` step.
    Definition(String),
}

/// The owner of a code, as the journal and the API name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Snorri,
    Participant,
    Definition,
}

/// The problems that Snorri itself finds. Their names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    Abandoned,
    Cancelled,
    /// A child saga was not started or not compensated; the details have the code of the refusal.
    ChildRefused,
    ExpressionFailed,
    JournalLimit,
    KeyInUse,
    LateReply,
    /// The outputs of the saga have more bytes than it may have.
    OutputLimit,
    PastPivot,
    PayloadTooLarge,
    ResolvedAsFailed,
    SagaTimeout,
    Schema,
    StepLimit,
    Timeout,
    TooManyItems,
    Unreadable,
    UnreadableReply,
    Unroutable,
}

impl Problem {
    /// A problem that Snorri found.
    pub fn new(reason: ProblemCode, message: impl Into<String>) -> Self {
        Self { code: Code::Snorri(reason), message: message.into(), details: None }
    }

    /// A problem that a participant reported.
    pub fn of_participant(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: Code::Participant(code.into()), message: message.into(), details: None }
    }

    /// Whether Snorri found it, with this code.
    pub fn is(&self, reason: ProblemCode) -> bool {
        self.code == Code::Snorri(reason)
    }

    /// Whether it is about a limit that an operator can raise.
    pub fn is_limit(&self) -> bool {
        use ProblemCode::{JournalLimit, OutputLimit, StepLimit, TooManyItems};
        [JournalLimit, OutputLimit, StepLimit, TooManyItems].into_iter().any(|reason| self.is(reason))
    }
}

impl Code {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Snorri(reason) => reason.as_str(),
            Self::Participant(code) | Self::Definition(code) => code,
        }
    }

    pub fn owner(&self) -> Owner {
        match self {
            Self::Snorri(_) => Owner::Snorri,
            Self::Participant(_) => Owner::Participant,
            Self::Definition(_) => Owner::Definition,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProblemCode {
    pub const ALL: [Self; 19] = [
        Self::Abandoned,
        Self::Cancelled,
        Self::ChildRefused,
        Self::ExpressionFailed,
        Self::JournalLimit,
        Self::KeyInUse,
        Self::LateReply,
        Self::OutputLimit,
        Self::PastPivot,
        Self::PayloadTooLarge,
        Self::ResolvedAsFailed,
        Self::SagaTimeout,
        Self::Schema,
        Self::StepLimit,
        Self::Timeout,
        Self::TooManyItems,
        Self::Unreadable,
        Self::UnreadableReply,
        Self::Unroutable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::ChildRefused => "child_refused",
            Self::ExpressionFailed => "expression_failed",
            Self::JournalLimit => "journal_limit",
            Self::KeyInUse => "key_in_use",
            Self::LateReply => "late_reply",
            Self::OutputLimit => "output_limit",
            Self::PastPivot => "past_pivot",
            Self::PayloadTooLarge => "payload_too_large",
            Self::ResolvedAsFailed => "resolved_as_failed",
            Self::SagaTimeout => "saga_timeout",
            Self::Schema => "schema",
            Self::StepLimit => "step_limit",
            Self::Timeout => "timeout",
            Self::TooManyItems => "too_many_items",
            Self::Unreadable => "unreadable",
            Self::UnreadableReply => "unreadable_reply",
            Self::Unroutable => "unroutable",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// The stored form of a problem: fields are added, never changed.
#[derive(Serialize, Deserialize)]
struct StoredProblem {
    code: String,
    owner: Owner,
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl From<Problem> for StoredProblem {
    fn from(Problem { code, message, details }: Problem) -> Self {
        Self { owner: code.owner(), code: code.as_str().to_owned(), message, details }
    }
}

impl From<StoredProblem> for Problem {
    /// A code that this release does not know comes from a later one: it is kept as text, and no decision depends on it.
    fn from(StoredProblem { code, owner, message, details }: StoredProblem) -> Self {
        let code = match (owner, ProblemCode::named(&code)) {
            (Owner::Snorri, Some(reason)) => Code::Snorri(reason),
            (Owner::Definition, _) => Code::Definition(code),
            (Owner::Snorri | Owner::Participant, _) => Code::Participant(code),
        };
        Self { code, message, details }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participants_code_is_never_taken_for_one_of_snorris() {
        for reason in ProblemCode::ALL {
            let own = Problem::new(reason, "");
            let theirs = Problem::of_participant(reason.as_str(), "");
            assert!(own.is(reason) && !theirs.is(reason));
            for problem in [own, theirs] {
                let stored = serde_json::to_string(&problem).expect("JSON");
                assert_eq!(serde_json::from_str::<Problem>(&stored).expect("a problem"), problem, "{stored}");
            }
        }
    }
}
